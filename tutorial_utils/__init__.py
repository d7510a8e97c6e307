"""Utilities of the book *Model compression in PyTorch*: data, models, measuring, compressing."""

__version__ = "0.1.0"
