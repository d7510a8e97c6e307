# %% [markdown]
# # 6. Structured pruning
#
# **The question: how do you make the layers themselves smaller, so that there is less to store and less to compute?**
#
# Single weights that are zero still take part in every dense multiplication. A channel that is *gone* does not: its weights leave the file, its multiplications leave the clock. This chapter removes whole channels. The hard part is that channels hang together.
#
# **You will**
#
# - see that zeroing channels with `ln_structured` saves nothing;
# - take channels out of a chain of layers by hand, and prove that the answer stays the same;
# - see why the same cut breaks a residual network, and cut a whole group of coupled layers instead;
# - compare ways to choose the channels, at equal multiply-accumulates (MACs) and equal training;
# - halve the MACs of ResNet-20, and find out why the time does not quite follow.
#
# **You need** chapter 1; chapter 5 helps. **Time:** about 35 minutes to read, two and a half minutes to run.

# %%
import copy
import sys
from collections import Counter
from time import perf_counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import torch_pruning
from torch import nn
from torch.nn.utils import prune
from torch.testing import assert_close
from torchvision.models import resnet18

from tutorial_utils import data as datasets
from tutorial_utils import models, plotting
from tutorial_utils.claims import claim
from tutorial_utils.coupled import coupled_layers, prune_channels, prune_to_macs
from tutorial_utils.inference import compile_for_inference
from tutorial_utils.measure import count_macs, count_nonzero, count_params, measure, size_bytes
from tutorial_utils.pruning import prunable_layers
from tutorial_utils.report import comparison_table, keep, say, table
from tutorial_utils.structured import channel_scores, mask_channels, remove_channels, taylor_scores
from tutorial_utils.timing import describe_machine, measure_latency
from tutorial_utils.training import evaluate, fit, seed_everything, smoothed_cross_entropy

# %% tags=["parameters"]
dataset = "digits"  # or "cifar10", "fashion_mnist", "folder"
data_dir = None  # where the images are, for "folder"
seed = 0
n_train = None  # training images for fine-tuning, None for all
epochs = 1  # of fine-tuning, for the final model and for its control
lr = 0.05  # half of what trained the models
n_select = 2500  # validation images for choices: criterion, ratios, schedule
n_test = 5000  # test images to use
pretrained = False  # ImageNet weights for the recipe at the end (a download)

# %% [markdown]
# ## The baseline

# %% tags=["nbval-ignore-output", "reason-accuracy"]
seed_everything(seed)
data = datasets.load(dataset, data_dir=data_dir, n_train=n_train, seed=seed)
test, select = data.test[:n_test], data.val[:n_select]
batch = datasets.to_inputs(test[:64])
example = batch[:1]
model = models.load_baseline("resnet20", data)
say(f"ResNet-20: {evaluate(model, test):.1%} on {len(test)} test images.")

# %% [markdown]
# ## Idea 1: zeros are not a smaller layer
#
# PyTorch has a function that seems to be what we want. `ln_structured` takes the channels with the smallest norm (`n=2`: the Euclidean norm; `dim=0`: output channels), and `prune.remove` makes the result permanent. Here it prunes the first convolution of every block.

# %%
zeroed = copy.deepcopy(model)
for stage in (zeroed.stage1, zeroed.stage2, zeroed.stage3):
    for block in stage:
        prune.ln_structured(block.conv1, name="weight", amount=0.3, n=2, dim=0)
        prune.remove(block.conv1, "weight")
weight = zeroed.stage1[0].conv1.weight
print("channels of zeros:", (weight.flatten(1).abs().sum(1) == 0).sum().item(), "of", len(weight))
print("shape:", tuple(weight.shape), "as before:", tuple(model.stage1[0].conv1.weight.shape))

# %% [markdown]
# What did that save? The two networks are timed in turns, and the best time of each counts: whatever else the machine does can only slow them down.


# %%
def speedup(before, after, inputs: torch.Tensor, n_rounds: int = 10) -> float:
    times = [
        [measure_latency(run, inputs, seconds=0.05).median_ms for run in (before, after)]
        for _ in range(n_rounds)
    ]
    return min(slow for slow, _ in times) / min(fast for _, fast in times)


