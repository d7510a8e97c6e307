"""Oracles and typical mistakes for the exercises of chapter 6."""

import torch
from torch import Tensor, nn

from tutorial_utils.check.blocks import CHANNEL_GROUPS, CUT_BLOCK
from tutorial_utils.check.bugs_training import REMOVE_DEAD_UNITS
from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.check.scored_networks import NARROW_NETWORK
from tutorial_utils.check.widths import CHOOSE_WIDTHS
from tutorial_utils.pruning.channels import remove_channels

Cut = tuple[Tensor, Tensor, Tensor]


def _cut_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)

    def case(what: str, weight: tuple, following: tuple, keep: list[int]) -> Case:
        shapes = {"weight": weight, "bias": weight[:1], "following": following}
        args = {name: torch.randn(*s, generator=generator) for name, s in shapes.items()}
        return Case(what, args | {"keep": torch.tensor(keep)})

    return [
        case("a convolution into a convolution", (5, 3, 3, 3), (4, 5, 3, 3), [0, 3, 4]),
        case("as many channels everywhere", (4, 4, 1, 1), (4, 4, 1, 1), [1, 2]),
        case("into a linear layer, 1 pixel for each channel", (3, 2, 3, 3), (5, 3), [0, 2]),
        case("into a linear layer, flattened from 2 x 2 pixels", (3, 2, 3, 3), (2, 12), [0, 2]),
    ]


def _cut(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    n_out, n_in = weight.shape[:2]
    conv = nn.Conv2d(n_in, n_out, weight.shape[2:])
    conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
    if following.dim() == 4:
        reader = nn.Conv2d(n_out, len(following), following.shape[2:], bias=False)
    else:
        reader = nn.Linear(following.shape[1], len(following), bias=False)
    reader.weight = nn.Parameter(following)
    small, _, narrow = remove_channels(conv, None, reader, keep)
    return small.weight.detach(), small.bias.detach(), narrow.weight.detach()


def _only_first_cut(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias[keep], following


def _outputs_cut(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias[keep], following[keep % len(following)]


def _bias_kept(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias, _cut(weight, bias, following, keep)[2]


def _kept_removed(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    others = torch.tensor([c for c in range(len(weight)) if c not in keep.tolist()])
    return _cut(weight, bias, following, others)


def _one_column_each(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    return weight[keep], bias[keep], following[:, keep]


def _columns_interleaved(weight: Tensor, bias: Tensor, following: Tensor, keep: Tensor) -> Cut:
    if following.dim() == 4:
        return _one_column_each(weight, bias, following, keep)
    columns = [c for c in range(following.shape[1]) if c % len(weight) in keep.tolist()]
    return weight[keep], bias[keep], following[:, columns]


EXERCISES = (
    CHANNEL_GROUPS,
    Exercise(
        6,
        "remove_channels",
        _cut_cases,
        _cut,
        (
            (_only_first_cut, "the next layer still reads all channels: cut its inputs as well"),
            (_outputs_cut, "the channels are inputs of the next layer: its dimension 1"),
            (_bias_kept, "each output channel has a bias: cut it as well"),
            (_kept_removed, "keep holds the channels that stay"),
            (
                _one_column_each,
                "flattened, a channel is several neighbouring columns: keep all of them",
            ),
            (_columns_interleaved, "flattening puts the pixels of one channel next to each other"),
        ),
        after="As many columns as the channel has pixels. In practice a library follows the "
        "channels through the whole graph, and you compare the outputs of both networks.",
    ),
    CHOOSE_WIDTHS,
    REMOVE_DEAD_UNITS,
    CUT_BLOCK,
    NARROW_NETWORK,
)
