"""Scene digits: real handwriting composed into small colour scenes, generated in seconds.

The handwriting is the 1,797 digits of 8x8 pixels that scikit-learn carries (UCI, Optical
Recognition of Handwritten Digits). A scene is a digit on a coloured, textured background: turned,
sheared, scaled and shifted at random, with three stroke fragments of other digits behind it, and
noise. No source digit occurs in two splits.

All arithmetic is in double precision and ends in 8-bit pixels, so that differences in the last bit
between processors and numbers of threads vanish.
"""

import hashlib
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor

from tutorial_utils.storage.files import cache_dir
from tutorial_utils.storage.tensors import cached_tensors

CLASSES = tuple("0123456789")
SIZES = {"train": 20_000, "val": 2_500, "test": 5_000}
SIZE = 32  # pixels
CONTRAST = 0.4  # least distance between the colours of paper and ink, in the RGB cube
TEXTURE = 0.2  # of the paper, as is NOISE: for colours from 0 to 1
NOISE = 0.06
KINDS = ("images", "labels", "sources")  # of tensors, of each split
FRAGMENTS = 3  # of other digits, behind the digit
MEAN = (0.5036, 0.4996, 0.4999)  # of the training scenes, see test_digits.py
STD = (0.2904, 0.2905, 0.2905)
Scenes = dict[str, tuple[Tensor, Tensor, Tensor]]  # images, labels, sources


def load_scenes() -> Scenes:
    """Return the three splits: images, uint8 (N, 3, 32, 32), labels and sources, int64 (N,).

    They are generated once and cached. A damaged cache, or one written by another version of this
    file, is made anew.
    """

    def make() -> dict[str, Tensor]:
        return {
            f"{part} {kind}": tensor
            for part, tensors in make_scenes().items()
            for kind, tensor in zip(KINDS, tensors, strict=True)
        }

    this_module = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    stored = cached_tensors(cache_dir() / "digits.safetensors", this_module, make)
    return {part: tuple(stored[f"{part} {kind}"] for kind in KINDS) for part in SIZES}


def make_scenes(sizes: dict[str, int] = SIZES) -> Scenes:
    """Generate the splits; always the same ones for the same sizes.

    Args:
        sizes: the number of scenes per split.

    Returns:
        for each split its images, their labels, and the number of the handwritten digit (0 to
        1,796) that each shows.

    >>> images, labels, sources = make_scenes({"test": 20})["test"]
    >>> images.shape, images.dtype, labels[:12].tolist()
    (torch.Size([20, 3, 32, 32]), torch.uint8, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    """
    pixels, source_labels = load_digits(return_X_y=True)
    strokes = smooth_strokes(torch.from_numpy(pixels).view(-1, 8, 8) / 16)
    by_class = split_sources(torch.from_numpy(source_labels))
    scenes = {}
    for part, n_scenes in sizes.items():
        # Each split has a generator of its own, so the size of one does not change another.
        generator = torch.Generator().manual_seed(list(SIZES).index(part))
        labels = torch.arange(n_scenes) % 10  # in turn, so that every prefix is balanced
        made = [compose(strokes, by_class[part], batch, generator) for batch in labels.split(100)]
        images, sources = map(torch.cat, zip(*made, strict=True))
        scenes[part] = images, labels, sources
    return scenes


def split_sources(labels: Tensor) -> dict[str, list[Tensor]]:
    """Return, for each split, which source digits of each class it may use.

    Of every ten digits of a class seven go to train, one to val and two to test.

    >>> [indices.tolist() for indices in split_sources(torch.arange(20) % 2)["val"]]
    [[14], [15]]
    """
    parts: dict[str, list[Tensor]] = {"train": [], "val": [], "test": []}
    for of_class in [(labels == c).nonzero().flatten() for c in labels.unique()]:
        place = torch.arange(len(of_class)) % 10
        parts["train"].append(of_class[place < 7])
        parts["val"].append(of_class[place == 7])
        parts["test"].append(of_class[place > 7])
    return parts


def smooth_strokes(digits: Tensor) -> Tensor:
    """Return digits of 8x8 pixels at five times the size, with a margin and soft but clear edges.

    Args:
        digits: (N, 8, 8), from 0 to 1.

    Returns:
        float64 (N, 1, 50, 50), from 0 (paper) to 1 (ink); the digit takes the middle 40 pixels.
    """
    framed = F.pad(digits.double(), (1, 1, 1, 1)).unsqueeze(1)
    large = F.interpolate(framed, scale_factor=5, mode="bicubic")
    ink = ((large - 0.2) / 0.5).clamp(0, 1)
    return ink * ink * (3 - 2 * ink)