zeroed_speedup = speedup(model, zeroed, batch)

# %% tags=["nbval-ignore-output", "reason-timing"]
rows = []
for name, network, times in (("before", model, 1.0), ("zeroed", zeroed, zeroed_speedup)):
    counts = f"{count_params(network):,}", f"{count_nonzero(network):,}"
    file, mmacs = size_bytes(network) / 1e3, count_macs(network, example) / 1e6
    rows.append([name, *counts, f"{file:,.0f} kB", f"{mmacs:.1f}", f"{times:.2f}×"])
say(table(["", "weights", "non-zero", "file", "MMACs", "speed at batch 64"], rows))

# %%
claim("there are fewer non-zero weights", count_nonzero(zeroed) < count_nonzero(model))
claim("the file is as large", abs(size_bytes(zeroed) / size_bytes(model) - 1), at_most=0.01)
claim("there are as many MACs", count_macs(zeroed, example) == count_macs(model, example))
claim("it is no faster than the noise of the clock", zeroed_speedup, at_most=1.2)

# %% [markdown]
# A channel of zeros is stored, read and multiplied like any other. The tensor has to get smaller.
#
# ## Idea 2: take a channel out of a chain
#
# A channel between two layers is a *row* of the first weight, one entry of everything in the batch norm, and a *column* of the second weight. Remove all of these together:
#
# $$W_1[\text{out}, \text{in}] \to W_1[\text{keep}, :] \qquad \gamma, \beta, \mu, \sigma^2 \to \dots[\text{keep}] \qquad W_2[\text{out}, \text{in}] \to W_2[:, \text{keep}]$$

# %%
conv, bn, following = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)
nn.init.normal_(bn.bias)  # trained batch norms have shifts
bn.eval()
keep_channels = conv.weight.abs().sum((1, 2, 3)).topk(5).indices.sort().values

small_conv, small_bn = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5).eval()
small_following = nn.Conv2d(5, 4, 3)
with torch.no_grad():
    small_conv.weight.copy_(conv.weight[keep_channels])
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(small_bn, name).copy_(getattr(bn, name)[keep_channels])
    small_following.weight.copy_(following.weight[:, keep_channels])
    small_following.bias.copy_(following.bias)

# %% [markdown]
# The package does this in `remove_channels`, and sets the same channels to zero in `mask_channels`. All three agree: where the removed channels are zero, the smaller chain gives the same output.

# %%
x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
by_hand = small_following(small_bn(small_conv(x)).relu())
package_conv, package_bn, package_following = remove_channels(conv, bn, following, keep_channels)
assert_close(by_hand, package_following(package_bn(package_conv(x)).relu()))
masked_conv, masked_bn = mask_channels(conv, bn, keep_channels)
assert_close(by_hand, following(masked_bn(masked_conv(x)).relu()))
claim("the smaller chain has fewer MACs", count_macs(small_conv, x) < count_macs(conv, x))

# %% [markdown]
# **Notice** that `mask_channels` zeroes the batch norm as well. `ln_structured` does not. Behind a channel of zeros the batch norm still adds its shift, and the next layer reads a constant:

# %%
only_conv_masked = following(bn(masked_conv(x)).relu())
claim(
    "with zeros in the convolution alone, the output differs from that of the smaller chain",
    (only_conv_masked - by_hand).abs().max().item(),
    at_least=1e-3,
)

# %% [markdown]
# ## Idea 3: channels that hang together
#
# Inside a residual block, `conv1 → bn1 → relu1 → conv2` is such a chain. Between blocks there is none. Let us try the same cut there: from the second convolution of a block to the first of the next. The next cell fails on purpose.

# %% tags=["raises-exception", "nbval-ignore-output", "reason-error"]
naive = copy.deepcopy(model)
block, next_block = naive.stage1[0], naive.stage1[1]
block.conv2, block.bn2, next_block.conv1 = remove_channels(
    block.conv2, block.bn2, next_block.conv1, keep=torch.arange(8)
)
naive(example)

