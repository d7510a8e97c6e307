"""The rendered book in a real browser: Debian's Chromium, driven by Playwright.

`make test-site` runs these; they are skipped where there is no Chromium.
"""

import csv
import importlib.util
import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import torch
import yaml
from conftest import ROOT

from tutorial_utils.book.models import read_all_models
from tutorial_utils.book.notebooks import chapters, kept_results
from tutorial_utils.book.pdf import find_chromium, one_page, write_pdf
from tutorial_utils.book.render import build
from tutorial_utils.measuring import pareto_front
from tutorial_utils.quantization import affine_params, int_range, quantize

CHROMIUM = find_chromium()
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


# For what is the same in both modes.
IN_LIGHT = pytest.mark.parametrize("visitor", ["light"], indirect=True)


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
# Plots whose letters would be less than 0.6 of their size; stored with two pixels for each.
TOO_SMALL = """() => [...document.querySelectorAll("article img.plot")]
  .map(i => [i, i.getAttribute("width") || i.naturalWidth / 2])
  .filter(([i, width]) => i.getBoundingClientRect().width < 0.59 * width)
  .map(([i]) => i.alt.slice(0, 80))"""


@pytest.mark.parametrize("name", [*PAGES, "search"])
def test_a_page_is_whole_in_both_modes_and_fits_each_window(html, visitor, name):
    page, faults, mode = visitor
    faults.clear()
    page.set_viewport_size({"width": WIDTHS[0], "height": 800})
    loaded = set()
    page.on("request", lambda r: loaded.add(r.url))
    page.goto((html / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == mode
    assert page.evaluate(TOO_SMALL) == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(WIDER) == [], f"{name} at {width}"
    assert page.evaluate(EMPTY_IMAGES) == []
    assert faults == []
    page.wait_for_timeout(200)  # the side bars have moved in, and what scrolls is marked
    assert faults_for_some(page, mode) == []
    assert n_bytes(loaded) < (1e6 if name == CONTENTS["root"] else 3e6)


def n_bytes(urls):
    """Bytes of all files that a page loaded, itself included."""
    files = {Path(unquote(urlsplit(url).path)) for url in urls if url.startswith("file:")}
    return sum(file.stat().st_size for file in files)


def test_the_front_page_is_drawn_at_once(html, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto((html / f"{CONTENTS['root']}.html").as_uri())
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert page.evaluate(paint) < 2000  # a few hundred where this was written
    context.close()


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
    page.locator("button", has_text="columns").first.click()  # as few are shown, all of them fit
    table = page.locator(".pst-scrollable-table-container.wide").first
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("e => e.scrollLeft > 0", arg=table.element_handle())
    assert table.get_attribute("aria-label") == "Table, scrolls sideways"


@IN_LIGHT
def test_a_fold_opens_with_the_keyboard_and_says_what_it_hides(html, visitor):
    page, _, _ = visitor
    page.goto((html / "notebooks/01_measure_first.html").as_uri())
    fold = page.locator("details.hide summary", has_text="Show").first
    fold.focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("e => e.parentElement.open")


@IN_LIGHT
@pytest.mark.parametrize(
    ("words", "chapter"),
    [
        ("calibration", "03_post_training_quantization"),
        ("straight-through", "02_quantization_from_scratch"),
        ("coupled channels", "06_structured_pruning"),
    ],
)
def test_search_finds_what_readers_look_for(html, visitor, words, chapter):
    page, faults, _ = visitor
    faults.clear()
    page.goto((html / "search.html").as_uri() + f"?q={words}")
    page.wait_for_selector(f'#search-results li a[href*="{chapter}"]', timeout=10_000)
    assert faults == []


@IN_LIGHT
def test_the_search_field_of_any_page_leads_to_the_results(html, visitor):
    page, faults, _ = visitor
    page.set_viewport_size({"width": 1440, "height": 800})
    page.goto((html / "book/setup.html").as_uri())
    faults.clear()
    page.keyboard.press("Control+k")
    page.keyboard.type("calibration")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li", timeout=10_000)
    assert faults == []


@IN_LIGHT
def test_a_button_copies_the_code_without_its_prompt(html, visitor):
    page, _, _ = visitor
    page.goto((html / "notebooks/02_quantization_from_scratch.html").as_uri())
    page.evaluate("""() => { window.copied = [];
      document.addEventListener("copy", () => copied.push(String(getSelection()) ||
        document.activeElement.value)); }""")
    button = page.locator("article .cell_input button.copybtn:visible").first
    code = button.locator("xpath=..").locator("pre").inner_text()
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("copied.length > 0")
    assert page.evaluate("copied[0]").strip() == code.strip()
    assert "$ " not in code and ">>>" not in code


@IN_LIGHT
def test_a_term_shows_its_definition_to_mouse_and_keyboard_within_the_window(html, visitor):
    page, _, _ = visitor
    page.goto((html / "notebooks/03_post_training_quantization.html").as_uri())
    shown = "e => getComputedStyle(e, '::after').content"
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        for term in page.locator("a.term").all()[:6]:
            assert term.evaluate(shown) in ("none", "normal")
            term.focus()
            page.keyboard.press("Shift")  # the browser shows the focus of a keyboard only
            assert len(term.evaluate(shown)) > 20
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.keyboard.press("Escape")
            assert term.evaluate("e => getComputedStyle(e, '::after').display") == "none"
            page.mouse.move(0, 0)
    term.hover()
    assert len(term.evaluate(shown)) > 20
    term.click()
    page.wait_for_url("**/glossary.html#term-*")


def test_the_cheat_sheet_prints_on_one_page(html, browser, tmp_path):
    page = browser.new_page()
    page.goto((html / "book/cheat_sheet.html").as_uri())
    page.wait_for_function("() => !document.querySelector('.math') || window.MathJax?.startup")
    page.wait_for_timeout(1500)  # formulas come last
    page.pdf(path=tmp_path / "sheet.pdf", prefer_css_page_size=True)
    page.close()
    assert n_pdf_pages(tmp_path / "sheet.pdf") == 1


def n_pdf_pages(path):
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", path.read_bytes()))


def test_the_book_prints_as_one_pdf(html, tmp_path):
    names = ["book/intro", "book/cheat_sheet", "notebooks/02_quantization_from_scratch"]
    together = one_page(html, names)
    assert "/tex-" in together  # from the page with formulas
    assert together.count("<article") == 3
    assert '"#page-notebooks-02_quantization_from_scratch"' in together  # from the map
    path = write_pdf(html, names, tmp_path / "book.pdf")
    assert n_pdf_pages(path) >= 6
    assert not (html / "_together.html").exists()


def test_questions_open_without_scripts_and_with_the_keyboard(html, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book/choosing.html").as_uri())
    answers = page.locator(".choosing b")
    assert answers.count() >= 7 and not answers.first.is_visible()
    page.locator(".choosing summary").first.focus()
    page.keyboard.press("Enter")
    assert re.search(r"\d+ times smaller, \d", answers.first.inner_text())
    assert answers.first.is_visible()
    context.close()


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
    assert boxes.count() == 6
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


@IN_LIGHT
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


def test_without_scripts_a_picture_stands_in_the_place_of_each_player(html, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / "book/play.html").as_uri())
    assert page.locator(".player :is(svg.diagram, img.plot)").count() == 6
    context.close()


def set_range(player, label, value):
    """Move a slider with the keyboard, as far as it must go."""
    slider = player.get_by_role("slider", name=re.compile(f"^{label}"))
    slider.focus()
    for _ in range(100):
        now = int(slider.input_value())
        if now == value:
            return
        slider.press("ArrowRight" if now < value else "ArrowLeft")
    raise AssertionError(f"{label} does not reach {value}")


CELLS = (
    """e => [...e.querySelectorAll("svg text.small")].map(t => +t.textContent.replace("−", "-"))"""
)


@IN_LIGHT
@pytest.mark.parametrize("n_bits", [8, 5, 2])
def test_the_convolution_agrees_with_the_package(html, visitor, n_bits):
    page, _, _ = visitor
    page.goto((html / "book/play.html").as_uri())
    player = page.locator('[data-player="convolution"]')
    set_range(player, "bits", n_bits)
    set_range(player, "step", 1)
    x = torch.tensor(player.evaluate(CELLS)[:25]).reshape(1, 1, 5, 5)
    w = torch.tensor(player.evaluate(CELLS)[25:34]).reshape(1, 1, 3, 3)
    bias = float(
        re.search(r"bias (−[\d.]+)", player.locator(".says").inner_text())[1].replace("−", "-")
    )
    conv = torch.nn.functional.conv2d
    exact = torch.relu(conv(x, w) + bias)

    s_x, z_x = affine_params(x.min(), x.max(), n_bits, symmetric=False, signed=False)
    s_w, _ = affine_params(w.min(), w.max(), n_bits, symmetric=True, signed=True)
    s_y, z_y = affine_params(0.0, exact.max(), n_bits, symmetric=False, signed=False)
    q_x = quantize(x, s_x, z_x, *int_range(n_bits, signed=False)).int()
    q_w = quantize(w, s_w, 0, *int_range(n_bits, signed=True)).int()
    q_b = torch.round(bias / (s_w * s_x)).int()
    sums = conv((q_x - z_x).double(), q_w.double()).int() + q_b
    q_y = (torch.round(s_w * s_x / s_y * sums).int() + z_y).clamp(0, 2**n_bits - 1)

    set_range(player, "step", 5)
    shown = [int(value) for value in player.evaluate(CELLS)]
    assert shown[:25] == q_x.flatten().tolist()
    assert shown[25:34] == q_w.flatten().tolist()
    assert shown[-9:] == q_y.flatten().tolist()
    for pixel in (1, 6, 9):
        set_range(player, "output", pixel)
        row, column = divmod(pixel - 1, 3)
        products = q_x[0, 0, row : row + 3, column : column + 3] * q_w[0, 0]
        assert [int(v) for v in player.evaluate(CELLS)][34:43] == products.flatten().tolist()
        assert player.locator("text.sum").text_content().replace("−", "-") == str(
            int(sums.flatten()[pixel - 1])
        )


@IN_LIGHT
def test_the_convolution_is_stepped_by_buttons_and_an_output_is_chosen_by_mouse(html, visitor):
    page, faults, _ = visitor
    faults.clear()
    page.goto((html / "book/play.html").as_uri())
    player = page.locator('[data-player="convolution"]')
    says = player.locator(".says")
    player.get_by_role("button", name="From the start").click()
    assert "Nine inputs" in says.inner_text()
    assert player.get_by_role("button", name="Back").is_disabled()
    player.get_by_role("button", name="Next").focus()
    page.keyboard.press("Enter")
    assert "zero point" in says.inner_text()
    player.locator('svg rect[style*="pointer"]').nth(4).click()
    assert player.get_by_role("slider", name=re.compile("^output")).input_value() == "5"
    assert faults == []


@IN_LIGHT
def test_the_pareto_player_has_the_front_of_the_package_and_the_recipe(html, visitor):
    page, faults, _ = visitor
    faults.clear()
    page.goto((html / "book/play.html").as_uri())
    player = page.locator('[data-player="pareto"]')
    every = read_all_models(kept_results(chapters(ROOT / "notebooks")))
    models = [model for model in every if model["chapter"] == 8]
    for cost, label in (("kb", "file in kB"), ("us", "µs for each image")):
        player.get_by_label("against").select_option(label=label)
        ordered = sorted(models, key=lambda model: (model[cost], model["accuracy"]))
        best = pareto_front([m[cost] for m in ordered], [m["accuracy"] for m in ordered])
        assert player.locator("circle.dot").count() == len(ordered)
        assert player.locator('circle.dot[r="8"]').count() == len(best)
        for i in {0, best[-1], len(ordered) - 1}:
            set_range(player, "model", i + 1)
            said = player.locator(".says").inner_text()
            assert f"Model {i + 1} of {len(ordered)}: {ordered[i]['name']}" in said
            assert ("On the front" in said) == (i in best)
            assert ordered[i]["recipe"] in said
    player.locator("circle.dot").first.click()
    assert "Model 1 of" in player.locator(".says").inner_text()
    assert faults == []


@IN_LIGHT
def test_filters_leave_the_models_of_a_chapter_and_of_the_chosen_techniques(html, visitor):
    page, _, _ = visitor
    page.goto((html / "book/play.html").as_uri())
    player = page.locator('[data-player="pareto"]')
    every = read_all_models(kept_results(chapters(ROOT / "notebooks")))
    player.get_by_label("models of").select_option("all")
    assert player.locator("circle.dot").count() == len(every)
    player.get_by_label("structured", exact=True).focus()
    page.keyboard.press("Space")
    left = [model for model in every if model["technique"] != "structured"]
    assert player.locator("circle.dot").count() == len(left)
    player.get_by_label("models of").select_option("4")
    player.get_by_label("against").select_option("us")
    n_timed = sum(model["chapter"] == 4 and model["us"] is not None for model in left)
    assert player.locator("circle.dot").count() == n_timed
    assert player.locator(".says").inner_text()


RESULTS = "book/results"


def column(table, index):
    return table.locator(f"tbody tr td:nth-child({index})").all_inner_texts()


@IN_LIGHT
@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_a_head_sorts_its_column_up_down_and_as_it_was(html, visitor, by):
    page, _, _ = visitor
    page.set_viewport_size({"width": 1440, "height": 800})
    page.goto((html / f"{RESULTS}.html").as_uri())
    table = page.locator("table.table", has_text="cut ResNet-8 + KD + QAT").first
    head = table.locator("th", has_text="file")
    before = column(table, 4)

    def press():
        if by == "mouse":
            head.get_by_role("button").click()
        else:
            head.get_by_role("button").focus()
            page.keyboard.press("Enter")
        sizes = [float(text.split()[0].replace(",", "")) for text in column(table, 4)]
        return head.get_attribute("aria-sort"), sizes

    direction, sizes = press()
    assert direction == "ascending" and sizes == sorted(sizes) and len(set(sizes)) > 5
    direction, sizes = press()
    assert direction == "descending" and sizes == sorted(sizes, reverse=True)
    direction, _ = press()
    assert direction is None and column(table, 4) == before


@IN_LIGHT
def test_a_wide_table_shows_few_columns_first_and_all_on_demand(html, visitor):
    page, _, _ = visitor
    page.set_viewport_size({"width": 1440, "height": 800})
    page.goto((html / f"{RESULTS}.html").as_uri())
    table, tools = page.locator("table.table").first, page.locator(".table-tools").first
    few = table.locator("th:visible").all_inner_texts()
    assert len(few) <= 5 and "accuracy" in few[1] and any("file" in name for name in few)
    button = tools.get_by_role("button")
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    page.keyboard.press("Enter")
    assert table.locator("th:visible").count() == table.locator("th").count() >= 8
    assert button.get_attribute("aria-expanded") == "true"
    assert table.locator("td.bar").count() > 10


@IN_LIGHT
@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_the_data_of_a_table_can_be_taken_away(html, visitor, by, tmp_path):
    page, faults, _ = visitor
    faults.clear()
    page.goto((html / f"{RESULTS}.html").as_uri())
    table = page.locator("table.table").first
    expected = table.evaluate(
        "t => [...t.rows].map(r => [...r.cells].map(c => c.innerText.trim()))"
    )
    files = {}
    for kind in ("CSV", "JSON"):
        link = page.locator(".table-tools").first.get_by_role("link", name=kind)
        with page.expect_download() as download:
            if by == "mouse":
                link.click()
            else:
                link.focus()
                page.keyboard.press("Enter")
        assert download.value.suggested_filename == f"results-table-1.{kind.lower()}"
        download.value.save_as(tmp_path / kind)
        files[kind] = (tmp_path / kind).read_text(encoding="utf-8")
    lines = list(csv.reader(files["CSV"].splitlines()))
    assert [line[0] for line in lines[1:]] == [row[0] for row in expected[1:]]
    assert lines[0][3] == "weights" and len(lines[0]) == len(expected[0])
    rows = json.loads(files["JSON"])
    assert [list(row) for row in rows] == [lines[0]] * len(rows)
    assert rows[0]["weights"] == int(lines[1][3].replace(",", ""))
    assert faults == []


def test_without_scripts_a_table_has_all_its_columns(html, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((html / f"{RESULTS}.html").as_uri())
    heads = page.locator("table.table").first.locator("th")
    assert page.locator("table.table").first.locator("th:visible").count() == heads.count() >= 8
    context.close()
