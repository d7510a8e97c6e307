"""The command ``python -m tutorial_utils compress``; what it needs is imported when it runs."""

from pathlib import Path

import click


def _numbers(_context: object, _option: object, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(number) for number in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected numbers, such as 0.5,0.5,0.5") from error


@click.command()
@click.option("--factory", help="module:function or file.py:function that returns the network.")
@click.option("--weights", help="File with its state dict.")
@click.option("--data", help="module:function that returns three loaders: train, val, test.")
@click.option("--data-dir", help="Folder of images, in the place of --data.")
@click.option("--image-size", type=int, help="Height and width of the images of --data-dir.")
@click.option("--mean", callback=_numbers, help="That the network was trained with: R,G,B.")
@click.option("--std", callback=_numbers, help="That the network was trained with: R,G,B.")
@click.option("--epochs", type=float, default=0.0, help="Training after each cut; none by default.")
@click.option("--max-points-lost", type=float, default=1.0, help="Points of accuracy at most.")
@click.option("--max-mb", type=float, help="Megabytes of the file at most.")
@click.option("--seed", type=int, default=0, help="Seed of every training.")
@click.option("--compiled/--not-compiled", default=True, help="Compile and time the models.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
def compress(
    epochs: float,
    max_points_lost: float,
    max_mb: float | None,
    seed: int,
    compiled: bool,
    out: Path,
    **brought: object,
) -> None:
    """Compress your own network: try all techniques, write the best under a budget to OUT."""
    from tutorial_utils import own_model

    budget = own_model.Budget(max_points_lost, max_mb)
    recipes = own_model.own_recipes(epochs)
    own_model.check_new(out)
    own = own_model.bring(**brought)
    click.echo(f"trying {len(recipes)} recipes ...", err=True)
    attempts = own_model.try_recipes(own, recipes, compiled=compiled, seed=seed)
    chosen = own_model.recommend(attempts, budget)
    report = own_model.write_report(out, own, attempts, chosen, budget, seed)
    click.echo(own_model.explain(chosen, attempts, budget))
    click.echo(report)