# %% [markdown]
# `conv2` now makes 8 channels. The shortcut brings 16, and the two are added:
#
# ```
#           ┌─ conv1 → conv2 ─┐        ┌─ conv1 → conv2 ─┐        ┌─ conv1 → conv2 ─┐
#   conv ───┴────────────────(+)───────┴────────────────(+)───────┴────────────────(+)─── stage 2
# ```
#
# What is added must have the same channels. Follow the line at the bottom: channel 3 of this `conv2`, of every other `conv2` in the stage and of the very first convolution is one and the same channel of one shared stream. It can only go everywhere at once, together with every place that reads it. Such a set is a **dependency group**. The library [torch-pruning](https://github.com/VainF/Torch-Pruning) finds the groups by following the computation backwards (DepGraph, Fang et al. 2023). Ask it for the group of the first convolution:

# %%
claim("the failure is about 8 and 16 channels that do not match", "(16)" in str(sys.last_value))
traced = copy.deepcopy(model)
graph = torch_pruning.DependencyGraph().build_dependency(traced, (example,))
group = graph.get_pruning_group(traced.conv, torch_pruning.prune_conv_out_channels, idxs=[3])
names = {module: name for name, module in traced.named_modules()}
members: dict[str, list[str]] = {}
for item in group:
    layer, cut = item.dep.target.module, item.dep.handler.__name__
    if layer in names:  # the others are additions and ReLUs, which have nothing to cut
        members.setdefault(f"{type(layer).__name__}, `{cut}`", []).append(names[layer])
rows = [[cut, ", ".join(sorted(layers))] for cut, layers in sorted(members.items(), reverse=True)]
say(table(["cut", "layers"], rows))

# %% [markdown]
# One channel of the stream, cut in four convolutions that make it, in their batch norms, and in the five convolutions that read it. `coupled_layers` of the package lists all groups by the layers that make the channels:

# %%
groups = coupled_layers(model, example)
for layers in sorted(groups, key=lambda layers: (-len(layers), layers)):
    print(len(layers), "coupled:" if len(layers) > 1 else "alone:  ", ", ".join(layers))
claim(
    "in each stage, all convolutions that end at an addition are coupled",
    sorted(map(len, groups)) == [1] * 9 + [4] * 3,
)

# %% [markdown]
# `prune_channels` cuts whole groups, and the network runs. Where there is only a plain chain it must do what our hands did. So leave everything out but one `conv1`, and compare:

# %%
every_conv1 = [name for name, _ in model.named_modules() if name.endswith("conv1")]
pruned = prune_channels(
    model, example, 0.5, skip=[n for g in groups for n in g if n != every_conv1[0]]
)
by_hand, block = copy.deepcopy(model), model.stage1[0]
best = channel_scores(block.conv1, criterion="l1").topk(8).indices
chain = remove_channels(block.conv1, block.bn1, block.conv2, best)
by_hand.stage1[0].conv1, by_hand.stage1[0].bn1, by_hand.stage1[0].conv2 = chain
assert_close(pruned.state_dict(), by_hand.state_dict())
claim("by hand and by torch-pruning, the answers are the same", pruned(batch).equal(by_hand(batch)))

# %% [markdown]
# Now all groups at once, half of the channels of each:

# %%
half_width = prune_channels(model, example, 0.5)
claim("the pruned residual network runs", half_width(example).shape == model(example).shape)
claim(
    "half of the channels is about a quarter of the MACs",
    count_macs(half_width, example) / count_macs(model, example),
    at_most=0.3,
)

