"""Tables hold exactly what was measured; the stored copy is the one a book page can read."""

import pytest

from tutorial_utils.book import keep, output, say
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import Latency, Measurement, comparison_table, table


@pytest.fixture
def shown(monkeypatch):
    """What cells display, since outside a notebook IPython only prints."""
    outputs = []
    monkeypatch.setattr(output, "display", lambda *a, **k: outputs.append((*a, k)))
    return outputs


def row(name, accuracy, size, ms):
    interval = (accuracy - 0.01, accuracy + 0.01)
    latency = {1: Latency(ms, 0.2), 64: Latency(10 * ms, 2.0)}
    return Measurement(name, accuracy, interval, 1000, 900, size, size // 2, 5_000_000, latency)


def test_ratios_are_relative_to_the_first_row():
    lines = comparison_table([row("fp32", 0.9, 4000, 2.0), row("int8", 0.895, 1000, 0.5)]).split(
        "\n"
    )
    assert len(lines) == 4
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert cells == [
        "int8", "89.5% (88.5% to 90.5%)", "-0.5", "1,000", "900",
        "1 kB (0.25×)", "0 kB (0.25×)", "5.0 (1.00×)", "0.50 ± 0.10 (4.0×)", "5.00 ± 1.00 (4.0×)",
    ]  # fmt: skip
    assert "+0.0" in lines[2] and "(1.00×)" in lines[2]
    assert all(line.count("|") == lines[0].count("|") for line in lines)


def test_an_empty_comparison_and_a_ragged_table_are_refused():
    with pytest.raises(InputError, match="at least one"):
        comparison_table([])
    with pytest.raises(InputError, match="2 cells"):
        table(["a", "b"], [["only one"]])


def test_keep_shows_the_text_and_stores_it_under_its_key(shown):
    keep("results", "| a |")
    (visible, _), (stored, options) = shown
    assert visible.data == "| a |"
    assert stored["application/papermill.record/text/markdown"] == "| a |"
    assert options["metadata"]["scrapbook"]["name"] == "results" and options["raw"]


def test_say_shows_markdown(shown):
    say("**1**")
    assert [visible.data for visible, _ in shown] == ["**1**"]
