"""Pages that load what they use: the theme's icons, formulas and search come whole otherwise."""

import re
from pathlib import Path

_ICON = re.compile(
    r'(?P<name>"?[\w-]+"?):\[\d+,\d+,\[(?P<aliases>[^\]]*)\],"[0-9a-f]+",'
    r'(?:"[^"]*"|\[[^\]]*\])\],?'
)
_FONT_ICON = re.compile(r'(?:\.fa-[\w-]+:before,?)+\{content:"\\[^"]*"\}')
_SCRIPT = re.compile(r'\s*<script[^>]* src="(?P<source>[^"?]*)[^"]*"[^>]*></script>')

# Scripts by a part of their address, and what a page has that needs them.
_NEEDED_BY = {
    "mathjax/tex-": 'class="math',
    "_static/players/": "data-player=",
    "searchindex.js": 'id="search-results"',
    "searchtools.js": 'id="search-results"',
    "language_data.js": 'id="search-results"',
}


def slim_(html: Path) -> None:
    """Take out of a rendered book what none of its pages uses, and of each page its idle scripts.

    The theme brings two thousand icons as a script and once more as a font, the root page loads
    MathJax because the pages below it have formulas, and each page loads the index of the search.

    Args:
        html: the folder of the pages, changed in place. Files that a theme does not have are
            passed over.
    """
    pages = [page for page in html.rglob("*.html") if "_static" not in page.parts]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    used = {name for text in texts.values() for name in re.findall(r"\bfa-([\w-]+)", text)}
    icons = html / "_static" / "scripts" / "fontawesome.js"
    _change_(icons, lambda script: keep_icons(script, used))
    style = html / "_static" / "styles" / "pydata-sphinx-theme.css"
    _change_(style, lambda css: _FONT_ICON.sub("", css))
    for page, text in texts.items():
        page.write_text(keep_scripts(text), encoding="utf-8")


def keep_icons(script: str, used: set[str]) -> str:
    """Return Font Awesome's script without the icons that are not used, by name or by alias.

    >>> keep_icons('{a:[1,1,["b"],"f0","M0"],c:[1,1,[],"f1","M1"]}', {"b"})
    '{a:[1,1,["b"],"f0","M0"],}'
    """

    def keep(icon: re.Match) -> str:
        names = {icon["name"].strip('"'), *re.findall(r'"([\w-]+)"', icon["aliases"])}
        return icon[0] if names & used else ""

    return _ICON.sub(keep, script)


def keep_scripts(page: str) -> str:
    """Return a page without the scripts that nothing on it needs.

    >>> keep_scripts('<p>x</p> <script src="../_static/mathjax/tex-chtml.js"></script>')
    '<p>x</p>'
    """

    def keep(script: re.Match) -> str:
        for part, needs in _NEEDED_BY.items():
            if part in script["source"] and needs not in page:
                return ""
        return script[0]

    return _SCRIPT.sub(keep, page)


def _change_(path: Path, change) -> None:
    if path.exists():
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
