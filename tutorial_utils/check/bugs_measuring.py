"""Exercises in which a measurement runs, looks right and is wrong."""

import torch
from torch import Tensor, nn

from tutorial_utils.check.examine import Case, Exercise


def _accuracy_cases() -> list[Case]:
    def case(what: str, sizes: list[int], *layers: nn.Module, train: bool = False) -> Case:
        generator = torch.Generator().manual_seed(len(sizes))
        model = nn.Sequential(nn.Linear(3, 4), *layers, nn.Linear(4, 2))
        for values in model.parameters():
            nn.init.normal_(values, generator=generator)
        batches = [
            (torch.randn(n, 3, generator=generator), torch.randint(2, (n,), generator=generator))
            for n in sizes
        ]
        return Case(what, {"model": model.train(train), "batches": batches})

    return [
        case("one batch, a model in eval mode", [12], nn.ReLU()),
        case("a last batch that is smaller", [8, 8, 3], nn.ReLU()),
        case("a model in training mode, with dropout", [12, 12], nn.Dropout(0.5), train=True),
        case("a model in training mode, with batch norm", [9, 4], nn.BatchNorm1d(4), train=True),
    ]


def _accuracy(model: nn.Module, batches: list, *, train: bool = False) -> float:
    model.train(train)
    right = [(model(inputs).argmax(1) == labels) for inputs, labels in batches]
    return torch.cat(right).float().mean().item()


def _mean_of_means(model: nn.Module, batches: list) -> float:
    return sum(_accuracy(model, [batch]) for batch in batches) / len(batches)


ACCURACY_ON = Exercise(
    1,
    "accuracy_on",
    _accuracy_cases,
    _accuracy,
    (
        (_mean_of_means, "the last batch is smaller: count the images, not the batches"),
        (
            lambda model, batches: _accuracy(model, batches, train=True),
            "in training mode dropout and batch norm answer differently: model.eval() first",
        ),
    ),
    after="Two faults hid each other's traces: the mode, and the mean of means. In practice, "
    "evaluate one model twice; if the figures differ, something in it is still training.",
)


def _product_cases() -> list[Case]:
    def case(what: str, x: list, w: list, x_zero: int) -> Case:
        args = {"x": torch.tensor(x, dtype=torch.uint8), "w": torch.tensor(w, dtype=torch.int8)}
        return Case(what, args | {"x_zero": x_zero})

    return [
        case("small numbers, zero point 0", [[1, 2], [3, 4]], [[1, 0], [-1, 2]], 0),
        case("values below the zero point", [[1, 9], [0, 4]], [[1], [3]], 5),
        case("sums that need more than 8 bits", [[90, 80, 100]], [[3], [2], [-1]], 10),
        case("the widest range", [[255, 255], [0, 255]], [[127, -128], [127, -128]], 128),
    ]


def _product(x: Tensor, w: Tensor, x_zero: int) -> Tensor:
    return (x.int() - x_zero) @ w.int()


def _summed_in_eight_bits(x: Tensor, w: Tensor, x_zero: int) -> Tensor:
    return ((x.int() - x_zero).to(torch.int8) @ w).int()


def _subtracted_in_eight_bits(x: Tensor, w: Tensor, x_zero: int) -> Tensor:
    return (x - x_zero).int() @ w.int()


def _zero_point_forgotten(x: Tensor, w: Tensor, x_zero: int) -> Tensor:
    return x.int() @ w.int()


INT8_PRODUCT = Exercise(
    2,
    "int8_product",
    _product_cases,
    _product,
    (
        (_subtracted_in_eight_bits, "uint8 has no numbers below 0: widen x before you subtract"),
        (
            _summed_in_eight_bits,
            "products of 8 bits have 16, and their sum more: widen both before the product",
        ),
        (_zero_point_forgotten, "x stands for x - x_zero"),
    ),
    after="Nothing warns when integers wrap around. In practice kernels multiply 8 bits and add "
    "in 32, which is what VNNI and AMX are made for.",
)


def _calibration_cases() -> list[Case]:
    def case(what: str, n_batches: int, mean: float, std: float, loudest: int = 0) -> Case:
        generator = torch.Generator().manual_seed(n_batches)
        layer = nn.Conv2d(3, 2, 3)
        for values in layer.parameters():
            nn.init.normal_(values, generator=generator)
        batches = [torch.rand(4, 3, 5, 5, generator=generator) for _ in range(n_batches)]
        batches[loudest] = batches[loudest] * 3 - 1
        return Case(what, {"layer": layer, "batches": batches, "mean": mean, "std": std})

    return [
        case("one batch, nothing to normalise", 1, 0.0, 1.0),
        case("one batch, normalised", 1, 0.4, 0.2),
        case("three batches, the first with the extremes", 3, 0.0, 1.0),
        case("three batches, normalised", 3, 0.5, 0.25, loudest=1),
    ]


def _layer_range(layer, batches: list, mean: float, std: float, times: int = 1) -> tuple:
    for _ in range(times):
        batches = [(images - mean) / std for images in batches]
    outputs = torch.cat([layer(images) for images in batches])
    return outputs.min().item(), outputs.max().item()


ACTIVATION_RANGE = Exercise(
    3,
    "activation_range",
    _calibration_cases,
    _layer_range,
    (
        (
            lambda layer, batches, mean, std: _layer_range(layer, batches[-1:], mean, std),
            "that is the range of the last batch: keep the extremes of all",
        ),
        (
            lambda *args: _layer_range(*args, times=2),
            "the images are normalised twice: so the ranges are those of other images",
        ),
        (
            lambda layer, batches, mean, std: _layer_range(layer, batches[-1:], mean, std, 2),
            "two faults: only the last batch counts, and the images are normalised twice",
        ),
    ),
    after="A range that is far too wide looks like a bad quantizer. In practice compare a "
    "histogram of the calibration inputs with one of the inputs to come.",
)
