"""Showing computed text below a cell, and keeping it for the pages of the book."""

from tutorial_utils.errors import requires_extra

with requires_extra("notebooks"):
    from IPython.display import Markdown, display

_RECORD = "application/papermill.record/"  # the prefix that myst_nb looks for


def say(markdown: str) -> None:
    """Show a text with computed figures below the cell."""
    display(Markdown(markdown))


def keep(key: str, markdown: str) -> None:
    """Show a text, and store it in the notebook under ``key`` for the pages of the book.

    The stored copy has the form that ``myst_nb.glue`` writes, without importing myst_nb, which
    a notebook on Colab does not have.
    """
    say(markdown)
    display(
        {_RECORD + "text/markdown": markdown, _RECORD + "text/plain": repr(markdown)},
        metadata={"scrapbook": {"name": key, "mime_prefix": _RECORD}},
        raw=True,
    )
