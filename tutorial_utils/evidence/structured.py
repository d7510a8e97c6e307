"""Chapter 6: what structured pruning gains over a small network, and what its choices matter.

All networks learn from the same images in the same order with the loss of the baselines. Each arm
of a seed shares the order of the images with the other arms; the networks that are cut are the
shipped ones, of which there is one each.
"""

import torch
from torch import nn

from tutorial_utils.data import Dataset, batches, load, to_inputs
from tutorial_utils.evidence.running import Study
from tutorial_utils.measuring import count_macs, count_params, evaluate, fastest_ms
from tutorial_utils.models import initialize_, load_baseline
from tutorial_utils.pruning import prune_by_cost, prune_to_macs, taylor_scores
from tutorial_utils.training import fit, seed_everything, smoothed_cross_entropy

EXAMPLE = torch.zeros(1, 3, 32, 32)
TUNING_LR = 0.05  # half of what trains new weights
NEW_LR = 0.1
CRITERIA = ("random", "l1", "l2", "bn_scale", "taylor")
EPOCHS = {"short": 0.25, "long": 1.0}  # of fine-tuning after a cut by a criterion


def train(network: nn.Module, data: Dataset, epochs: float, seed: int, lr: float) -> nn.Module:
    """Train as the shipped models were, in 16-bit floats on every processor."""
    loss = smoothed_cross_entropy
    fit(network, data, epochs=epochs, lr=lr, seed=seed, loss=loss, bf16=True, show=False)
    return network


def product(arm: str, seed: int, data: Dataset) -> nn.Module:
    """The networks of the chapter's table: the cut one and its rivals, trained.

    An arm is NAME-EPOCHS: "pruned" (the same share of all layers), "counted" and "timed" (widths by
    MACs and by time), "scratch" (the shape of the pruned one, new weights), "dense" (nothing cut),
    "resnet8" (the small shipped network).
    """
    name, epochs = arm.split("-")
    network = load_baseline("resnet8" if name == "resnet8" else "resnet20", data)
    if name == "counted":
        network = prune_by_cost(network, EXAMPLE, 0.45, count_macs)
    if name == "timed":
        batch = to_inputs(data.train[:64])
        network = prune_by_cost(network, batch, 0.6, fastest_ms)
    if name in ("pruned", "scratch"):
        network = prune_to_macs(network, EXAMPLE, 0.5, criterion="l1", round_to=8)
    if name == "scratch":
        initialize_(network)
    return train(network, data, float(epochs), seed, NEW_LR if name == "scratch" else TUNING_LR)


def by_criterion(arm: str, seed: int, data: Dataset) -> tuple[dict, nn.Module]:
    """A ResNet-8 cut to half of its MACs by one criterion, trained, and how it was before that."""
    model = load_baseline("resnet8", data)
    name, length = arm.removeprefix("by_").rsplit("-", 1)
    criterion = name
    if name == "taylor":
        chosen = torch.randperm(len(data.train))[:1024]
        criterion = taylor_scores(model, batches(data.train[chosen], 128))
    gentle = prune_to_macs(model, EXAMPLE, 0.8, criterion=criterion)
    network = prune_to_macs(model, EXAMPLE, 0.5, criterion=criterion)
    cut = evaluate(network, data.val)
    train(network, data, EPOCHS[length], seed, TUNING_LR)
    return {"val_gentle": evaluate(gentle, data.val), "val_cut": cut}, network


def by_schedule(arm: str, seed: int, data: Dataset) -> nn.Module:
    """The same cut of a ResNet-8 ranked globally, or in two rounds with training between them."""
    model = load_baseline("resnet8", data)
    if arm == "global":
        network = prune_to_macs(model, EXAMPLE, 0.5, scope="global")
        return train(network, data, EPOCHS["short"], seed, TUNING_LR)
    network = model
    for target in (0.7, 0.5):
        share = count_macs(network, EXAMPLE) / count_macs(model, EXAMPLE)
        network = prune_to_macs(network, EXAMPLE, target / share)
        train(network, data, EPOCHS["short"] / 2, seed, TUNING_LR)
    return network


def run(arm: str, seed: int) -> dict:
    """Train one network; return its accuracies and its size."""
    data = load("digits")
    seed_everything(seed)
    found: dict = {}
    if arm.startswith("by_"):
        found, network = by_criterion(arm, seed, data)
    elif arm in ("global", "iterative"):
        network = by_schedule(arm, seed, data)
    else:
        network = product(arm, seed, data)
        found["test"] = evaluate(network, data.test)
        if arm in ("counted-1", "timed-1"):  # times decide, so they may differ
            convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
            found["widths"] = [layer.out_channels for layer in convolutions]
    return found | {
        "val": evaluate(network, data.val),
        "macs": count_macs(network, EXAMPLE),
        "n_params": count_params(network),
    }


PRODUCTS = ("dense-1", "pruned-1", "counted-1", "timed-1", "resnet8-1", "scratch-1")
STUDY = Study(
    name="structured",
    about="cut ResNet-20 against small networks and the same shape from scratch; criteria, rounds",
    arms=(
        *PRODUCTS,
        *(f"by_{criterion}-{length}" for length in EPOCHS for criterion in CRITERIA),
        *("global", "iterative"),
    ),
    run=run,
    metric="val",
)
