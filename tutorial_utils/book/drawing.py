"""Hand-made diagrams, one idea each: SVG files that come with the package."""

from base64 import b64encode
from html import escape
from importlib.resources import files
from xml.etree import ElementTree

from tutorial_utils.errors import check_choice, requires_extra

with requires_extra("notebooks"):
    from IPython.display import display

_FOLDER = files("tutorial_utils.book") / "diagrams"
_SVG = "{http://www.w3.org/2000/svg}"


def diagram_names() -> list[str]:
    """Return the names of all diagrams.

    >>> "affine_ruler" in diagram_names()
    True
    """
    return sorted(f.name.removesuffix(".svg") for f in _FOLDER.iterdir() if f.name.endswith(".svg"))


def read_diagram(name: str) -> str:
    """Return the SVG source of a diagram.

    Raises:
        InputError: when there is none of this name.
    """
    check_choice("diagram", name, diagram_names())
    return (_FOLDER / f"{name}.svg").read_text(encoding="utf-8")


def describe_diagram(svg: str) -> str:
    """Return what a diagram shows, in words: its title and its description."""
    root = ElementTree.fromstring(svg)
    return f"{root.findtext(_SVG + 'title')}. {root.findtext(_SVG + 'desc')}"


def diagram(name: str) -> None:
    """Show a diagram below the cell.

    The output has two forms. A notebook shows a picture, which Jupyter also shows before the
    notebook is trusted. A page of the book shows the SVG itself, in the colours of the page.

    Args:
        name: one of `diagram_names`.

    Raises:
        InputError: when there is none of this name.
    """
    svg = read_diagram(name)
    text = describe_diagram(svg)
    source = "data:image/svg+xml;base64," + b64encode(svg.encode()).decode()
    picture = f'<img alt="{escape(text)}" src="{source}" width="560">'
    display({"image/svg+xml": svg, "text/html": picture, "text/plain": text}, raw=True)
