"""The command line: ``python -m tutorial_utils COMMAND``, see ``--help``."""

from pathlib import Path

import click

from tutorial_utils.compress_command import compress
from tutorial_utils.errors import InputError, check_choice, check_positive


class _Refusing(click.Group):
    """Shows an `InputError` of any command as one line, and exits with status 2."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except InputError as error:
            reason = str(error)
        except ModuleNotFoundError as error:  # installed without what runs and renders notebooks
            reason = f"{error}: python -m pip install -r requirements-book.txt"
        click.echo(f"error: {reason}", err=True)
        context.exit(2)


# Each command imports what it needs itself, so that a wrong argument is answered at once and
# training needs neither Papermill nor Jupyter Book.
@click.group(cls=_Refusing)
def main() -> None:
    """Run the notebooks, train baselines, render the book."""


@main.command()
@click.argument("notebook", nargs=-1)
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option("--profile", default="default", help="Set of parameters: smoke, default or full.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the executed notebooks.")
@click.option("--jobs", type=click.IntRange(1), default=1, help="How many run at a time.")
@click.option("--in-place", is_flag=True, help="Refresh the stored notebooks themselves.")
def run(
    notebook: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    profile: str,
    out: Path | None,
    jobs: int,
    in_place: bool,
) -> None:
    """Execute NOTEBOOKs: numbers, names or paths; by default all chapters.

    Nothing is executed when anything is wrong with the parameters, the data or a baseline.
    """
    from tutorial_utils.book.notebooks import find_notebooks, find_root
    from tutorial_utils.book.parameters import plan, read_declarations

    if in_place and (pairs or profile != "default"):
        raise InputError("--in-place stores the default outputs; it takes no -p and no --profile")
    root = find_root()
    paths = find_notebooks(notebook, root / "notebooks")
    declarations = read_declarations(root / "notebooks")
    planned = plan(paths, pairs, profile, declarations)

    from tutorial_utils.book.run import check_data, run_notebooks

    check_data(planned, declarations)
    if run_notebooks(planned, out or root / "_build" / "notebooks", jobs=jobs, in_place=in_place):
        raise SystemExit(1)


@main.command()
@click.argument("model")
@click.option("--dataset", default="digits", help="Data set to train on.")
@click.option("--data-dir", help="Folder of the images, for the data set 'folder'.")
@click.option("--epochs", type=float, default=30.0, help="Passes over the training images.")
@click.option("--seed", type=int, default=0, help="Seed of the first weights and of the order.")
@click.option("--image-size", type=int, help="Height and width of the images of 'folder'.")
def train(
    model: str,
    dataset: str,
    data_dir: str | None,
    epochs: float,
    seed: int,
    image_size: int | None,
) -> None:
    """Train MODEL on a data set and store it as the baseline that the chapters load."""
    from tutorial_utils.data.loading import load
    from tutorial_utils.models.named import make_model
    from tutorial_utils.training.baselines import train_baseline

    make_model(model)  # refuses an unknown name before the data is read
    check_positive(epochs=epochs)
    data = load(dataset, data_dir, image_size=image_size)
    click.echo(train_baseline(model, data, epochs=epochs, seed=seed))


main.add_command(compress)


@main.command()
@click.argument("model", nargs=-1)
def baselines(model: tuple[str, ...]) -> None:
    """Train the MODELs that the package carries again, by default all, and store them in it."""
    from tutorial_utils.training.baselines import train_shipped

    train_shipped(model)


@main.command()
@click.argument("network", nargs=-1)
@click.option("--again", is_flag=True, help="Also those that were tried with these versions.")
def zoo(network: tuple[str, ...], again: bool) -> None:
    """Try the package on NETWORKs of torchvision; by default on all that the book's page lists."""
    from tutorial_utils.book.notebooks import find_root
    from tutorial_utils.book.zoo import NETWORKS, run_zoo

    path = find_root() / "book" / "results" / "zoo.json"
    if run_zoo(path, network or NETWORKS, again=again):
        raise SystemExit(1)


