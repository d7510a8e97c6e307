"""Which channels of a network belong together: groups found by torch-pruning, and cutting one."""

from collections.abc import Collection
from traceback import walk_tb

import torch
import torch_pruning
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch_pruning.dependency import Group, Node

from tutorial_utils.errors import InputError
from tutorial_utils.pruning.masks import prunable_layers

_OUTPUT_CUTS = (
    torch_pruning.prune_conv_out_channels,
    torch_pruning.prune_depthwise_conv_out_channels,
    torch_pruning.prune_linear_out_channels,
    torch_pruning.prune_batchnorm_out_channels,
)

_INPUT_CUTS = (
    torch_pruning.prune_conv_in_channels,
    torch_pruning.prune_depthwise_conv_out_channels,  # its inputs are its outputs
    torch_pruning.prune_linear_in_channels,
)


def find_groups(model: nn.Module, example: Tensor, skip: Collection[str]) -> list[Group]:
    """The groups of torch-pruning, without those that cut a skipped layer or the output layer."""
    layers = prunable_layers(model)
    kept = [layer for name, layer in layers.items() if name not in prunable_layers(model, skip)]
    kept += _output_layers(model.eval(), example)
    try:
        with torch.enable_grad():  # it follows the autograd graph
            # In a tuple, because a bare tensor would be unpacked into its images.
            graph = torch_pruning.DependencyGraph().build_dependency(model, (example,))
        groups = list(graph.get_all_groups(kept, root_module_types=(nn.Conv2d, nn.Linear)))
    except TimeoutError:  # a limit that the caller set says nothing about the network
        raise
    except Exception as error:  # the library raises whatever goes wrong inside it
        raise InputError(_unable(model, error, _place(model, error))) from error
    if not groups:
        raise InputError(
            "nothing to prune: every convolution and linear layer is skipped, gives the output, "
            "or is coupled with one that does"
        )
    for group in groups:
        for layer in {item.dep.target.module for item in group}:
            if not isinstance(layer, nn.Conv2d) or layer.groups == 1:
                continue
            if not layer.groups == layer.in_channels == layer.out_channels:
                raise InputError(
                    f"{layer} is grouped but not depthwise, which is not handled: put "
                    f"{cut_layers(group, model)} into skip"
                )
    return groups


def output_cuts(group: Group) -> list:
    """The items of a group that cut output channels of a layer with weights."""
    return [item for item in group if item.dep.handler in _OUTPUT_CUTS]


def removed_widths(group: Group) -> dict[nn.Module, tuple[int, int]]:
    """How many inputs and outputs each convolution or linear layer loses with one channel.

    A linear layer behind a flattening loses several inputs.
    """
    lost: dict[nn.Module, tuple[int, int]] = {}
    for item in group:
        layer = item.dep.target.module
        if isinstance(layer, nn.Conv2d | nn.Linear):
            n_in, n_out = lost.get(layer, (0, 0))
            n = len(item.idxs) // len(group[0].idxs)
            n_in += n * (item.dep.handler in _INPUT_CUTS)
            n_out += n * (item.dep.handler in _OUTPUT_CUTS)
            lost[layer] = n_in, n_out
    return lost


def cut_layers(group: Group, model: nn.Module) -> list[str]:
    """Names of the convolutions and linear layers that lose output channels with a group."""
    cut = [item.dep.target.module for item in output_cuts(group)]
    return [name for name, layer in prunable_layers(model).items() if layer in cut]


def _output_layers(model: nn.Module, example: Tensor) -> list[nn.Module]:
    """The layers whose channels the outputs are: between the two there is no other layer.

    They are found by going back from the outputs through the graph of autograd.
    """
    layer_of = {id(layer.weight): layer for layer in prunable_layers(model).values()}
    with torch.enable_grad():
        outputs = tree_leaves(model(example))
    todo = [output.grad_fn for output in outputs if isinstance(output, Tensor)]
    found, seen = [], set()
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        before = [n for n, _ in node.next_functions if n is not None]
        # The weight of a linear layer may be transposed first.
        turned = [m for n in before if "TBackward" in n.name() for m, _ in n.next_functions]
        layers = [layer_of.get(id(getattr(leaf, "variable", None))) for leaf in before + turned]
        if any(layers):
            found += filter(None, layers)
        else:
            todo += before
    return found


def cut_group(group: Group, channels: list[int], model: nn.Module) -> None:
    """Remove channels from all layers of a group."""
    try:
        group.prune(channels)
    except TimeoutError:  # a limit that the caller set says nothing about the network
        raise
    except Exception as error:  # the library raises whatever goes wrong inside it
        where = f" in the layers {cut_layers(group, model)}"
        raise InputError(_unable(model, error, where)) from error


def check_it_runs(model: nn.Module, example: Tensor) -> None:
    """Run a model that was cut, and name the layer where it fails if it does."""
    names = {module: name for name, module in model.named_modules()}
    entered = [""]
    hooks = [
        module.register_forward_pre_hook(lambda module, _inputs: entered.append(names[module]))
        for module in model.modules()
    ]
    try:
        with torch.no_grad():
            model.eval()(example)
    except Exception as error:  # whatever the code of the model raises
        raise InputError(_unable(model, error, f" in layer {entered[-1]!r}")) from error
    finally:
        for hook in hooks:
            hook.remove()


def _place(model: nn.Module, error: Exception) -> str:
    """Behind which layer torch-pruning gave up: its functions hold the nodes of its graph."""
    names = {layer: name for name, layer in prunable_layers(model).items()}
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    found = [v for f in reversed(frames) for v in f.f_locals.values() if isinstance(v, Node)]
    for node in found:  # grows on the way back to a layer
        if node.module in names:
            return f" behind layer {names[node.module]!r}"
        found += [before for before in node.inputs if before not in found]
    return ""


def _unable(model: nn.Module, error: Exception, where: str = "") -> str:
    """Why a network cannot be cut, in one line."""
    reason = " ".join(str(error).split())[:200]
    return (
        f"{type(model).__name__} cannot be cut{where} ({type(error).__name__}: {reason}): "
        "torch-pruning does not understand how its layers share channels; put those around that "
        "place into skip, or cut by hand with remove_channels"
    )
