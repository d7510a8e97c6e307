"""The exercises of chapter 6 on layers that share channels and on cutting a residual block."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.models import Block
from tutorial_utils.pruning.channels import remove_channels

Network = dict[str, tuple[str, list[str]]]
Groups = list[list[str]]


def _network_cases() -> list[Case]:
    plain = {"a": ("conv", ["image"]), "r": ("relu", ["a"]), "b": ("conv", ["r"])}
    block = plain | {"sum": ("add", ["b", "r"]), "c": ("conv", ["sum"])}
    stage = block | {"d": ("conv", ["c"]), "sum2": ("add", ["sum", "d"]), "e": ("conv", ["sum2"])}
    apart = {
        "a": ("conv", ["image"]),
        "b": ("conv", ["a"]),
        "c": ("conv", ["b"]),
        "d": ("conv", ["c"]),
        "n": ("norm", ["d"]),
        "sum": ("add", ["n", "b"]),
        "r": ("relu", ["sum"]),
        "sum2": ("add", ["a", "c"]),
        "sum3": ("add", ["sum2", "r"]),
    }
    return [
        Case(what, {"network": network})
        for what, network in (
            ("a chain", plain),
            ("a block around one convolution", block),
            ("two blocks, one after the other", stage),
            ("two groups that an addition joins", apart),
        )
    ]


def _groups(network: Network, *, joins=True, through=True, reads=False) -> Groups:
    source: dict[str, str] = {}
    groups = []
    for name, (kind, inputs) in network.items():
        known = [source[i] for i in inputs if i in source]
        if kind == "conv":
            source[name] = name
            groups.append({name})
            known = [name, *known] if reads else []
        elif through or kind == "add":
            source[name] = known[0] if known else name
        if kind == "add" or reads:
            tied = [group for group in groups if group & set(known)]
            if joins or len(tied) < 2 or all(len(group) == 1 for group in tied):
                groups = [group for group in groups if group not in tied]
                groups.append(set().union(*tied))
    return sorted(sorted(group) for group in groups if group)


def _in_order(function: Callable, network: Network) -> object:
    answer = function(network)
    if isinstance(answer, list | tuple | set) and all(
        isinstance(group, list | tuple | set | frozenset) and all(isinstance(n, str) for n in group)
        for group in answer
    ):
        return sorted(sorted(group) for group in answer)
    return answer


CHANNEL_GROUPS = Exercise(
    6,
    "channel_groups",
    _network_cases,
    _groups,
    (
        (
            lambda network: sorted([n] for n, (kind, _) in network.items() if kind == "conv"),
            "an addition needs the same channels on both sides: what makes them loses them "
            "together",
        ),
        (
            lambda network: _groups(network, joins=False),
            "a layer of one group and a layer of another are added: then both groups are one",
        ),
        (
            lambda network: _groups(network, through=False),
            "a ReLU or a batch norm hands the channels on: look behind it for what makes them",
        ),
        (
            lambda network: _groups(network, reads=True),
            "a convolution that reads the channels makes new ones: it loses inputs, not outputs",
        ),
    ),
    observe=_in_order,
    after="All blocks of a stage share one group, because each adds to what came before; only the "
    "channels inside a block are free. In practice a library traces these groups, and a score of a "
    "channel is summed over all layers of its group.",
)


def _block(n_in: int, n_out: int, stride: int) -> nn.Module:
    generator = torch.Generator().manual_seed(n_out)
    block = Block(n_in, n_out, stride).eval()
    for name, values in block.state_dict().items():
        if values.is_floating_point():
            drawn = torch.randn(values.shape, generator=generator)
            values.copy_(drawn.abs() + 0.5 if "running_var" in name else drawn)
    return block


def _block_cases() -> list[Case]:
    def case(what: str, block: nn.Module, *keep: int) -> Case:
        return Case(what, {"block": block, "keep": torch.tensor(keep)})

    return [
        case("all channels stay", _block(4, 4, 1), 0, 1, 2, 3),
        case("half of them stay", _block(4, 4, 1), 1, 3),
        case("a block that halves the resolution", _block(3, 6, 2), 0, 2, 5),
        case("one channel stays", _block(2, 5, 2), 4),
    ]


def _cut_block(block: nn.Module, keep: Tensor) -> nn.Module:
    small = copy.deepcopy(block)
    parts = remove_channels(block.conv1, block.bn1, block.conv2, keep)
    small.conv1, small.bn1, small.conv2 = parts
    return small


def _answers(function: Callable, block: nn.Module, keep: Tensor) -> object:
    """What the smaller block answers, how wide it says it is, and how many weights it has."""
    small = function(block, keep)
    if not isinstance(small, nn.Module):
        return small
    size = block.conv1.in_channels
    images = torch.randn(2, size, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = small(images)
    widths = [small.conv1.out_channels, small.bn1.num_features, small.conv2.in_channels]
    n_weights = sum(weight.numel() for weight in small.parameters())
    return {"outputs": outputs, "widths": widths, "weights": n_weights}


def _first_ones(block: nn.Module, keep: Tensor, part: str, *names: str) -> nn.Module:
    """Tensors of the first channels, however they are called, in the place of those that stay."""
    small, first = _cut_block(block, keep), _cut_block(block, torch.arange(len(keep)))
    for name in names:
        getattr(getattr(small, part), name).data.copy_(getattr(getattr(first, part), name))
    return small


_STATISTICS = ("running_mean", "running_var")
_NORM = (
    "the batch norm normalises with numbers of other channels: cut all four of its tensors by keep"
)


def _masked(block: nn.Module, keep: Tensor) -> nn.Module:
    small = copy.deepcopy(block)
    gone = [c for c in range(block.conv1.out_channels) if c not in keep.tolist()]
    with torch.no_grad():
        small.conv2.weight[:, gone] = 0
    return small


CUT_BLOCK = Exercise(
    6,
    "cut_block",
    _block_cases,
    _cut_block,
    (
        (lambda block, keep: _first_ones(block, keep, "bn1", *_STATISTICS), _NORM),
        (lambda block, keep: _first_ones(block, keep, "bn1", "weight", "bias"), _NORM),
        (
            lambda block, keep: _first_ones(block, keep, "bn1", *_STATISTICS, "weight", "bias"),
            _NORM,
        ),
        (
            lambda block, keep: _first_ones(block, keep, "conv2", "weight"),
            "the second convolution reads other channels than those that stay: its dimension 1",
        ),
        (_masked, "zeros are no cut: the layers are as large as before"),
        (lambda block, keep: copy.deepcopy(block), "nothing is removed"),
    ),
    observe=_answers,
    after="The answers agree to rounding with those of the large block whose other channels are "
    "zero. In practice make this comparison after each cut, before any training: training would "
    "hide a mistake.",
)