@main.command()
@click.argument("study", nargs=-1)
@click.option("--arm", multiple=True, help="Only this arm of the study; can be repeated.")
@click.option("--seed", type=int, multiple=True, help="Only this seed; can be repeated.")
@click.option("--check", is_flag=True, help="Store nothing; compare one seed with what is stored.")
def evidence(study: tuple[str, ...], arm: tuple[str, ...], seed: tuple[int, ...], check: bool):
    """Run the trainings of STUDYs that are not stored yet; by default of all.

    It can be stopped at any moment, and goes on where it was.
    """
    from tutorial_utils.evidence import make_again, run_study, studies

    known = studies()
    for name in study:
        check_choice("study", name, known)
    failed = False
    for found in [known[name] for name in study or sorted(known)]:
        if not check:
            run_study(found, arm, seed)
            continue
        for name, (stored, again) in make_again(found, arm, *seed[:1]).items():
            alike = abs(stored - again) <= found.tolerance
            failed |= not alike
            verdict = "as stored" if alike else f"differs by more than {found.tolerance}"
            click.echo(f"{found.name}, {name}: {found.metric} {stored:.4f}, {again:.4f}: {verdict}")
    if failed:
        raise SystemExit(1)


@main.command()
def results() -> None:
    """Write the results that the stored notebooks keep into README.md."""
    from tutorial_utils.book.notebooks import find_root
    from tutorial_utils.book.render import readme_with_results

    root = find_root()
    text = readme_with_results(root)
    (root / "README.md").write_text(text, encoding="utf-8")


@main.command()
@click.option("--force", is_flag=True, help="Overwrite a reader's answers.")
def exercises(force: bool) -> None:
    """Make the exercises from their solutions, and renew badges and links of all notebooks."""
    from tutorial_utils.book.heads import write_all
    from tutorial_utils.book.notebooks import find_root

    root = find_root()
    for path in write_all(root, force=force):
        click.echo(path.relative_to(root))


@main.command()
@click.argument("url")
def address(url: str) -> None:
    """Set the address of the repository to URL, wherever it is mentioned."""
    from tutorial_utils.book.notebooks import find_root
    from tutorial_utils.book.repository import set_address

    set_address(find_root(), url)  # in the text alone, so a reader's answers stay


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def progress(folder: Path | None) -> None:
    """List which exercises in the notebooks of FOLDER are solved, as last run and saved.

    Without FOLDER they are those of the book, and your best tries at scored exercises are listed.
    """
    from tutorial_utils.book.notebooks import find_root
    from tutorial_utils.book.progress import report

    exercises = find_root() / "notebooks" / "exercises" if folder is None else folder
    click.echo(report(exercises, own=folder is None))


@main.command()
@click.option("--executed", is_flag=True, help="Render what `run` has just executed.")
def book(executed: bool) -> None:
    """Render the book from the stored outputs, and say which page to open."""
    from tutorial_utils.book.notebooks import find_root
    from tutorial_utils.book.render import build

    root = find_root()
    notebooks = root / "_build" / "notebooks" if executed else root / "notebooks"
    click.echo("rendering ...")
    try:
        page = build(root, notebooks, root / "_build" / "html")
    except RuntimeError as error:
        click.echo(error, err=True)
        raise SystemExit(1) from error
    click.echo(f"open {page}")


@main.command()
def links() -> None:
    """Follow every link that leads out of the book, and list those that are broken."""
    from tutorial_utils.book.links import broken_links
    from tutorial_utils.book.notebooks import find_root

    root = find_root()
    for line in (found := broken_links(root, root / "_build" / "links")):
        click.echo(line)
    if found:
        raise SystemExit(1)


@main.command()
def pdf() -> None:
    """Print the rendered book into one PDF, where Chromium is installed."""
    from tutorial_utils.book.notebooks import find_root
    from tutorial_utils.book.pdf import page_names, write_pdf

    root = find_root()
    html = root / "_build" / "html"
    click.echo(write_pdf(html, page_names(root), html / "book.pdf"))


if __name__ == "__main__":
    main()
