"""Tables in Markdown."""

from collections.abc import Mapping, Sequence

from tutorial_utils.errors import InputError
from tutorial_utils.measuring.clustered import paired_accuracy
from tutorial_utils.measuring.measurement import Measurement
from tutorial_utils.measuring.statistics import paired_difference
from tutorial_utils.measuring.timing import Latency, speed_up

BUSY_NOTE = (
    "*busy*: the machine had other work while this was timed. Do not trust these times, nor "
    "compare with them; run the cell again when the machine is idle."
)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first column is text, the others are right-aligned.

    >>> print(table(["a", "b"], [["x", 1]]))
    | a | b |
    | :--- | ---: |
    | x | 1 |
    """
    if any(len(row) != len(header) for row in rows):
        raise InputError(f"every row needs {len(header)} cells, one for each column: {header}")
    lines = [header, [":---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def comparison_table(measurements: Sequence[Measurement]) -> str:
    """Markdown table of measurements; the first row is the baseline of all ratios.

    Accuracy comes with its 95 % interval, and with the difference to the baseline in points (1
    point is 1 % of the images). That has an interval of its own, because both models answered the
    same images: it is often narrower than that of either accuracy. Bytes and MACs are followed by
    their ratio to the baseline (smaller is better), latencies by the speed-up over the baseline
    (larger is better; see `speed_up`). Times that are not steady are marked "busy", and they have
    no speed-up. The operators of eager int8 models are unknown to torch's counter of MACs.
    """
    if not measurements:
        raise InputError("nothing to compare: expected at least one Measurement, the baseline")
    baseline = measurements[0]
    header = ["model", "accuracy (95 % interval)", "points (95 %)", "weights", "non-zero", "file"]
    header += ["compressed", "MMACs"]
    header += [f"ms, batch {size} (speed-up)" for size in baseline.latency]
    text = table(header, [_row(measurement, baseline) for measurement in measurements])
    steady = all(latency.steady for m in measurements for latency in m.latency.values())
    return text if steady else f"{text}\n\n{BUSY_NOTE}"


def seeds_table(accuracies: Mapping[str, Sequence[float]]) -> str:
    """Markdown table of what was trained with several seeds; the first row is the baseline.

    Args:
        accuracies: by name, one accuracy for each seed, the same seeds in the same order.

    Returns:
        of each row the accuracies, their mean, and the mean difference to the baseline in points,
        paired by seed (`paired_difference`), with its 95 % interval and what that allows to say.

    >>> print(seeds_table({"a": [0.5, 0.6, 0.7], "b": [0.6, 0.7, 0.8]}))
    | model | each seed | mean | points (95 %) | against the first row |
    | :--- | ---: | ---: | ---: | ---: |
    | a | 50.0, 60.0, 70.0 % | 60.0% |  |  |
    | b | 60.0, 70.0, 80.0 % | 70.0% | +10.0 (+10.0 to +10.0) | better |
    """
    baseline = next(iter(accuracies.values()))
    header = ["model", "each seed", "mean", "points (95 %)", "against the first row"]
    rows = []
    for name, values in accuracies.items():
        seeds = ", ".join(f"{100 * value:.1f}" for value in values) + " %"
        row = [name, seeds, f"{sum(values) / len(values):.1%}", "", ""]
        if values is not baseline:
            found = paired_difference(values, baseline)
            mean, low, high = (100 * value for value in found)
            row[3:] = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})", found.verdict
        rows.append(row)
    return table(header, rows)


def _row(m: Measurement, baseline: Measurement) -> list[str]:
    low, high = m.accuracy_interval

    def ratio(text: str, attribute: str) -> str:
        return f"{text} ({getattr(m, attribute) / getattr(baseline, attribute):.2f}×)"

    return [
        m.name,
        f"{m.accuracy:.1%} ({low:.1%} to {high:.1%})",
        _points(m, baseline),
        f"{m.n_params:,}",
        f"{m.n_nonzero:,}",
        ratio(f"{m.size_bytes / 1e3:,.0f} kB", "size_bytes"),
        ratio(f"{m.compressed_bytes / 1e3:,.0f} kB", "compressed_bytes"),
        ratio(f"{m.macs / 1e6:.1f}", "macs") if m.macs else "not counted",
        *(_time(latency, baseline.latency[size]) for size, latency in m.latency.items()),
    ]


def _points(m: Measurement, baseline: Measurement) -> str:
    points = f"{100 * (m.accuracy - baseline.accuracy):+.1f}"
    if m is baseline or m.correct is None or baseline.correct is None:
        return points
    found = paired_accuracy(m.correct, baseline.correct, m.source)
    return f"{points} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _time(latency: Latency, baseline: Latency) -> str:
    text = f"{latency.median_ms:.2f} ± {latency.iqr_ms / 2:.2f}"
    if not latency.steady:
        return f"{text} busy"
    speed = speed_up(baseline, latency)
    return text if speed.skip else f"{text} ({speed.ratio:.1f}×)"
