"""What several test modules share. It is here so that it counts for `pytest notebooks`, too."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parent

pytest_plugins = ["affected"]  # the option --affected, in tests/affected.py

# For this process and for the kernels that nbval starts: data and baselines of an earlier test
# run, never those of whoever runs the tests, and no progress bars in outputs.
os.environ.setdefault("TUTORIAL_UTILS_CACHE", str(ROOT / "_build" / "cache"))
os.environ["TUTORIAL_UTILS_TRIES"] = str(ROOT / "_build" / "tries.json")
os.environ["TQDM_DISABLE"] = "1"
for name in ("TUTORIAL_UTILS_CLAIMS", "TUTORIAL_UTILS_CHANGED"):
    os.environ.pop(name, None)

PROFILES = """
parameters:
  n_bits: {type: integer, minimum: 2, maximum: 8}
  epochs: {type: number, minimum: 0.01, maximum: 1000}
  dataset: {enum: [digits, cifar10, fashion_mnist, folder]}
  data_dir: {type: [string, "null"], format: path}
  n_train: {type: [integer, "null"], minimum: 10}
  pretrained: {type: boolean}
notebooks:
  02_data: {baselines: [resnet8]}
profiles:
  smoke:
    all: {n_bits: 4, epochs: 0.5}
    01_bits: {n_bits: 3}
"""


def pytest_configure(config):
    if not config.option.nbval_sanitize_with:
        config.option.nbval_sanitize_with = str(ROOT / "tests" / "figures.cfg")


def write_cells(path: Path, *cells: str | tuple[str, ...]) -> Path:
    """Write a notebook. A cell is code, or Markdown when it starts with #, or (code, *tags)."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = new_notebook(metadata={"kernelspec": kernel})
    for cell in cells:
        source, *tags = (cell,) if isinstance(cell, str) else cell
        make = new_markdown_cell if source.startswith("#") else new_code_cell
        notebook.cells.append(make(source, metadata={"tags": tags} if tags else {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The notebooks of a small book, in a folder with a space in its name, as current folder."""
    root = tmp_path / "a clone"
    bits = ("n_bits = 8\nepochs = 1", "parameters")
    write_cells(root / "notebooks" / "01_bits.ipynb", "# Bits", bits, "print(n_bits, epochs)")
    data = (
        'dataset = "digits"\ndata_dir = None\nn_train = None\npretrained = False',
        "parameters",
    )
    write_cells(root / "notebooks" / "02_data.ipynb", "# Data", data, "print(dataset)")
    (root / "notebooks" / "profiles.yml").write_text(PROFILES)
    monkeypatch.chdir(root)
    return root
