"""Chapter 3: where does post-training quantization break, and what moves that place?"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from tutorial_utils.data import Split, load, to_inputs
from tutorial_utils.evidence.running import Study
from tutorial_utils.measuring import evaluate
from tutorial_utils.models import load_baseline
from tutorial_utils.quantization import choose_bits, export_graph, output_errors, quantize_ptq

METHODS = {
    "min-max": {},
    "biases": {"correct_bias": True},
    "least squares": {"weight_range": "mse"},
    "least squares and biases": {"weight_range": "mse", "correct_bias": True},
    "all three": {"weight_range": "mse", "correct_bias": True, "rounding": "gptq"},
}
BITS = (4, 3, 2)
WIDTHS = (8, 6, 5, 4, 3, 2)
MIXED, ENDS = "bits by layer, as many bytes as 3 bits", "2 bits, first and last layer 8"
N_CALIBRATION, N_SELECT = 256, 1000


@cache
def _prepared() -> tuple[nn.Module, GraphModule, Split, Split, float]:
    data = load("digits")
    model, select = load_baseline("resnet20", data), data.val[:N_SELECT]
    graph = export_graph(model, to_inputs(data.train[:2]))
    return model, graph, data.train, select, evaluate(model, select)


def bits_by_layer(model: nn.Module, images: Tensor, n_bits: float) -> dict[str, int]:
    """Bits of each layer with the bytes that `n_bits` in all layers would take."""
    n_weights = {
        name: module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    errors = output_errors(model, images, WIDTHS)
    return choose_bits(errors, n_weights, sum(n_weights.values()) * n_bits / 8)


def run(arm: str, seed: int) -> dict:
    """Quantize with other calibration images for each seed, and validate."""
    model, graph, train, select, float32 = _prepared()
    shuffled = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    calibration = to_inputs(train[shuffled[:N_CALIBRATION]])
    if arm == MIXED:
        other = bits_by_layer(model, calibration[:64], 3)
        quantized = quantize_ptq(graph, calibration, other_bits=other, **METHODS["all three"])
    elif arm == ENDS:
        other = {"conv": 8, "fc": 8}
        options = METHODS["all three"]
        quantized = quantize_ptq(graph, calibration, n_bits=2, other_bits=other, **options)
    else:
        method, _, n_bits = arm.removesuffix(" bits").rpartition(", ")
        quantized = quantize_ptq(graph, calibration, n_bits=int(n_bits), **METHODS[method])
    return {"accuracy": evaluate(quantized, select), "float32": float32}


STUDY = Study(
    "ptq_bits",
    "ResNet-20 on scene digits, post-training quantization of the weights to few bits, with three "
    f"drawings of {N_CALIBRATION} calibration images; accuracy on {N_SELECT} validation images.",
    (*(f"{method}, {n} bits" for method in METHODS for n in BITS), MIXED, ENDS),
    run,
)
