"""The models of the chapters' tables as data, for the player that draws them all."""

import json
import re
from collections.abc import Mapping

from tutorial_utils.book.front import parse_table, technique
from tutorial_utils.errors import InputError
from tutorial_utils.plotting import technique_of
from tutorial_utils.recipes import TABLES, describe

# Tables that notebooks keep: the chapter that has it, and the technique that it is about.
_TABLES = {
    "ptq": ("03_post_training_quantization", "ptq"),
    "qat": ("04_quantization_aware_training", "qat"),
    "pruning": ("05_unstructured_pruning", "unstructured"),
    "structured": ("06_structured_pruning", "structured"),
    "distillation": ("07_knowledge_distillation", "distillation"),
    "combining": ("08_combining", "combined"),
}
_RECIPES = {name: recipe for recipes in TABLES.values() for name, recipe in recipes.items()}
_UNTOUCHED = re.compile(r"(float32|ResNet-\d+)(,.*)?$|.*\bcontrol\b")


def read_all_models(kept: Mapping[str, str]) -> list[dict]:
    """Return each model of the chapters' tables.

    Args:
        kept: Markdown tables by key, as `kept_results` returns them; other keys are passed over.

    Returns:
        of each model its `name`, `chapter` (number), `page`, `technique` (a key of
        `plotting.COLOURS`), `accuracy` in percent with `low` and `high` where the table has an
        interval, the cells `accuracy_text` and `points`, `kb`, `us` (microseconds for each image
        of the largest batch, None where there is no time or the machine was busy), and `recipe`:
        its steps, where chapter 8 has them.

    Raises:
        InputError: when a table has no column for accuracy or file.

    >>> table = "| model | accuracy (95 %) | file |\\n|-|-|-|\\n| PTQ | 98.5% (98% to 99%) | 3 kB |"
    >>> (model,) = read_all_models({"ptq": table})
    >>> [model[key] for key in ("accuracy", "low", "high", "kb", "us", "technique")]
    [98.5, 98.0, 99.0, 3.0, None, 'ptq']
    """
    return [
        _model(row, key) for key in _TABLES if key in kept for row in parse_table(_rows(kept[key]))
    ]


def models_data(kept: Mapping[str, str]) -> str:
    """Return the models as JSON in an element that scripts of the page can read."""
    text = json.dumps(read_all_models(kept), ensure_ascii=False).replace("</", "<\\/")
    return f'<script type="application/json" id="models">{text}</script>'


def _rows(text: str) -> str:
    """A kept text without what stands below its table."""
    return text.partition("\n\n")[0]


def _model(row: dict[str, str], key: str) -> dict:
    name = next(iter(row.values()))
    accuracy, file = _cell(row, "accuracy"), _cell(row, "file")
    if not accuracy or not file:
        raise InputError(f"the table {key!r}: expected columns accuracy and file, got {list(row)}")
    page, default = _TABLES[key]
    recipe = _RECIPES.get(name) if key == "combining" else None
    value, *interval = [float(figure) for figure in re.findall(r"[\d.]+", accuracy)]
    low, high = interval if len(interval) == 2 else (None, None)
    return {
        "name": name,
        "chapter": int(page[:2]),
        "page": page,
        "technique": technique_of(recipe) if recipe is not None else _technique(name, default),
        "accuracy": value,
        "low": low,
        "high": high,
        "accuracy_text": accuracy,
        "points": _cell(row, "points"),
        "kb": _number(file),
        "us": _us(row),
        "recipe": describe(recipe).replace("`", "") if recipe else "",
    }


def _cell(row: dict[str, str], start: str) -> str:
    return next((cell for name, cell in row.items() if name.startswith(start)), "")


def _us(row: dict[str, str]) -> float | None:
    """Microseconds for each image of the largest batch; none when the machine was busy."""
    times = {int(n[1]): row[n[0]] for name in row if (n := re.match(r"ms, batch (\d+).*", name))}
    if not times or "busy" in times[max(times)]:
        return None
    return round(1e3 * _number(times[max(times)]) / max(times), 1)


def _number(text: str) -> float:
    return float(re.match(r"[\d.,]+", text)[0].replace(",", ""))


def _technique(name: str, default: str) -> str:
    """The technique that a name tells of, else that of its chapter; none for what is untouched."""
    if _UNTOUCHED.match(name):
        return "float"
    named = "distillation" if "distilled" in name else technique(name)
    return default if named == "float" else named
