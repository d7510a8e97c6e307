"""Pictures from a data set, alone or above what networks say of them."""

from collections.abc import Mapping, Sequence

import torch

from tutorial_utils.errors import requires_extra

with requires_extra("plots"):
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure


def show_images(images: torch.Tensor, titles: Sequence[str], n_columns: int = 8) -> Figure:
    """A grid of ``uint8`` images ``(N, 3, H, W)``, each with its title."""
    n_rows = -(-len(images) // n_columns)
    size = (n_columns, 1.3 * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (image, title) in zip(axes.flat, zip(images, titles, strict=True), strict=False):
        ax.imshow(image.permute(1, 2, 0).numpy())
        ax.set_title(title, fontsize="small")
    return figure


def show_soft_targets(
    images: torch.Tensor, targets: Mapping[str, torch.Tensor], classes: Sequence[str]
) -> Figure:
    """A column for each image: the image, and below it a row of bars for each kind of target.

    Args:
        images: uint8 (N, 3, H, W).
        targets: by title, the probabilities (N, n_classes).
        classes: name of each class.
    """
    size = (5.6, 1.3 * (1 + len(targets)))
    figure, axes = plt.subplots(1 + len(targets), len(images), figsize=size, squeeze=False)
    for ax, image in zip(axes[0], images, strict=True):
        ax.imshow(image.permute(1, 2, 0).numpy())
        ax.axis("off")
    for row, (title, probabilities) in zip(axes[1:], targets.items(), strict=True):
        row[0].set_ylabel(title)
        for ax, bars in zip(row, probabilities, strict=True):
            ax.bar(range(len(classes)), bars.tolist())
            ax.set(ylim=(0, 1), yticks=[0, 1])
            ax.set_xticks(range(len(classes)), classes, fontsize=9)
            ax.label_outer()
    return figure
