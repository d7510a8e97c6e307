"""The rendered book in a real browser: Debian's Chromium, driven by Playwright.

`make test-site` runs these; they are skipped where there is no Chromium.
"""

import importlib.util
import os
import re
import shutil

import pytest
import yaml
from conftest import ROOT

from tutorial_utils.book.render import build
from tutorial_utils.quantization import affine_params

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM or importlib.util.find_spec("axe_playwright_python") is None,
        reason="needs Chromium (CHROMIUM may name its path) and requirements-book.txt",
    ),
]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
WIDTHS = (360, 768, 1440)
CONTENTS = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [CONTENTS["root"]] + [c["file"] for part in CONTENTS["parts"] for c in part["chapters"]]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    return build(ROOT, ROOT / "notebooks", folder / "html").parent


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["light", "dark"])
def visitor(request, browser):
    """A page of a reader who chose this mode, and what went wrong while it was used."""
    context = browser.new_context()
    mode = request.param
    context.add_init_script(f"for (const k of ['mode', 'theme']) localStorage.setItem(k, '{mode}')")
    page, faults = context.new_page(), []
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda r: faults.append(f"failed: {r.url}"))
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:")) else faults.append(r.url),
    )
    yield page, faults, mode
    context.close()


# What is wider than the window, named so that one finds it.
WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("article *")]
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
    .slice(0, 3).map(e => e.outerHTML.slice(0, 120)).concat(["the page"])"""
EMPTY_IMAGES = """() => [...document.images].filter(i => i.closest("article"))
  .filter(i => !i.naturalWidth).map(i => i.outerHTML.slice(0, 150))"""


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_a_page_is_whole_in_both_modes_and_fits_each_window(html, visitor, name):
    page, faults, mode = visitor
    faults.clear()
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    page.goto((html / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == mode
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(WIDER) == [], f"{name} at {width}"
    assert page.evaluate(EMPTY_IMAGES) == []
    assert faults == []
    page.wait_for_timeout(200)  # the side bars have moved in, and what scrolls is marked
    assert faults_for_some(page, mode) == []


def faults_for_some(page, mode):
    """What axe-core finds that is serious or critical; in dark mode only colours can differ."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "preload": False}
    if mode == "dark":
        options["runOnly"] = ["color-contrast"]
    found = Axe().run(page, options=options).response["violations"]
    return [
        (violation["id"], violation["nodes"][0]["html"][:150])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_of_a_page_has_a_text(html, name):
    text = (html / f"{name}.html").read_text(encoding="utf-8")
    pictures = re.findall(r"<img [^>]*>", text.partition("<article")[2].partition("</article>")[0])
    assert [p[:150] for p in pictures if not re.search(r'alt="[^"]{15,}"', p)] == []


def test_a_table_that_is_wider_than_a_phone_can_be_scrolled_with_the_keyboard(html, visitor):
    page, _, _ = visitor
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto((html / "notebooks/03_post_training_quantization.html").as_uri())
    table = page.locator(".pst-scrollable-table-container.wide").first
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("e => e.scrollLeft > 0", arg=table.element_handle())
    assert table.get_attribute("aria-label") == "Table, scrolls sideways"


def test_a_fold_opens_with_the_keyboard_and_says_what_it_hides(html, visitor):
    page, _, _ = visitor
    page.goto((html / "notebooks/01_measure_first.html").as_uri())
    fold = page.locator("details.hide summary", has_text="Show").first
    fold.focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("e => e.parentElement.open")


def test_search_finds_what_readers_look_for(html, visitor):
    page, _, _ = visitor
    for words in ("calibration", "straight-through", "coupled channels"):
        page.goto((html / "search.html").as_uri() + f"?q={words}")
        page.wait_for_selector("#search-results li", timeout=10_000)


def test_diagrams_take_the_colours_of_the_page(html, visitor):
    page, _, mode = visitor
    page.goto((html / "book/intro.html").as_uri())
    colour = page.locator("svg.diagram text").first.evaluate("e => getComputedStyle(e).fill")
    is_light = sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(", "))) > 3 * 128
    assert is_light == (mode == "dark")
    # A link of the map leads to its chapter.
    page.locator("svg.diagram a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/01_measure_first.html")


def test_players_start_with_a_lesson_and_follow_the_keyboard(html, visitor):
    page, faults, _ = visitor
    faults.clear()
    page.set_viewport_size({"width": 768, "height": 800})
    page.goto((html / "book/play.html").as_uri())
    boxes = page.locator(".player")
    assert boxes.count() == 4
    for box in boxes.all():
        says = box.locator(".says")
        before = says.inner_text()
        assert len(before.split()) > 15
        control = box.locator("input").last
        control.focus()
        page.keyboard.press("ArrowLeft")
        assert says.inner_text() != before
        assert control.get_attribute("aria-valuetext")
    assert faults == []


def test_the_ruler_agrees_with_the_package(html, visitor):
    page, _, _ = visitor
    page.goto((html / "book/play.html").as_uri())
    box = page.locator('[data-player="ruler"]')
    for high, keys in ((1.9, 0), (0.55, 40)):
        weight = box.get_by_role("slider", name="weight 6")
        weight.focus()
        for _ in range(keys):
            page.keyboard.press("ArrowLeft")
        scale, zero_point = affine_params(-0.9, high, 4, symmetric=False, signed=False)
        says = box.locator(".says").inner_text()
        assert f"scale s = {float(scale):.3f}, zero point z = {int(zero_point)}." in says


def test_without_scripts_a_diagram_stands_in_the_place_of_each_player(html, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book/play.html").as_uri())
    assert page.locator(".player svg.diagram").count() == 4
    context.close()