# %% [markdown]
# **Notice.** A convolution loses output channels *and* input channels, so MACs and weights fall with the square of the width. To halve the MACs, about 0.7 of the width stays. `prune_to_macs` looks for the ratio that does it. From here on, every comparison is at equal MACs.
#
# ## Idea 4: which channels?
#
# A score for each channel, and the lowest go. Four classics and a control:
#
# | criterion | score of channel $c$ | needs |
# | :--- | :--- | :--- |
# | `l1` | $\sum \lvert W_c \rvert$ (Li et al. 2017) | weights |
# | `l2` | $\sqrt{\sum W_c^2}$ | weights |
# | `bn_scale` | $\lvert \gamma_c \rvert$ of the batch norm (Liu et al. 2017) | weights |
# | `taylor` | $\big(\sum W_c\, \partial L / \partial W_c\big)^2$ (Molchanov et al. 2019) | images, labels, gradients |
# | `random` | a random number | nothing |
#
# Taylor's score deserves a look. Put a gate $g_c = 1$ behind each channel. Removing the channel means to set the gate to 0, and to first order that changes the loss by $\partial L / \partial g_c$. This derivative is the sum in the table:

# %%
conv, head = nn.Conv2d(3, 6, 3, bias=False), nn.Linear(6, 10)
gate = torch.ones(6, requires_grad=True)
features = (conv(x) * gate[:, None, None]).relu().mean((2, 3))
F.cross_entropy(head(features), torch.tensor([3, 7])).backward()
assert_close(channel_scores(conv, criterion="taylor"), gate.grad**2)
assert_close(channel_scores(conv, criterion="l1"), conv.weight.abs().sum((1, 2, 3)))
assert_close(channel_scores(conv, criterion="l2"), conv.weight.pow(2).sum((1, 2, 3)).sqrt())

# %% [markdown]
# A coupled channel has a score in every layer that makes it. `prune_channels` divides each by the mean of its layer and averages, so that a layer with large weights does not outvote the others.
#
# The comparison needs many trainings, so it uses the small ResNet-8. First without any training: a *gentle* cut, which leaves most of the MACs.

# %%
small = models.load_baseline("resnet8", data)
criteria = {name: name for name in ("random", "l1", "l2", "bn_scale")}
criteria["taylor"] = taylor_scores(small, datasets.batches(data.train[:1024], 128))
fractions = (0.9, 0.8)
before = {
    name: [
        evaluate(prune_to_macs(small, example, fraction, criterion=criterion), select)
        for fraction in fractions
    ]
    for name, criterion in criteria.items()
}

# %% [markdown]
# Then the cut we want, to half of the MACs. It leaves little of the accuracy, whatever the criterion. So train: the same number of steps for each, with the same images in the same order, and the loss that trained the baseline.

# %%
fast_bf16 = "AVX512" in torch.backends.cpu.get_cpu_capability()  # 16-bit floats, where they pay


def finetune(network: nn.Module, n_epochs: float) -> float:
    settings = {"lr": lr, "seed": seed, "loss": smoothed_cross_entropy, "bf16": fast_bf16}
    fit(network, data, epochs=n_epochs, show=False, **settings)
    return evaluate(network, select)


networks = {
    name: prune_to_macs(small, example, 0.5, criterion=criterion)
    for name, criterion in criteria.items()
}
cut = {name: evaluate(network, select) for name, network in networks.items()}
after = {name: finetune(network, epochs / 2) for name, network in networks.items()}

# %% tags=["nbval-ignore-output", "reason-accuracy"]
rows = [
    [f"`{name}`", *(f"{value:.1%}" for value in (*before[name], cut[name], after[name]))]
    for name in criteria
]
header = [*(f"{fraction:.0%} of the MACs" for fraction in fractions), "50 %", "50 %, fine-tuned"]
say(table(["criterion", *header], rows))

# %%
learned = [name for name in criteria if name != "random"]
best = max(learned, key=after.get)
claim(
    "after the gentle cut, every criterion is ahead of random",
    min(before[name][1] for name in learned) > before["random"][1],
)
claim(
    "after fine-tuning, the best criterion is still ahead of random", after[best] > after["random"]
)

# %% [markdown]
# **Notice** the last column. Training repairs so much that the criteria end close together, and even random channels are not far behind. Others found the same (Mittal et al. 2018; Liu et al. 2019): with enough fine-tuning, the *number* of channels in each layer matters more than *which* ones they are. One run with one seed does not rank the four. What it does show is that a criterion which needs no data is good enough.
#
# ## Idea 5: how much from where, and how fast?
#
# **Uniform** pruning removes the same fraction everywhere. **Global** pruning ranks the channels of all groups together, and takes more where the scores are low. **One-shot** pruning cuts once and trains. **Iterative** pruning cuts in rounds with training in between. Same MACs at the end, same number of training steps in all:

