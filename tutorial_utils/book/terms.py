"""Sphinx extension: the first mention of a glossary term on a page is a link that explains itself.

The definition is in the link's `aria-description`; the style shows it when the link is pointed at
or has the focus, so that no script is needed.
"""

import re
from html import escape

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

GLOSSARY = "book/glossary"
# These have another, everyday meaning on most pages.
_EVERYDAY = {"accuracy", "claim", "hint", "lowering", "recipe", "scales"}
_NOT_PROSE = (
    nodes.reference,
    nodes.title,
    nodes.literal,
    nodes.math,
    nodes.table,
    nodes.raw,
    addnodes.desc,
    addnodes.pending_xref,
)


def setup(app: Sphinx) -> dict:
    """Let Sphinx call `link_terms` for each page."""
    app.connect("doctree-resolved", link_terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def spellings(term: str) -> list[str]:
    """Return the ways to write a term of the glossary.

    >>> spellings("learned step size (LSQ)"), spellings("p50, p99")
    (['learned step size', 'LSQ'], ['p50', 'p99'])
    """
    return [part for part in re.split(r" \(|\)|, ", term) if part]


def read_terms(env: BuildEnvironment) -> dict[str, tuple[str, str]]:
    """Return for each spelling the anchor and the definition; those with capitals keep them."""
    found = {}
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        definition = item.next_node(nodes.definition).astext()
        for term in item.findall(nodes.term):
            for name in spellings(term.astext()):
                if name not in _EVERYDAY:
                    found[name] = (term["ids"][0], definition)
    return found


def split_at_terms(text: str, terms: dict[str, tuple[str, str]], seen: set[str]) -> list[str]:
    """Split a text so that every second part is a term that was not seen yet.

    >>> split_at_terms("Masks hide. A mask hides.", {"mask": ("", "")}, set())
    ['', 'Masks', ' hide. A mask hides.']
    """
    parts, start = [], 0
    for match in _pattern(terms).finditer(text):
        name = _name(match.group(1), terms)
        if name not in seen and match.group().lower() not in _EVERYDAY:
            seen.add(name)
            parts += [text[start : match.start()], match.group()]
            start = match.end()
    return [*parts, text[start:]]


def _pattern(terms: dict[str, tuple[str, str]]) -> re.Pattern:
    longest_first = sorted(terms, key=len, reverse=True)
    spelled = [
        re.escape(t) if t != t.lower() else f"[{t[0]}{t[0].upper()}]{re.escape(t[1:])}"
        for t in longest_first
    ]
    return re.compile(rf"(?<![\w-])({'|'.join(spelled)})s?(?![\w-])")


def _name(found: str, terms: dict[str, tuple[str, str]]) -> str:
    return found if found in terms else found[0].lower() + found[1:]


def link_terms(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Turn the first mention of each term in the prose of a page into a link to the glossary."""
    if app.builder.format != "html" or page == GLOSSARY or GLOSSARY not in app.env.all_docs:
        return
    terms, seen = read_terms(app.env), set()
    uri = app.builder.get_relative_uri(page, GLOSSARY)
    for text in list(doctree.findall(nodes.Text)):
        if _in_prose(text):
            parts = split_at_terms(str(text), terms, seen)
            if len(parts) > 1:
                new = [
                    _link(p, terms, uri) if i % 2 else nodes.Text(p) for i, p in enumerate(parts)
                ]
                text.parent.replace(text, new)


def _in_prose(text: nodes.Text) -> bool:
    inside, node = False, text.parent
    while node is not None:
        if isinstance(node, _NOT_PROSE):
            return False
        inside |= isinstance(node, nodes.paragraph)
        node = node.parent
    return inside


def _link(found: str, terms: dict[str, tuple[str, str]], uri: str) -> nodes.raw:
    single = found if _name(found, terms) in terms else found[:-1]  # without the s of a plural
    anchor, definition = terms[_name(single, terms)]
    html = (
        f'<a class="term" href="{uri}#{anchor}" aria-description="{escape(definition)}">'
        f"{escape(found)}</a>"
    )
    return nodes.raw("", html, format="html")
