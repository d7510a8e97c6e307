"""Pages without what they do not use."""

from tutorial_utils.book.slim import keep_icons, keep_scripts, slim_

ICONS = '{sun:[512,512,[9728],"f185","M1"],"magnifying-glass":[5,5,[1,"search"],"f002",["","M2"]],'
ICONS += 'moon:[3,3,[],"f186","M3"]}'


def test_icons_stay_by_name_and_by_alias():
    assert keep_icons(ICONS, {"sun", "search"}) == ICONS.partition("moon")[0] + "}"
    assert keep_icons(ICONS, set()) == "{}"


def script(source):
    return f'<script defer src="../{source}?v=1"></script>'


def test_scripts_stay_where_something_needs_them():
    needs = {
        "_static/mathjax/tex-chtml.js": '<span class="math">x</span>',
        "_static/players/ruler.js": '<div data-player="ruler"></div>',
        "searchindex.js": '<div id="search-results"></div>',
    }
    for source, what in needs.items():
        assert keep_scripts(script(source) + what) == script(source) + what
        assert keep_scripts("<p>a</p>" + script(source)) == "<p>a</p>"
    other = script("_static/book.js")
    assert keep_scripts(other) == other


def test_a_book_loses_what_none_of_its_pages_uses(tmp_path):
    scripts, styles = tmp_path / "_static" / "scripts", tmp_path / "_static" / "styles"
    scripts.mkdir(parents=True)
    styles.mkdir()
    (tmp_path / "a.html").write_text('<i class="fa-solid fa-sun"></i>' + script("searchindex.js"))
    (tmp_path / "b.html").write_text('<i class="fa-solid fa-moon"></i>')
    (scripts / "fontawesome.js").write_text(ICONS)
    css = 'a{b:c}.fa-sun:before,.fa-day:before{content:"\\f185"}.d{content:"x"}'
    (styles / "pydata-sphinx-theme.css").write_text(css)
    slim_(tmp_path)
    assert (tmp_path / "a.html").read_text() == '<i class="fa-solid fa-sun"></i>'
    left = (scripts / "fontawesome.js").read_text()
    assert "sun" in left and "moon" in left and "magnifying" not in left
    assert (styles / "pydata-sphinx-theme.css").read_text() == 'a{b:c}.d{content:"x"}'


def test_a_theme_without_these_files_is_left_alone(tmp_path):
    (tmp_path / "a.html").write_text("<p>a</p>")
    slim_(tmp_path)
    assert (tmp_path / "a.html").read_text() == "<p>a</p>"