# %%
one_shot_global = prune_to_macs(small, example, 0.5, scope="global")
arms = {"uniform, one-shot": after["l1"], "global, one-shot": finetune(one_shot_global, epochs / 2)}
network, small_macs = small, count_macs(small, example)
for target in (0.8, 0.65, 0.5):
    share = count_macs(network, example) / small_macs
    network = prune_to_macs(network, example, target / share)
    arms["uniform, iterative"] = finetune(network, epochs / 6)

# %% tags=["nbval-ignore-output", "reason-accuracy"]
finished = [networks["l1"], one_shot_global, network]
rows = [
    [name, f"{count_macs(network, example) / small_macs:.0%}", f"{value:.1%}"]
    for (name, value), network in zip(arms.items(), finished, strict=True)
]
say(table(["criterion `l1`", "MACs", "validation accuracy"], rows))

# %% [markdown]
# Which layers does the global ranking spare? (The dashed line is the uniform share.)

# %% tags=["nbval-ignore-output", "reason-picture"]
fig, ax = plt.subplots(figsize=(7, 3))
plotting.plot_bars(
    ax,
    {
        name: len(layer.weight) / len(small.get_submodule(name).weight)
        for name, layer in prunable_layers(one_shot_global, skip=["fc"]).items()
    },
)
ax.axhline(networks["l1"].conv.out_channels / small.conv.out_channels, color="gray", linestyle="--")
ax.set(ylabel="channels that stay", ylim=(0, 1))
plt.show()

# %% [markdown]
# **Notice.** Uniform pruning fixes the share of every layer. A global ranking finds layers that can spare more, but a score is no MAC: a channel of the first stage computes at full resolution and costs far more than one of the last. Iterative pruning pays when there is time to train between the cuts. Three short rounds are little, and the learning rate starts anew in each of them.
#
# ## The result: half of the MACs
#
# Back to ResNet-20. The final model takes the best criterion of Idea 4 (chosen on the validation split), uniform, one-shot, and the full number of `epochs`. The control is the dense network with the same epochs, images, loss and learning rate.

# %%
scores = best
if best == "taylor":
    scores = taylor_scores(model, datasets.batches(data.train[:1024], 128))
final = prune_to_macs(model, example, 0.5, criterion=scores)
control = copy.deepcopy(model)
for network in (final, control):
    finetune(network, epochs)

# %% tags=["nbval-ignore-output", "reason-timing"]
rows = [
    measure("ResNet-20", model, test),
    measure("ResNet-20, fine-tuned (control)", control, test),
    measure(f"half of the MACs, `{best}`", final, test),
]
keep("structured", comparison_table(rows))
dense_row, control_row, final_row = rows

# %%
claim(
    "the pruned network has at most half of the MACs", final_row.macs / dense_row.macs, at_most=0.5
)
claim(
    "it loses at most 1.5 points against the control with the same training",
    control_row.accuracy - final_row.accuracy,
    at_most=0.015,
)
claim("its file is smaller, too", final_row.size_bytes / dense_row.size_bytes, at_most=0.7)
final_speedup = speedup(model, final, batch)
claim("it is at least 1.3 times as fast at batch 64, both eager", final_speedup, at_least=1.3)

# %% [markdown]
# Bytes, MACs and time went down together, in a plain float network that any runtime executes. Nothing special is needed to profit from it.
#
# ## Idea 6: time against MACs
#
# Time does not follow the MACs exactly. Prune to several widths and look, eager and compiled. (Latency does not depend on the values of the weights, so nothing needs training here.)


# %%
def share_of_macs(network: nn.Module) -> float:
    return count_macs(network, example) / count_macs(model, example)


