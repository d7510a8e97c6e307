"""Model compression in PyTorch: the package behind the book of that name.

One folder for each thing that one does to a model:

- `data`: images with labels, from an embedded set, a download or your own folder
- `models`: the residual networks of the book, and their trained weights
- `training`: fitting a classifier
- `measuring`: accuracy, bytes, multiply-accumulates, milliseconds, and what they prove
- `quantization`: fewer bits for each number, after training or during it
- `pruning`: fewer numbers, one by one or by whole channels
- `distillation`: a small model that learns from a large one
- `recipes`: several of these one after the other
- `deploying`: compiled models, and files that run without this package

`evidence` holds trainings that take too long for a chapter, and what they stored.
`plotting` draws the figures of the book, `legacy` holds the older quantization of torch, `check`
looks at answers to exercises, and `book` runs and renders the notebooks. `storage`, `memory`
and `errors` are what all of them stand on.
"""

__version__ = "0.1.0"
