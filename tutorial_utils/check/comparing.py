"""Oracle and typical mistakes for the exercise in which two models are compared in pairs."""

import torch
from torch import Tensor, nn

from tutorial_utils.check.examine import Case, Exercise

_Z = 1.959964


class _Loader:
    """Batches of (inputs, labels), in another order each time, as a loader that shuffles."""

    def __init__(self, inputs: Tensor, labels: Tensor):
        self.inputs, self.labels, self.n_passes = inputs, labels, 0

    def __iter__(self):
        self.n_passes += 1
        generator = torch.Generator().manual_seed(self.n_passes)
        for index in torch.randperm(len(self.labels), generator=generator).split(8):
            yield self.inputs[index], self.labels[index]

    def __repr__(self) -> str:
        return f"a loader of {len(self.labels)} images, in batches of 8, shuffled"

    def __eq__(self, other: object) -> bool:  # going through it is no change
        return isinstance(other, _Loader) and torch.equal(self.inputs, other.inputs)


def _cases() -> list[Case]:
    def case(what: str, n: int, noise: tuple[float, float], seed: int) -> Case:
        """Two models that know the truth but for some noise, so they fail on the same images."""
        generator = torch.Generator().manual_seed(seed)
        truth = torch.randn(3, 3, generator=generator)
        inputs = torch.randn(n, 3, generator=generator)
        labels = (inputs @ truth.T + torch.randn(n, 3, generator=generator)).argmax(1)
        models = [nn.Linear(3, 3, bias=False) for _ in noise]
        for model, size in zip(models, noise, strict=True):
            model.weight.data = truth + size * torch.randn(3, 3, generator=generator)
        args = {"model_a": models[0], "model_b": models[1]}
        return Case(what, args | {"loader": _Loader(inputs, labels)})

    return [
        case("a few images", 20, (0.1, 0.9), 5),
        case("several batches", 64, (0.1, 0.9), 5),
        case("the first model is the worse one, and the last batch is smaller", 37, (0.9, 0.1), 7),
    ]


def _right_or_not(model: nn.Module, loader: _Loader) -> Tensor:
    return (model(loader.inputs).argmax(1) == loader.labels).double()


def _interval(differences: Tensor, *, correction: int = 1, root: bool = True) -> tuple:
    spread = differences.std(correction=correction)
    half = float(_Z * spread / (len(differences) ** 0.5 if root else 1))
    mean = float(differences.mean())
    return mean, mean - half, mean + half


def _differences(model_a: nn.Module, model_b: nn.Module, loader: _Loader) -> Tensor:
    return _right_or_not(model_a, loader) - _right_or_not(model_b, loader)


def _in_two_passes(model_a: nn.Module, model_b: nn.Module, loader: _Loader) -> tuple:
    a, b = (
        torch.cat([model(inputs).argmax(1) == labels for inputs, labels in loader]).double()
        for model in (model_a, model_b)
    )
    return _interval(a - b)


def _unpaired(model_a: nn.Module, model_b: nn.Module, loader: _Loader) -> tuple:
    a, b = (_right_or_not(model, loader) for model in (model_a, model_b))
    half = float(_Z * ((a.var() + b.var()) / len(a)).sqrt())
    mean = float((a - b).mean())
    return mean, mean - half, mean + half


COMPARE_MODELS = Exercise(
    1,
    "compare_models",
    _cases,
    lambda *args: _interval(_differences(*args)),
    (
        (
            _in_two_passes,
            "the loader shuffles: the second pass has another order, and pairs of answers are to "
            "different images; ask both models in one pass",
        ),
        (
            _unpaired,
            "that is the interval for answers to different images: take the spread of the "
            "differences, image by image",
        ),
        (
            lambda *args: _interval(_differences(*args), root=False),
            "that is how far single images are from the mean; a mean of n is known better, by √n",
        ),
        (
            lambda *args: _interval(_differences(*args), correction=0),
            "the standard deviation of a sample divides by n - 1",
        ),
        (
            lambda a, b, loader: _interval(_differences(b, a, loader)),
            "a minus b: above 0 means that a is better",
        ),
    ),
    after="Images that both get right, or both wrong, count as 0, so the interval is narrower than "
    "without pairs. In practice keep the answers of each model to the same images, and where the "
    "interval contains 0, say that you do not know which is better.",
)
