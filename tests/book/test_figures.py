"""Diagrams are whole and can be read aloud; figures come to the pages with their texts."""

import base64
import re
import tomllib
from xml.etree import ElementTree

import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tutorial_utils.book import diagram, drawing
from tutorial_utils.book.figures import prepare_figures_
from tutorial_utils.errors import InputError
from tutorial_utils.plotting import COLOURS

SVG = "{http://www.w3.org/2000/svg}"
NAMES = drawing.diagram_names()
STYLES = {re.search(r"<style>.*?</style>", drawing.read_diagram(n), re.DOTALL)[0] for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_diagram_has_a_title_a_description_and_letters_that_a_phone_can_show(name):
    source = drawing.read_diagram(name)
    root = ElementTree.fromstring(source)
    title, desc = root.find(SVG + "title"), root.find(SVG + "desc")
    assert len(title.text.split()) > 2 and len(desc.text.split()) > 15
    assert root.get("role") == "img"
    assert root.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
    assert root.get("viewBox").split()[2] == "480"  # so 15 units are 11 pixels on a phone
    assert "http" not in source.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in source


def test_ids_are_unique_also_where_two_diagrams_are_on_a_page():
    ids = [i for n in NAMES for i in re.findall(r'\bid="([^"]+)"', drawing.read_diagram(n))]
    assert len(ids) == len(set(ids)) == 3 * len(NAMES)


def test_all_diagrams_have_one_style_with_the_colours_of_the_figures():
    (style,) = STYLES
    colours = dict(re.findall(r"--(\w+): (#\w+)", style))
    assert {name: colours[name.partition(" ")[0]] for name in COLOURS} == COLOURS


def test_every_class_that_a_diagram_uses_is_in_the_style():
    (style,) = STYLES
    known = set(re.findall(r"\.([\w-]+)", style))
    for name in NAMES:
        used = re.findall(r'class="([^"]+)"', drawing.read_diagram(name))
        assert {one for each in used for one in each.split()} <= known, name


def test_diagrams_are_package_data():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "diagrams/*" in project["tool"]["setuptools"]["package-data"]["tutorial_utils.book"]


def test_a_diagram_is_shown_as_a_picture_with_its_text_and_as_its_source(monkeypatch):
    shown = []
    monkeypatch.setattr(drawing, "display", lambda data, raw: shown.append(data))
    diagram("affine_ruler")
    (data,) = shown
    source = drawing.read_diagram("affine_ruler")
    assert data["image/svg+xml"] == source
    assert data["text/plain"].startswith("A ruler for real numbers. Real numbers from -1 to 2")
    encoded = re.search(r'base64,([^"]+)"', data["text/html"])[1]
    assert base64.b64decode(encoded).decode() == source
    assert f'alt="{data["text/plain"]}"' in data["text/html"]


def test_an_unknown_diagram_is_refused():
    with pytest.raises(InputError, match="did you mean 'observers'"):
        diagram("observer")


def picture(alt=None, **metadata):
    metadata = {"image/png": ({"alt": alt} if alt else {}) | metadata}
    return new_output("display_data", {"image/png": "eA=="}, metadata=metadata)


def test_each_figure_of_a_page_gets_its_own_text():
    said = new_output("stream", text="said")
    one = new_code_cell("a", outputs=[picture("First."), said, picture("Second."), said], id="a")
    old, photos = (
        new_code_cell("b", outputs=[picture()]),
        new_code_cell("c", outputs=[picture("Photos.", photograph=True)]),
    )
    page = prepare_figures_(new_notebook(cells=[one, old, photos]))
    assert [cell.source for cell in page.cells] == ["a", "# shown by the cell above", "b", "c"]
    options = [cell.metadata.get("mystnb", {}).get("image") for cell in page.cells]
    assert options == [
        {"alt": "First.", "classes": "plot"},
        {"alt": "Second.", "classes": "plot"},
        None,
        {"alt": "Photos.", "classes": "photograph"},
    ]
    assert [len(cell.outputs) for cell in page.cells] == [2, 2, 1, 1]
    assert page.cells[1].metadata.tags == ["remove-input"]


def test_a_diagram_becomes_part_of_the_page():
    data = {"image/svg+xml": "<svg/>", "text/html": "<img>", "text/plain": "x"}
    cell = new_code_cell("d", outputs=[new_output("display_data", data)])
    (cell,) = prepare_figures_(new_notebook(cells=[cell])).cells
    assert "<svg/>" in cell.outputs[0].data["text/html"]
    assert "image/svg+xml" not in cell.outputs[0].data


@pytest.mark.parametrize("name", NAMES)
def test_a_diagram_is_on_a_page(name):
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md")]
    assert any(f"{{{{ diagram_{name} }}}}" in page for page in pages)
