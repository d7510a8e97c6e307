"""The headline of the front page and its picture, from the table that chapter 8 keeps."""

import re
from base64 import b64encode
from typing import NamedTuple

import matplotlib.pyplot as plt

from tutorial_utils.errors import InputError
from tutorial_utils.measuring import pareto_front
from tutorial_utils.plotting import plot_pareto
from tutorial_utils.plotting.showing import encode_png

_LOSS = 2.0  # points of accuracy that the headline may cost


def parse_table(markdown: str) -> list[dict[str, str]]:
    """Return the rows of a Markdown table, each by the names of its columns.

    >>> parse_table("| a | b |\\n| :--- | ---: |\\n| x | 1 |")
    [{'a': 'x', 'b': '1'}]
    """
    lines = [line.strip().strip("|").split("|") for line in markdown.strip().splitlines()]
    names, _, *rows = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(names, row, strict=True)) for row in rows]


class Model(NamedTuple):
    """A row of the table "combining" of chapter 8."""

    name: str
    share: float  # of the bytes of the first row's file
    faster: float  # times, at the largest batch
    points: float  # of accuracy, against the first row


def read_models(table: str) -> list[Model]:
    """Return what the table "combining" says of each model.

    Raises:
        InputError: when it has no columns for points, file and ms.

    >>> header = "| model | points | file | ms, batch 64 (speed-up) |"
    >>> rows = ["| a | +0.0 | 1,200 kB | 8 (1.0×) |", "| b | -0.1 (-1 to 0) | 300 kB | 4 (2.0×) |"]
    >>> read_models("\\n".join([header, "|-|-|-|-|", *rows]))[1]
    Model(name='b', share=0.25, faster=2.0, points=-0.1)
    """
    models, first_bytes = [], 0.0
    for row in parse_table(table):
        try:
            points, file, ms = [_column(row, start) for start in ("points", "file", "ms")]
            n_bytes, faster = _number(file), _number(ms.partition("(")[2])
            points = _number(points)
        except (StopIteration, TypeError) as error:
            message = "the table 'combining' of chapter 8: expected columns points, file and ms"
            raise InputError(f"{message}, got {row}") from error
        first_bytes = first_bytes or n_bytes
        models.append(Model(next(iter(row.values())), n_bytes / first_bytes, faster, points))
    return models


def _column(row: dict[str, str], start: str) -> str:
    """Return the last column whose name begins so: of several batches, the largest."""
    return next(cell for name, cell in reversed(row.items()) if name.startswith(start))


def _number(text: str) -> float:
    return float(re.match(r"[-+\d.,]+", text)[0].replace(",", ""))


def headline(table: str) -> str:
    """Return the headline of the front page: the smallest model that costs at most two points.

    Of two that are equally small it is the less accurate, so that nothing is picked by its luck on
    the test images.
    """
    model = min(
        (model for model in read_models(table) if model.points >= -_LOSS),
        key=lambda model: (model.share, model.points),
    )
    more = "less" if model.points < 0 else "more"
    return (
        f"**{1 / model.share:.0f} times smaller, {model.faster:.1f} times faster, "
        f"{abs(model.points):.1f} points {more} accurate**"
    )


def front_picture(table: str) -> str:
    """Return the picture of the front page as HTML: size against accuracy of all models.

    The original and the models on the Pareto front have names.
    """
    models = read_models(table)
    shares, points = [m.share for m in models], [m.points for m in models]
    named = {0, *pareto_front(shares, points)}
    names = [model.name if i in named else "" for i, model in enumerate(models)]
    figure, ax = plt.subplots(figsize=(5.8, 4))
    ax.set(
        xlabel="size of the file, share of the original's", ylabel="points, against the original"
    )
    plot_pareto(ax, shares, points, names, [technique(model.name) for model in models])
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    picture = b64encode(encode_png(figure)).decode()
    plt.close(figure)
    alt = (
        f"Files and accuracy of {len(models)} models of chapter 8. The smallest is "
        f"{1 / min(shares):.0f} times smaller than the original; the points are between "
        f"{min(points):+.1f} and {max(points):+.1f}."
    )
    source = f"data:image/png;base64,{picture}"
    return f'<div><img class="plot" width="560" alt="{alt}" src="{source}"></div>'


_WORDS = {
    r"PTQ": "ptq",
    r"QAT": "qat",
    r"KD": "distillation",
    r"\b(unstructured|sparse)\b": "unstructured",
    r"\b(structured|half|cut)\b": "structured",
}


def technique(name: str) -> str:
    """Return the key of `plotting.COLOURS` for the name of a recipe.

    >>> technique("float32"), technique("QAT, 4 bits"), technique("half + KD")
    ('float', 'qat', 'combined')
    """
    found = [key for words, key in _WORDS.items() if re.search(words, name)]
    return found[0] if len(found) == 1 else "combined" if found else "float"
