"""The exercises of chapter 3 that read a PT2E graph and pack its 4-bit weights."""

from functools import cache

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from tutorial_utils.check.examine import Case, Exercise
from tutorial_utils.quantization import export_graph, pack_bits, quantize_ptq

_LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)


def _pack_cases() -> list[Case]:
    def case(what: str, *values: int) -> Case:
        return Case(what, {"q": torch.tensor(values, dtype=torch.int8)})

    matrix = torch.arange(-8, 4, dtype=torch.int8).reshape(3, 4)
    return [
        case("two positive numbers", 1, 2),
        case("numbers below 0", -1, 7, -8, 3),
        Case("a matrix, row by row", {"q": matrix}),
        case("one number too many", 5, -2, 6),
    ]


def _pack(q: Tensor) -> Tensor:
    return pack_bits(q & 15, 4)


def _pairs(q: Tensor, first: int, second: int, code=lambda q: q & 15, *, added=False) -> Tensor:
    codes = nn.functional.pad(code(q.flatten().int()), (0, q.numel() % 2))
    low, high = codes[0::2] << first, codes[1::2] << second
    return (low + high if added else low | high).to(torch.uint8)


_SPILT = "below 0, all eight bits of an int8 are in use: -1 & 15 is 15, its low four bits"
PACK_INT4 = Exercise(
    3,
    "pack_int4",
    _pack_cases,
    _pack,
    (
        (
            lambda q: _pairs(q, 4, 0),
            "the first number belongs into the low four bits, the second into the high ones",
        ),
        (lambda q: _pairs(q, 0, 4, lambda q: q), _SPILT),
        (lambda q: _pairs(q, 0, 4, lambda q: q, added=True), _SPILT),
        (
            lambda q: _pairs(q, 0, 4, lambda q: q + 8),
            "that is q + 8, another code: here a number below 0 keeps the low four of its bits",
        ),
        (lambda q: _pack(q.flatten()[: q.numel() // 2 * 2]), "the last number is lost: add a 0"),
        (lambda q: (q & 15).to(torch.uint8).flatten(), "a byte has room for two of them"),
    ),
    after="Half the bytes of int8. In practice a kernel unpacks them in registers, while they are "
    "multiplied: what is saved is reading from memory. In PyTorch a 4-bit weight of PT2E takes a "
    "whole byte until its file is packed.",
)


class _Small(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        generator = torch.Generator().manual_seed(width)
        self.first = nn.Conv2d(3, width, 3, stride=4)
        self.second = nn.Conv2d(width, 4, 1)
        self.last = nn.Linear(4, 2)
        for weight in self.parameters():
            nn.init.normal_(weight, generator=generator)

    def forward(self, inputs: Tensor) -> Tensor:
        out = self.second(self.first(inputs).relu()).relu()
        return self.last(out.mean((2, 3)))


@cache
def _graphs() -> dict[str, GraphModule]:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    model = _Small(2).eval()
    return {
        "all weights have 8 bits": quantize_ptq(model, images),
        "4 bits, and one layer in float": quantize_ptq(model, images, n_bits=4, skip="first"),
        "not all of the same bits": quantize_ptq(
            model, images, n_bits=2, other_bits={"last": 3}, per_channel=False
        ),
        "exported, and not quantized at all": export_graph(model, images),
    }


def _graph_cases() -> list[Case]:
    return [Case(what, {"graph": graph}) for what, graph in _graphs().items()]


def _bits(graph: GraphModule, *, all_layers=True, stored=False) -> dict[str, int]:
    found = {}
    for node in graph.graph.nodes:
        if node.target in _LAYERS:
            source = node.args[1]
            if "dequantize" in str(source.target):
                low, high = source.args[-3:-1]
                found[node.name] = 8 if stored else (high - low).bit_length()
            elif all_layers:
                found[node.name] = 32
    return found


WEIGHT_BITS = Exercise(
    3,
    "weight_bits",
    _graph_cases,
    _bits,
    (
        (
            lambda graph: _bits(graph, stored=True),
            "8 is what the int8 tensor can hold, and what the layer's input has: the weight is "
            "args[1], and its dequantize node has quant_min and quant_max",
        ),
        (
            lambda graph: _bits(graph, all_layers=False),
            "a layer whose weight comes from no dequantize node is in float: 32 bits",
        ),
        (
            lambda graph: {name: n + 1 for name, n in _bits(graph).items()},
            "from -8 to 7 are sixteen values: 4 bits",
        ),
    ),
    after="The layer's own node looks the same, whether its weight is int8, of 2 bits or float. In "
    "practice read the graph before you believe a file's name: a quantizer that finds no pattern "
    "leaves a layer in float and says nothing.",
)
