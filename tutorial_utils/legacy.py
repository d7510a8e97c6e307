"""The older, eager quantization of `torch.ao.quantization`, kept apart until torch removes it.

Eager quantization swaps modules, so it sees only what is a module: tensors must enter and leave
the integers through stubs, an addition must be a `FloatFunctional`, and convolution, batch norm
and ReLU must be fused by name. `make_quantizable` does all three to a plain model. torch warns
with every call that this flow is deprecated; nothing else in this package uses it. Its successor
is `quantization.quantize_ptq`.
"""

import copy
import operator
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.ao import quantization as tq
from torch.ao.nn.quantized import FloatFunctional
from torch.fx import GraphModule, Node, symbolic_trace

from tutorial_utils.errors import InputError
from tutorial_utils.quantization.calibration import Calibration, calibration_batches
from tutorial_utils.quantization.quantizers import default_backend, short_sums

ENGINES = {"x86": "x86", "arm": "qnnpack"}
ADDITIONS = (operator.add, operator.iadd, torch.add)


@contextmanager
def silenced() -> Iterator[None]:
    """Silence torch's notes that this flow is going away, and nothing else.

    The reader is told by the text around it, once, instead of with every layer.
    """
    with warnings.catch_warnings():
        for message in (
            r"torch\.ao\.quantization is deprecated",
            r"(?s).*pytorch/issues/184982",  # quantized dtypes
            r"Please use quant_min and quant_max",  # reduce_range, inside torch's own qconfigs
        ):
            warnings.filterwarnings("ignore", message)
        yield


def add_stubs(model: nn.Module) -> nn.Module:
    """First mending: a stub before the model makes integers, one after it makes floats again."""
    return tq.QuantWrapper(model)


def replace_additions(model: nn.Module) -> GraphModule:
    """Second mending: a traced copy whose additions of two tensors are modules.

    A ReLU that follows one is taken into it, and each call of a shared ReLU gets its own module.
    """
    traced = symbolic_trace(copy.deepcopy(model))
    relus = _calls(traced, nn.ReLU)
    for index, node in enumerate(relus):
        node.target = f"relu_{index}"
        traced.add_submodule(node.target, nn.ReLU())
    for index, node in enumerate(list(traced.graph.nodes)):
        tensors = tuple(arg for arg in node.args if isinstance(arg, Node))
        if node.target not in ADDITIONS or len(tensors) != 2:
            continue
        following = next(iter(node.users))
        with_relu = len(node.users) == 1 and following in relus
        traced.add_submodule(f"add_{index}", Add(with_relu))
        with traced.graph.inserting_before(node):
            new = traced.graph.call_module(f"add_{index}", tensors)
        (following if with_relu else node).replace_all_uses_with(new)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced.train(model.training)


def fuse_layers(traced: GraphModule, *, for_training: bool = False) -> GraphModule:
    """Third mending: a copy with convolution, batch norm and ReLU made one where they follow.

    Args:
        traced: from `replace_additions`.
        for_training: keep the batch norms, for `prepare_qat_eager`; else fold them.
    """
    groups = []
    for node in _calls(traced, nn.Conv2d):
        names = [node.target]
        for kind in (nn.BatchNorm2d, nn.ReLU):
            following = next(iter(node.users))
            if len(node.users) == 1 and following in _calls(traced, kind):
                names.append(following.target)
                node = following
        if len(names) > 1:
            groups.append(names)
    fuse = tq.fuse_modules_qat if for_training else tq.fuse_modules
    return fuse(copy.deepcopy(traced).train(for_training), groups)


def make_quantizable(model: nn.Module, *, for_training: bool = False) -> nn.Module:
    """Copy of a float model with all three mendings.

    A model with stubs of its own, as in `torchvision.models.quantization`, is only fused.

    Args:
        model: anything that `torch.fx.symbolic_trace` can trace.
        for_training: keep the batch norms, for `prepare_qat_eager`; else fold them.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> [type(m).__name__ for m in make_quantizable(net).children()]
    ['QuantStub', 'DeQuantStub', 'GraphModule']
    """
    if any(isinstance(module, tq.QuantStub) for module in model.modules()):
        model = copy.deepcopy(model).train(for_training)
        model.fuse_model(is_qat=for_training)
        return model
    return add_stubs(fuse_layers(replace_additions(model), for_training=for_training))


def apply_recipe(
    model: nn.Module, calibration: Calibration, backend: str | None = None
) -> nn.Module:
    """The recipe as many texts print it: qconfig, prepare, calibrate, convert.

    It succeeds on any model, and the result fails with its first input unless the model was
    mended before. See `quantize_eager`.

    Args:
        model: float model; it is copied and stays as it is.
        calibration: what sets the ranges of the activations, as for `quantize_ptq`.
        backend: "x86" or "arm"; None for the one of this processor.
    """
    with silenced():
        model = copy.deepcopy(model).eval()
        # Torch's own default is 7 bits everywhere; only processors without VNNI need that.
        model.qconfig = tq.QConfig(
            activation=tq.HistogramObserver.with_args(
                quant_min=0, quant_max=127 if short_sums(backend or default_backend()) else 255
            ),
            weight=tq.default_per_channel_weight_observer,
        )
        tq.prepare(model, inplace=True)
        with torch.no_grad():
            for batch in calibration_batches(calibration):
                model(batch)
    return convert_eager(model, backend)


def quantize_eager(
    model: nn.Module, calibration: Calibration, backend: str | None = None
) -> nn.Module:
    """Post-training quantization to 8 bits: the eager counterpart of `quantize_ptq`.

    Arguments are those of `apply_recipe`; the model is mended first.
    """
    return apply_recipe(make_quantizable(model), calibration, backend)


def prepare_qat_eager(model: nn.Module) -> nn.Module:
    """Put fake quantizers into a copy of `model`, in training mode, for 8-bit training."""
    with silenced():
        model = make_quantizable(model, for_training=True)
        model.qconfig = tq.QConfig(
            activation=tq.FusedMovingAvgObsFakeQuantize.with_args(
                quant_min=0, quant_max=127 if short_sums(default_backend()) else 255
            ),
            weight=tq.default_fused_per_channel_wt_fake_quant,
        )
        return tq.prepare_qat(model, inplace=True)


def convert_eager(model: nn.Module, backend: str | None = None) -> nn.Module:
    """Copy of a calibrated or trained model with integer layers, in eval mode.

    Raises:
        InputError: this build of torch has no eager integer kernels for the backend.
    """
    engine = ENGINES.get(backend or default_backend())
    if engine not in torch.backends.quantized.supported_engines:
        raise InputError(
            f"backend={backend!r}: expected one of {sorted(ENGINES)} with an engine among "
            f"{torch.backends.quantized.supported_engines}"
        )
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = engine  # conversion packs the weights for one engine
    try:
        with silenced():
            return tq.convert(model.eval())
    finally:
        torch.backends.quantized.engine = before


class Add(nn.Module):
    """An addition, and a ReLU after it if there is one, that can be observed and converted."""

    def __init__(self, relu: bool):
        super().__init__()
        self.op, self.relu = FloatFunctional(), relu

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Sum of two tensors."""
        return self.op.add_relu(a, b) if self.relu else self.op.add(a, b)


def _calls(traced: GraphModule, kind: type) -> list[Node]:
    """Nodes that call a module of this very type, in order."""
    modules = dict(traced.named_modules())
    return [
        node
        for node in traced.graph.nodes
        if node.op == "call_module" and type(modules[node.target]) is kind
    ]
