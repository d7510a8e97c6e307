"""What a published book has besides its pages: addresses, a site map, links for feedback."""

import re
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest
import yaml
from conftest import ROOT, write_cells

from tutorial_utils.book.heads import neighbours, without_neighbours
from tutorial_utils.book.links import broken_links
from tutorial_utils.book.pdf import one_page, page_names, write_pdf
from tutorial_utils.book.render import build
from tutorial_utils.errors import InputError

GLOSSARY = "# Glossary\n\n```{glossary}\nmask\n  A tensor of <zeros> and ones.\n```\n"
PAGES = {
    "intro": "# A book\n\nA mask, then another mask. [More](more.md)\n",
    "more": "# More\n\nMasks and `mask`.\n",
    "contributing": "# Contributing\n",
    "glossary": GLOSSARY,
}


def make_book(root, url, pages=PAGES):
    """A small book with the extensions of this one, at this address."""
    (root / "book").mkdir(exist_ok=True)
    for name, text in pages.items():
        (root / "book" / f"{name}.md").write_text(text)
    others = [{"file": f"book/{name}"} for name in pages if name != "intro"]
    toc = {"format": "jb-book", "root": "book/intro", "parts": [{"chapters": others}]}
    (root / "book" / "_toc.yml").write_text(yaml.safe_dump(toc))
    options = {"repository_url": url, "repository_branch": "main", "use_edit_page_button": True}
    sphinx = {
        "extra_extensions": ["tutorial_utils.book.terms", "tutorial_utils.book.site"],
        "config": {"html_theme_options": options, "linkcheck_retries": 1, "linkcheck_timeout": 5},
    }
    config = {"title": "A book", "only_build_toc_files": True, "sphinx": sphinx}
    config["execute"] = {"execute_notebooks": "off"}
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    return root


@pytest.mark.slow
def test_a_book_with_an_address_says_where_it_is(clone):
    make_book(clone, "https://github.com/Owner/book")
    html = build(clone, clone / "notebooks", clone / "_build" / "html").parent
    address = "https://owner.github.io/book/"
    page = (html / "book" / "more.html").read_text()
    assert f'<link rel="canonical" href="{address}book/more.html"' in page
    assert f'property="og:image" content="{address}_static/card.png"' in page
    assert '<meta property="og:title" content="More">' in page
    assert f"<loc>{address}book/more.html</loc>" in (html / "sitemap.xml").read_text()
    assert f"{address}sitemap.xml" in (html / "robots.txt").read_text()
    assert "https://github.com/Owner/book/issues/new?title=More%3A%20" in page
    assert "https://github.com/Owner/book/edit/main/book/more.md" in page
    assert f'href="{address}book.pdf"' in page
    # The first mention of a term is a link with its definition; code and later ones are not.
    intro = (html / "book" / "intro.html").read_text()
    assert re.findall(r'class="term" href="([^"]+)"', intro) == ["glossary.html#term-mask"]
    assert 'aria-description="A tensor of &lt;zeros&gt; and ones."' in intro
    assert len(re.findall('class="term"', page)) == 1
    assert 'class="term"' not in (html / "book" / "glossary.html").read_text()
    search = (html / "searchindex.js").read_text()
    assert "mask" in search


@pytest.mark.slow
def test_a_placeholder_is_told_to_nobody(clone):
    make_book(clone, "https://github.com/example/book")
    html = build(clone, clone / "notebooks", clone / "_build" / "html").parent
    page = (html / "book" / "more.html").read_text()
    assert "canonical" not in page and "og:image" not in page and "github.io" not in page
    assert not (html / "sitemap.xml").exists()
    assert '<a href="contributing.html">Tell us about it</a>' in page


@pytest.fixture
def server(tmp_path):
    """Addresses of a page that is there and of one that is not, on this machine."""
    (tmp_path / "there.html").write_text("<h1>There</h1>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        yield f"{address}/there.html", f"{address}/gone.html"
        server.shutdown()


@pytest.mark.slow
def test_links_that_lead_nowhere_are_listed(clone, server, monkeypatch):
    there, gone = server
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    pages = PAGES | {"more": f"# More\n\n[a]({there}) and\n[b]({gone})\n"}
    make_book(clone, "https://github.com/example/book", pages)
    found = broken_links(clone, clone / "_build" / "links")
    assert len(found) == 1
    assert "more.md" in found[0] and gone in found[0] and "404" in found[0]


def test_pages_are_put_together_with_links_that_lead_inside(tmp_path):
    (tmp_path / "book").mkdir()
    for name, body in {
        "intro": '<a href="more.html">m</a> <a href="more.html#x">x</a><img src="../_i/a.png">',
        "more": '<p id="x"></p><a href="gone.html">g</a><a href="https://a.b/">o</a>'
        "<details><script>1</script></details>",
    }.items():
        page = f"<html><head></head><body><article>{body}</article></body></html>"
        (tmp_path / "book" / f"{name}.html").write_text(page)
    together = one_page(tmp_path, ["book/intro", "book/more"])
    assert 'href="#page-book-more"' in together and 'href="#x"' in together
    assert 'src="_i/a.png"' in together and 'href="book/gone.html"' in together
    assert 'href="https://a.b/"' in together
    assert "<script" not in together and '<details open="">' in together


def test_a_pdf_needs_a_rendered_book_and_a_browser(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="make html"):
        write_pdf(tmp_path, ["index"], tmp_path / "book.pdf")
    (tmp_path / "index.html").write_text("")
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="Chromium"):
        write_pdf(tmp_path, ["index"], tmp_path / "book.pdf")
    assert "notebooks/01_measure_first" in page_names(ROOT)


def test_pages_are_published_after_the_tests_only():
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert ci["jobs"]["pages"]["needs"] == ["test", "systems"]
    steps = [step.get("run") or step["uses"] for step in ci["jobs"]["test"]["steps"]]
    upload = next(i for i, step in enumerate(steps) if "upload-pages-artifact" in step)
    assert "make test" in steps[:upload] and "make html" in steps[:upload]
    weekly = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text())
    assert any(step.get("run") == "make links" for step in weekly["jobs"]["links"]["steps"])


def test_a_chapter_leads_to_the_ones_before_and_after(clone):
    for name in ("02_data", "03_more"):
        write_cells(clone / "notebooks" / f"{name}.ipynb", f"# {name}", "1")
    line = neighbours(clone / "notebooks" / "02_data.ipynb")
    assert line == " · previous: [Bits](01_bits.ipynb) · next: [03_more](03_more.ipynb)"
    assert neighbours(clone / "notebooks" / "01_bits.ipynb") == " · next: [02_data](02_data.ipynb)"
    assert without_neighbours(f"# T\n\n[x](y.ipynb){line}\n\nText") == "# T\n\n[x](y.ipynb)\n\nText"
