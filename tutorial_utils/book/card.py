"""The picture that stands beside a link to the book elsewhere: title, headline, Pareto picture."""

from pathlib import Path

import matplotlib.pyplot as plt

from tutorial_utils.book.front import headline, read_models, technique
from tutorial_utils.plotting import plot_pareto


def write_card(path: Path, title: str, table: str) -> None:
    """Write a picture of 1200 x 630 pixels, the size that most places show.

    Args:
        path: a PNG file; its folder is made.
        title: of the book.
        table: the table "combining" of chapter 8.
    """
    models = read_models(table)
    figure, ax = plt.subplots(figsize=(12, 6.3), layout="none")
    figure.subplots_adjust(left=0.56, right=0.96, top=0.92, bottom=0.16)
    plot_pareto(
        ax,
        [model.share for model in models],
        [model.points for model in models],
        [""] * len(models),
        [technique(model.name) for model in models],
    )
    ax.set(xlabel="size of the file", ylabel="points of accuracy, against the original")
    ax.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    words = title.split()
    half = (len(words) + 1) // 2
    lines = [" ".join(words[:half]), " ".join(words[half:])]
    figure.text(0.04, 0.66, "\n".join(lines), fontsize=31, weight="bold", linespacing=1.3)
    said = headline(table).strip("*").replace(", ", "\n")
    figure.text(0.04, 0.3, said, fontsize=24, linespacing=1.5)
    figure.text(0.04, 0.1, "A book in which every number is computed", fontsize=16)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, bbox_inches=None)
    plt.close(figure)
