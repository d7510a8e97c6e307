"""Tables hold exactly what was measured; the stored copy is the one a book page can read."""

import pytest

from tutorial_utils.book import keep, output, say
from tutorial_utils.errors import InputError
from tutorial_utils.measuring import (
    Latency,
    Measurement,
    comparison_table,
    paired_difference,
    seeds_table,
    speed_up,
    table,
)


@pytest.fixture
def shown(monkeypatch):
    """What cells display, since outside a notebook IPython only prints."""
    outputs = []
    monkeypatch.setattr(output, "display", lambda *a, **k: outputs.append((*a, k)))
    return outputs


def latency(ms, iqr):
    return Latency((ms - iqr, ms - iqr / 2, ms, ms + iqr / 2, ms + iqr))


def row(name, accuracy, size, ms, iqr=0.05):
    interval = (accuracy - 0.01, accuracy + 0.01)
    times = {1: latency(ms, iqr), 64: latency(10 * ms, 0.5)}
    return Measurement(name, accuracy, interval, 1000, 900, size, size // 2, 5_000_000, times)


def test_ratios_are_relative_to_the_first_row():
    lines = comparison_table([row("fp32", 0.9, 4000, 2.0), row("int8", 0.895, 1000, 0.5)]).split(
        "\n"
    )
    assert len(lines) == 4
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert cells == [
        "int8", "89.5% (88.5% to 90.5%)", "-0.5", "1,000", "900",
        "1 kB (0.25×)", "0 kB (0.25×)", "5.0 (1.00×)", "0.50 ± 0.03 (4.0×)", "5.00 ± 0.25 (4.0×)",
    ]  # fmt: skip
    assert "+0.0" in lines[2] and "(1.00×)" in lines[2]
    assert all(line.count("|") == lines[0].count("|") for line in lines)


@pytest.mark.parametrize("busy", [0, 1])
def test_a_busy_machine_is_named_and_gives_no_speed_up(busy):
    rows = [row("fp32", 0.9, 4000, 2.0), row("int8", 0.9, 1000, 0.5)]
    rows[busy] = row("busy", 0.9, 1000, 2.0, iqr=1.0)
    lines = comparison_table(rows).split("\n")
    cells = [line.strip("| ").split(" | ") for line in lines[2:4]]
    assert cells[busy][-2] == "2.00 ± 0.50 busy"
    assert cells[1][-2] in ("2.00 ± 0.50 busy", "0.50 ± 0.03")  # no factor over such a baseline
    assert all(cell[-1].endswith("×)") for cell in cells)  # the other size was not disturbed
    assert lines[4] == "" and lines[5].startswith("*busy*:") and len(lines) == 6


def test_the_factor_of_a_table_is_the_one_that_a_claim_gets():
    rows = [row("fp32", 0.9, 4000, 2.0), row("int8", 0.9, 1000, 0.7)]
    speed = speed_up(rows[0].latency[1], rows[1].latency[1])
    assert f"({speed.ratio:.1f}×)" in comparison_table(rows).split("\n")[3] and speed.skip is None


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


def test_seeds_are_compared_in_pairs_with_the_first_row():
    found = {"float": [0.97, 0.95, 0.96], "ptq": [0.9, 0.97, 0.95], "qat": [0.95, 0.93, 0.945]}
    _, _, first, inconclusive, worse = seeds_table(found).split("\n")
    assert first == "| float | 97.0, 95.0, 96.0 % | 96.0% |  |  |"
    assert inconclusive.endswith("| inconclusive |") and worse.endswith("| worse |")
    points = [100 * value for value in paired_difference(found["qat"], found["float"])]
    assert "{:+.1f} ({:+.1f} to {:+.1f})".format(*points) in worse