narrower = [
    prune_channels(model, example, ratio) for ratio in (0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
]
eager_ms = [measure_latency(network, batch).median_ms for network in narrower]
compiled_model, _ = compile_for_inference(model, batch)
compiled_final, _ = compile_for_inference(final, batch)
compiled_half, _ = compile_for_inference(half_width, batch)
compiled = (compiled_model, compiled_final, compiled_half)
compiled_ms = [measure_latency(run, batch).median_ms for run in compiled]

# %% tags=["nbval-ignore-output", "reason-picture"]
fig, ax = plt.subplots(figsize=(5.5, 4))
plotting.plot_share_of_time(ax, [share_of_macs(n) for n in narrower], eager_ms, "eager")
shares = [share_of_macs(network) for network in (model, final, half_width)]
plotting.plot_share_of_time(ax, shares, compiled_ms, "compiled")
ax.plot([0, 1], [0, 1], color="gray", linestyle="--", label="if time were MACs")
ax.legend()
plt.show()

# %%
claim(
    "half of the width is faster, but by less than the MACs promise",
    1.3 < speedup(model, half_width, batch) < 1 / share_of_macs(half_width),
)

# %% [markdown]
# The points lie above the diagonal: less time is saved than arithmetic. There are three reasons.
#
# **1. Not everything is a convolution.** Batch norm, ReLU and addition do next to no arithmetic. They read and write every activation, so memory sets their speed. MACs fall with the *square* of the width, activations only in proportion. Hooks around every layer show it:


# %%
def time_by_type(network: nn.Module, n_calls: int = 10) -> Counter:
    network, spent, started = copy.deepcopy(network), Counter(), {}
    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_pre_hook(lambda m, _: started.update({m: perf_counter()}))
            layer.register_forward_hook(
                lambda m, _, __: spent.update({type(m).__name__: perf_counter() - started[m]})
            )
    start = perf_counter()
    with torch.inference_mode():
        for _ in range(n_calls):
            network(batch)
    spent["additions and the rest"] = perf_counter() - start - spent.total()
    return Counter({name: 1e3 * seconds / n_calls for name, seconds in spent.items()})


# %% tags=["nbval-ignore-output", "reason-timing"]
dense_ms, final_ms = time_by_type(model), time_by_type(final)
kinds = ("Conv2d", "BatchNorm2d", "ReLU", "additions and the rest")
rows = [
    [
        kind,
        f"{dense_ms[kind]:.1f}",
        f"{final_ms[kind]:.1f}",
        f"{final_ms[kind] / dense_ms[kind]:.2f}",
    ]
    for kind in kinds
]
say(table(["ms for 64 images", "ResNet-20", "half of the MACs", "ratio"], rows))

# %% [markdown]
# A compiler helps twice: it folds batch norm into the convolution, and does ReLU and addition while the result is still in the cache.
#
# **2. Channels are computed in groups.** A vector register holds several floats: 4 on most ARM processors, 8 with AVX2, 16 with AVX-512. A kernel computes that many output channels at once, and one channel more starts a new group. Here is a single convolution from 32 channels to a growing number:

# %%
features = torch.randn(64, 32, 16, 16).to(memory_format=torch.channels_last)
counts = [8, 12, 15, 16, 17, 20, 24, 28, 31, 32, 33, 36, 40]
layer_ms = []
for count in counts:
    layer = nn.Conv2d(32, count, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    layer_ms.append(measure_latency(layer, features, seconds=0.1).median_ms)

# %% tags=["nbval-ignore-output", "reason-picture"]
fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(counts, layer_ms, marker="o")
ax.set(xlabel="output channels", ylabel="ms", ylim=(0, None), xticks=range(8, 41, 8))
ax.grid(axis="x")
plt.show()

# %%
avx512 = "AVX512" in torch.backends.cpu.get_cpu_capability()
claim(
    "with registers of 16 floats, the 17th channel costs far more than the 16th",
    layer_ms[4] - layer_ms[3] > layer_ms[3] - layer_ms[2],
    skip=None if avx512 else "this processor has other registers",
)

# %% [markdown]
# So one channel above a multiple is paid for like many. Where layers are wide, prune to multiples: `round_to=8` or `16`. In this narrow network that is a coarse step, 16 channels or none of the first stage, so its final model does without. On GPUs with tensor cores the multiples are larger still, up to 64.
#
# **3. Calling a layer costs time as well.** Python, dispatch and memory allocation cost the same for few channels as for many. With one image that is most of the time:

# %%
final_speedup_1 = speedup(model, final, example)
compiled_speedup = speedup(compiled_model, compiled_final, batch)
claim("for a single image the speed-up is smaller than for 64", final_speedup_1 < final_speedup)
claim(
    "compiled against compiled, it is at least 1.3 times as fast at batch 64",
    compiled_speedup,
    at_least=1.3,
)

# %% tags=["nbval-ignore-output", "reason-timing"]
say(
    f"The final model has {share_of_macs(final):.0%} of the MACs. At batch 64 it is "
    f"{final_speedup:.2f} times as fast in eager mode and {compiled_speedup:.2f} times compiled; "
    f"for one image, eager, {final_speedup_1:.2f} times."
)

# %% [markdown]
# ## Summary
#
# You have
#
# - measured that `ln_structured` leaves shape, file, MACs and time as they were;
# - removed channels from a chain by hand, with the same output as the masked chain, batch norm included;
# - broken a residual addition, read its dependency group, and cut all of the group with torch-pruning;
# - compared criteria, shares and schedules at equal MACs and equal steps, and found the criterion less important than the fine-tuning;
# - halved the MACs at a small loss against a control with the same training, in a smaller file and in less time, and found where the rest of the time goes.
#
# **The honest limit.** One seed and a short training do not rank the criteria, and a longer training narrows the gaps further. Nothing here says that pruning a large network beats training a small one from the start with as much patience: Liu et al. (2019) found that it often does not. What pruning saves is that patience. And the shapes come out as they come out: a network pruned for one processor's registers may be awkward on another.
#
# ## The recipe: torchvision's ResNet-18
#
# From start to end. `round_to=16` gives shapes that kernels like. With `pretrained`, fine-tune on your images before you judge the accuracy.

# %%
network = resnet18(weights="DEFAULT" if pretrained else None).eval()
images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
smaller = prune_channels(network, images[:1], 0.5, criterion="l1", round_to=16)
claim("a forward pass works", smaller(images).shape == (8, 1000))
claim(
    "half of the width leaves less than a third of the MACs",
    count_macs(smaller, images) / count_macs(network, images),
    at_most=0.33,
)
claim("and less than a third of the file", size_bytes(smaller) / size_bytes(network), at_most=0.33)
claim("it is at least 1.3 times as fast", speedup(network, smaller, images), at_least=1.3)

# %% [markdown]
# ## Exercises
#
# 1. Train the shapes of `final` from new weights (copy it and call `reset_parameters()` on every layer that has it) for the same epochs. How far does it get? And in ten times the epochs?
# 2. After the gentle cut of Idea 4, leave the weights alone and only estimate the batch norm statistics again: a few batches in train mode, without a gradient. How much of the accuracy comes back?
# 3. Keep all 16 channels of the first stage (`skip` its layers) and prune the other two to half of their width. Compare MACs, time and accuracy after fine-tuning with `final`. Which shape suits your processor?
#
# ## Further reading
#
# - H. Li et al., *Pruning filters for efficient ConvNets*, 2017: the L1 norm, and which layers mind.
# - Z. Liu et al., *Learning efficient convolutional networks through network slimming*, 2017: batch-norm scales, with a penalty in training that this chapter leaves out.
# - P. Molchanov et al., *Importance estimation for neural network pruning*, 2019: the Taylor score.
# - D. Mittal et al., *Recovering from random pruning*, 2018, and Z. Liu et al., *Rethinking the value of network pruning*, 2019: what is left of the criterion after training.
# - G. Fang et al., *DepGraph: towards any structural pruning*, 2023: dependency groups, and the library.
#
# The versions and the machine of this run:

# %% tags=["nbval-ignore-output", "reason-versions"]
say(table(["", ""], list(describe_machine().items())))
