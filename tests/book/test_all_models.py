"""The models of the Pareto player: what the chapters' tables say, nothing else."""

import json
import re

import pytest
from conftest import ROOT

from tutorial_utils.book.front import headline, parse_table
from tutorial_utils.book.models import models_data, read_all_models
from tutorial_utils.book.notebooks import chapters, kept_results
from tutorial_utils.errors import InputError
from tutorial_utils.plotting import COLOURS
from tutorial_utils.recipes import TABLES

HEADER = "| model | accuracy (95 %) | points (95 %) | file | ms, batch 64 |\n|-|-|-|-|-|\n"


@pytest.fixture(scope="module")
def kept():
    return kept_results(chapters(ROOT / "notebooks"))


def test_every_row_of_the_tables_is_a_model_with_the_cells_of_its_row(kept):
    models = read_all_models(kept)
    keys = ("ptq", "qat", "pruning", "structured", "distillation", "combining")
    rows = [row for key in keys for row in parse_table(kept[key].partition("\n\n")[0])]
    assert [model["name"] for model in models] == [next(iter(row.values())) for row in rows]
    for model, row in zip(models, rows, strict=True):
        cells = list(row.values())
        assert {model["accuracy_text"], model["points"]} <= set(cells)
        assert f"{model['accuracy']:.1f}%" == cells[1].split()[0]
        assert any(cell.startswith(f"{model['kb']:,.0f} kB") or
                   cell.startswith(f"{model['kb']:,.1f} kB") for cell in cells)  # fmt: skip
        assert model["technique"] in COLOURS


def test_each_recipe_of_chapter_8_is_written_out(kept):
    recipes = {m["name"]: m["recipe"] for m in read_all_models(kept) if m["chapter"] == 8}
    known = {name: recipe for table in TABLES.values() for name, recipe in table.items()}
    assert set(recipes) == set(known)
    for name, written in recipes.items():
        assert re.findall(r"(\w+)\(", written) == [step for step, _ in known[name]]


def test_the_smallest_model_is_that_of_the_headline(kept):
    models = [model for model in read_all_models(kept) if model["chapter"] == 8]
    smaller = models[0]["kb"] / min(model["kb"] for model in models)
    assert headline(kept["combining"]).startswith(f"**{smaller:.0f} times smaller")


def test_numbers_intervals_and_techniques_are_read_from_the_cells():
    rows = "| float32 | 98.5% (97.8% to 99.1%) | +0.0 | 1,107 kB (1.00×) | 13.3 ± 0.3 (1.0×) |\n"
    rows += "| int8 | 97% | -1.5 | 283 kB | 5 busy |"
    first, second = read_all_models({"ptq": HEADER + rows + "\n\nA note."})
    assert (first["accuracy"], first["low"], first["high"]) == (98.5, 97.8, 99.1)
    assert (first["kb"], first["us"], first["technique"]) == (1107, 207.8, "float")
    assert (second["low"], second["us"], second["technique"]) == (None, None, "ptq")


def test_names_tell_the_technique_before_the_chapter_does():
    rows = "".join(
        f"| {name} | 9% | | 1 kB | 1 |\n"
        for name in ("ResNet-8", "kept as it was (control)", "half, distilled", "half", "other")
    )
    techniques = [model["technique"] for model in read_all_models({"pruning": HEADER + rows})]
    assert techniques == ["float", "float", "distillation", "structured", "unstructured"]


def test_a_table_without_what_is_drawn_is_refused():
    with pytest.raises(InputError, match="'qat': expected columns accuracy and file"):
        read_all_models({"qat": "| model | accuracy |\n|-|-|\n| a | 1% |"})


def test_the_data_cannot_end_the_element_that_holds_it():
    rows = "| </script> | 9% | | 1 kB | 1 |"
    data = models_data({"qat": HEADER + rows})
    assert data.count("</script>") == 1
    (model,) = json.loads(re.search(r">(.*)</script>$", data)[1])
    assert model["name"] == "</script>"
