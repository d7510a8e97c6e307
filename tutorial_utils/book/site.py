"""Sphinx extension: what a published page needs besides its text.

A link for feedback below each page, what a link to the page looks like elsewhere (Open Graph),
and a site map. Addresses come from the configuration; where none is set yet, `repository_url` is
a placeholder, and what would need one is left out.
"""

import re
from html import escape
from pathlib import Path
from urllib.parse import quote

from sphinx.application import Sphinx

from tutorial_utils.book.repository import is_placeholder

CARD = "_static/card.png"
_ABOUT = "Quantization, pruning and distillation in PyTorch. Every number is computed."


def setup(app: Sphinx) -> dict:
    """Let Sphinx call what is below."""
    app.connect("html-page-context", add_to_page)
    app.connect("build-finished", write_site_map)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_to_page(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Add the tags of a page's head and the link below it."""
    if page not in app.env.all_docs:
        return
    title = re.sub(r"<[^>]*>", "", context.get("title", ""))
    context["metatags"] = context.get("metatags", "") + metatags(
        title, app.config.html_title, page, app.config.html_baseurl
    )
    url = app.config.html_theme_options.get("repository_url", "")
    context["body"] = context.get("body", "") + feedback(
        url, title, page, context["pathto"]("book/contributing"), app.config.html_baseurl
    )


def metatags(title: str, book: str, page: str, address: str | None) -> str:
    """Return the tags that say what a link to a page looks like elsewhere.

    >>> "og:image" in metatags("Play", "A book", "book/play", "")
    False
    """
    tags = {"og:title": title, "og:site_name": book, "og:type": "article", "og:description": _ABOUT}
    if address:
        tags |= {"og:url": f"{address}{page}.html", "og:image": address + CARD}
        tags |= {"twitter:card": "summary_large_image"}
    return "".join(f'<meta property="{k}" content="{escape(v)}">\n' for k, v in tags.items())


def feedback(url: str, title: str, page: str, contributing: str, address: str | None) -> str:
    """Return the line below a page: to a form, or to the page that says how to contribute.

    A published book has its PDF beside the pages.

    >>> "issues/new" in feedback("https://github.com/example/x", "Play", "book/play", "c.html", "")
    False
    """
    if not url or is_placeholder(url):
        target = contributing
    else:
        target = f"{url}/issues/new?title={quote(title + ': ')}&body={quote('Page: ' + page)}"
    line = (
        f"Is something on this page wrong or hard to follow? "
        f'<a href="{escape(target)}">Tell us about it</a>.'
    )
    if address:
        line += f' <a href="{address}book.pdf">The whole book as a PDF</a>.'
    return f'<p class="feedback">{line}</p>\n'


def write_site_map(app: Sphinx, exception: Exception | None) -> None:
    """Write the list of all pages that search engines read, if the book has an address."""
    if exception or not app.config.html_baseurl or app.builder.format != "html":
        return
    pages = [f"{app.config.html_baseurl}{page}.html" for page in sorted(app.env.all_docs)]
    lines = [f"  <url><loc>{escape(page)}</loc></url>" for page in pages]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    text = f'{head}<urlset xmlns="{schema}">\n' + "\n".join(lines) + "\n</urlset>\n"
    Path(app.outdir, "sitemap.xml").write_text(text, encoding="utf-8")
    place = f"Sitemap: {app.config.html_baseurl}sitemap.xml\n"
    Path(app.outdir, "robots.txt").write_text("User-agent: *\nAllow: /\n" + place, encoding="utf-8")
