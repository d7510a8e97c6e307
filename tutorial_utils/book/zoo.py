"""Trying the package on networks that nobody here wrote: torchvision's, with random weights.

`python -m tutorial_utils zoo` tries each network in a process of its own, and stores what came of
it in book/results/zoo.json; `zoo_table` shows that on a page of the book.
"""

import copy
import importlib.metadata
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from tutorial_utils.errors import InputError, check_choice
from tutorial_utils.measuring import count_macs, table
from tutorial_utils.pruning import apply_masks_, make_masks, prune_to_macs, sparsity_of
from tutorial_utils.quantization import (
    finish_qat,
    float_layers,
    prepare_qat,
    quantize_ptq,
    quantized_layers,
)
from tutorial_utils.storage import replacing

NETWORKS = (
    *("resnet50", "resnext50_32x4d", "regnet_y_400mf", "densenet121", "vgg11_bn", "googlenet"),
    *("squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
    *("shufflenet_v2_x0_5", "convnext_tiny", "vit_b_16", "swin_t"),
)
LIMIT_S = 180  # for each stage of a network
PACKAGES = ("torch", "torchvision", "torchao", "torch-pruning", "tutorial_utils")


def make_network(name: str, size: int) -> tuple[nn.Module, Tensor]:
    """An untrained network of torchvision for ten classes in eval mode, and inputs for it.

    Some batches in training mode give its batch norms statistics of the inputs. Without them the
    outputs of a deep network vanish, and nothing can be compared.

    Args:
        name: one of `NETWORKS`.
        size: of the images (8, 3, size, size).
    """
    from torchvision import models

    check_choice("network", name, NETWORKS)
    torch.manual_seed(0)
    options = {"googlenet": {"aux_logits": False, "init_weights": True}}.get(name, {})
    options |= {"image_size": size} if name == "vit_b_16" else {}
    network = models.get_model(name, weights=None, num_classes=10, **options)
    inputs = torch.randn(8, 3, size, size)
    last = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    nn.init.normal_(last.weight, std=last.weight[0].numel() ** -0.5)  # zero in vit_b_16
    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(inputs)
    return network.eval(), inputs


def try_ptq(network: nn.Module, inputs: Tensor) -> str:
    """Quantize; say how many layers became integers and how far the outputs moved."""
    quantized = quantize_ptq(network, inputs)
    n_quantized, rest = len(quantized_layers(quantized)), float_layers(quantized)
    with torch.no_grad():
        moved = (quantized(inputs) - network(inputs)).norm() / network(inputs).norm()
    text = f"{n_quantized} of {n_quantized + len(rest)} layers, outputs move by {moved:.0%}"
    return text + (f"; in float: {rest[0]} and {len(rest) - 1} like it" if rest else "")


def try_qat(network: nn.Module, inputs: Tensor) -> str:
    """Train some quantized steps; say what became of the loss and whether conversion keeps it."""
    prepared = prepare_qat(network, inputs)
    labels = torch.arange(len(inputs)) % 10
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
    losses = []
    prepared.train()
    for _ in range(3):
        loss = nn.functional.cross_entropy(prepared(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    prepared.eval()
    with torch.no_grad():
        same = torch.equal(finish_qat(prepared)(inputs).argmax(1), prepared(inputs).argmax(1))
    return (
        f"loss {losses[0]:.2f} to {losses[-1]:.2f}, converted {'as' if same else 'NOT as'} trained"
    )


def try_masks(network: nn.Module, inputs: Tensor) -> str:
    """Set half of the weights to zero, and run."""
    network = copy.deepcopy(network)
    apply_masks_(network, make_masks(network, 0.5))
    with torch.no_grad():
        finite = torch.isfinite(network(inputs)).all()
    return f"{sparsity_of(network):.0%} zeros" + ("" if finite else ", outputs are NOT finite")


def try_channels(network: nn.Module, inputs: Tensor) -> str:
    """Cut to half of the MACs; run, train and copy what is left."""
    pruned = copy.deepcopy(prune_to_macs(network, inputs[:1], 0.5))
    outputs = pruned(inputs)
    outputs.square().mean().backward()
    share = count_macs(pruned, inputs[:1]) / count_macs(network, inputs[:1])
    return f"{share:.0%} of the MACs, {tuple(outputs.shape)[1]} outputs"


STAGES: dict[str, Callable[[nn.Module, Tensor], str]] = {
    "PTQ": try_ptq,
    "QAT": try_qat,
    "masks": try_masks,
    "half of the MACs": try_channels,
}


def try_network(name: str, size: int = 64) -> dict[str, str]:
    """What came of each stage, in words; a refusal is what the package said."""
    network, inputs = make_network(name, size)
    found = {}
    for stage, attempt in STAGES.items():
        try:
            with time_limit(LIMIT_S):
                found[stage] = attempt(network, inputs)
        except (InputError, TimeoutError) as error:
            found[stage] = f"refused: {error}"
    return found


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the block after some seconds; on Windows, which has no alarm, wait."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_zoo(path: Path, names: tuple[str, ...] = NETWORKS, again: bool = False) -> int:
    """Try each network in a fresh process, and store each result at once.

    Args:
        path: the JSON file; what is in it from the same versions is not tried again.
        names: which networks.
        again: try those as well.

    Returns:
        how many networks failed with anything but a refusal.
    """
    for name in names:
        check_choice("network", name, NETWORKS)
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if stored.get("versions") != versions:
        stored = {"versions": versions, "networks": {}}
    n_failed = 0
    for name in names:
        if name in stored["networks"] and not again:
            continue
        start = time.monotonic()
        code = "import json, sys; from tutorial_utils.book.zoo import try_network; "
        code += "print(json.dumps(try_network(sys.argv[1])))"
        command = [sys.executable, "-W", "ignore", "-c", code, name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            n_failed += 1
            print(f"{name}: FAILED: {done.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        stored["networks"][name] = json.loads(done.stdout.splitlines()[-1])
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
        print(f"{name}  {time.monotonic() - start:.0f} s", flush=True)
    return n_failed


def zoo_table(path: Path) -> str:
    """The stored results as Markdown: a table, and the versions that they are of."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows = [[f"`{name}`", *found.values()] for name, found in stored["networks"].items()]
    versions = ", ".join(f"{name} {version}" for name, version in stored["versions"].items())
    return f"{table(['network', *STAGES], rows)}\n\nWith {versions}."