def uniform(generator: torch.Generator, *shape: int, low: float = 0, high: float = 1) -> Tensor:
    """Return random numbers between two bounds, float64."""
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def pick(by_class: list[Tensor], labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return one random source digit for each label."""
    counts = torch.tensor([len(indices) for indices in by_class])
    starts = counts.cumsum(0) - counts
    place = (uniform(generator, len(labels)) * counts[labels]).long()
    return torch.cat(by_class)[starts[labels] + place]


def place_strokes(strokes: Tensor, generator: torch.Generator, spread: float) -> Tensor:
    """Draw each digit turned, sheared, scaled and shifted at random.

    Args:
        strokes: (N, 1, 50, 50), as from `smooth_strokes`.
        spread: how far a digit may move, in units of the room around it; 1 keeps it inside.

    Returns:
        (N, 1, 32, 32), from 0 to 1.
    """
    n = len(strokes)
    size = uniform(generator, n, low=0.6, high=0.95)
    angle = uniform(generator, n, low=-math.radians(20), high=math.radians(20))
    shear = uniform(generator, n, low=-0.2, high=0.2)
    shift = spread * (1 - size) * uniform(generator, 2, n, low=-1)
    # Pixel centres from -1 to 1, first moved, then turned, sheared and scaled back: for each pixel
    # of the scene the place in the source that it shows. The margin makes the source 5/4 as wide.
    centres = (2 * torch.arange(SIZE, dtype=torch.float64) + 1) / SIZE - 1
    x = (centres.view(1, 1, -1) - shift[0].view(-1, 1, 1)).expand(n, SIZE, SIZE)
    y = (centres.view(1, -1, 1) - shift[1].view(-1, 1, 1)).expand(n, SIZE, SIZE)
    cos, sin, scale, k = (v.view(-1, 1, 1) for v in (angle.cos(), angle.sin(), size * 1.25, shear))
    turned_x, turned_y = x * cos + y * sin, y * cos - x * sin
    grid = torch.stack([(turned_x - k * turned_y) / scale, turned_y / scale], dim=3)
    return F.grid_sample(strokes, grid, mode="bilinear", align_corners=False)


def cut_fragment(drawn: Tensor, generator: torch.Generator) -> Tensor:
    """Keep what lies in a random disc near the border of each drawing (N, 1, 32, 32)."""
    n = len(drawn)
    direction = uniform(generator, n, high=2 * math.pi)
    distance = uniform(generator, n, low=0.4, high=0.9)
    centres = (2 * torch.arange(SIZE, dtype=torch.float64) + 1) / SIZE - 1
    x = centres.view(1, 1, 1, -1) - (distance * direction.cos()).view(-1, 1, 1, 1)
    y = centres.view(1, 1, -1, 1) - (distance * direction.sin()).view(-1, 1, 1, 1)
    edge = (0.55 - (x * x + y * y).sqrt()) / 0.1
    return drawn * edge.clamp(0, 1)


def draw_colours(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return colours of paper and ink, (N, 3, 1, 1) each, at least CONTRAST apart."""
    colours = uniform(generator, 2, n, 3, 1, 1)
    while (close := (colours[0] - colours[1]).square().sum(1).sqrt().flatten() < CONTRAST).any():
        colours[:, close] = uniform(generator, 2, int(close.sum()), 3, 1, 1)
    return colours[0], colours[1]


def compose(
    strokes: Tensor, by_class: list[Tensor], labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return one scene for each label, uint8 (N, 3, 32, 32), and the source of its digit (N,)."""
    n = len(labels)
    paper, ink = draw_colours(n, generator)
    texture = F.interpolate(
        uniform(generator, n, 3, 5, 5, low=-1), size=(SIZE, SIZE), mode="bicubic"
    )
    scene = paper + TEXTURE * texture
    for _ in range(FRAGMENTS):
        others = torch.randint(10, (n,), generator=generator)
        drawn = place_strokes(strokes[pick(by_class, others, generator)], generator, spread=2)
        fragment = cut_fragment(drawn, generator)
        scene.lerp_(uniform(generator, n, 3, 1, 1), fragment)
    sources = pick(by_class, labels, generator)
    scene.lerp_(ink, place_strokes(strokes[sources], generator, spread=1))
    noise = torch.randn(scene.shape, generator=generator, dtype=torch.float64)
    scene = scene.add_(noise, alpha=NOISE).clamp_(0, 1).mul_(255).round_().to(torch.uint8)
    return scene, sources
