"""Right answers in other styles than the solutions': NumPy, loops, double precision, other orders.

Each list is for the exercise of its name; every function in it must be accepted.
"""

import copy
import heapq
import itertools
import math
import statistics

import numpy as np
import torch
import torch.nn.functional as F


def conv_macs_by_shape(conv, height, width):
    out = conv(torch.zeros(1, conv.in_channels, height, width))
    return np.int64(out.numel() * conv.weight[0].numel())


def conv_macs_by_loops(conv, height, width):
    (k_h, k_w), (p_h, p_w), (s_h, s_w) = conv.kernel_size, conv.padding, conv.stride
    rows = len(range(0, height + 2 * p_h - k_h + 1, s_h))
    columns = len(range(0, width + 2 * p_w - k_w + 1, s_w))
    return torch.tensor(rows * columns * k_h * k_w * conv.in_channels * conv.out_channels) // (
        conv.groups
    )


def fastest_of_many(run, clock):
    times = []
    for _ in range(40):
        start = clock()
        run()
        times.append(clock() - start)
    return np.float64(min(times) * 1000)


def median_of_numpy(run, clock):
    marks = [clock()]
    for _ in range(60):
        run()
        marks.append(clock())
    return np.median(np.diff(marks)[10:]) * 1e3


def quantize_in_numpy(x, scale, zero_point, qmin, qmax):
    return np.clip(np.rint(x.numpy() / scale) + zero_point, qmin, qmax).astype(np.int16)


def quantize_early(x, scale, zero_point, qmin, qmax):
    return (x / scale).clamp(qmin - zero_point, qmax - zero_point).round().long() + zero_point


def params_in_numpy(low, high, n_bits):
    low, high = np.minimum(np.float32(low), 0), np.maximum(np.float32(high), 0)
    scale = (high - low) / np.float32(2**n_bits - 1)
    return scale, np.int64(np.rint(-low / scale))


def params_as_a_list(low, high, n_bits):
    values = sorted([low, high, 0.0])
    scale = (values[-1] - values[0]) / (2**n_bits - 1)
    return [torch.tensor(scale), torch.tensor(round(-values[0] / scale))]


def finer_range(x, n_bits, n=41):
    grid = np.linspace(0.02, 1, n)
    values = x.double().numpy()
    best = (np.inf, None)
    lows = [0.0] if values.min() >= 0 else values.min() * grid
    for low, high in itertools.product(lows, values.max() * grid):
        scale = (high - low) / (2**n_bits - 1)
        zero = np.rint(-low / scale)
        q = np.clip(np.rint(values / scale) + zero, 0, 2**n_bits - 1)
        error = np.mean((values - (q - zero) * scale) ** 2)
        best = min(best, (error, (np.float32(low), np.float32(high))))
    return np.array(best[1])


def fold_in_numpy(weight, bias, mean, var, gamma, beta, eps):
    factor = (gamma / (var.double() + eps).sqrt()).numpy()
    new = np.einsum("o,oihw->oihw", factor, weight.double().numpy())
    return new, (bias - mean).numpy() * factor + beta.numpy()


def fold_by_loops(weight, bias, mean, var, gamma, beta, eps):
    new_weight, new_bias = weight.clone(), bias.clone()
    for o in range(len(weight)):
        factor = gamma[o] / math.sqrt(float(var[o]) + eps)
        new_weight[o] *= factor
        new_bias[o] = (bias[o] - mean[o]) * factor + beta[o]
    return [new_weight, new_bias]


def channels_by_loops(weight, n_bits):
    rows = []
    for row in weight:
        scale = 2 * row.abs().max().item() / (2**n_bits - 1)
        rows.append(
            (row / scale).round().clamp(-(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1) * scale
        )
    return torch.stack(rows)


def channels_in_double(weight, n_bits):
    w = weight.double()
    scale = (
        w.abs().flatten(1).max(dim=1).values.view(-1, *[1] * (w.dim() - 1)) / (2**n_bits - 1) * 2
    )
    return torch.fmin(torch.round(w / scale), torch.tensor(2 ** (n_bits - 1) - 1.0)) * scale


def all_subsets(points_lost, size_bytes, budget):
    subsets = itertools.chain.from_iterable(
        itertools.combinations(points_lost, n) for n in range(len(points_lost) + 1)
    )
    fitting = (s for s in subsets if sum(size_bytes[name] for name in s) <= budget)
    return set(max(fitting, key=lambda s: sum(points_lost[name] for name in s)))


def subsets_as_a_generator(points_lost, size_bytes, budget):
    return (name for name in sorted(all_subsets(points_lost, size_bytes, budget)))


def step_by_hand(weight, inputs, targets, scale, lr):
    w, x, y = (tensor.double().numpy() for tensor in (weight, inputs, targets))
    seen = np.rint(weight.numpy() / scale) * scale
    return w - lr * (2 * x.T @ (x @ seen - y) / len(y))


def gptq_like(weight, inputs, scale, qmin, qmax):
    """One weight after the other, the error handed on to the rest by least squares."""
    x, w = inputs.double().numpy(), weight.double().numpy().copy()
    q = np.zeros(len(w))
    best = (np.inf, None)
    target = x @ w
    for order in (range(len(w)), reversed(range(len(w))), np.argsort(-(x**2).sum(0))):
        left, q = list(order), np.zeros(len(w))
        missing = target.copy()
        while left:
            fit = np.linalg.lstsq(x[:, left], missing, rcond=1e-3)[0]
            i = left.pop(0)
            q[i] = np.clip(np.rint(fit[0] / scale), qmin, qmax)
            missing -= x[:, i] * q[i] * scale
        for _ in range(10):
            for i in range(len(w)):
                q[i] = np.clip(
                    q[i]
                    + np.rint(x[:, i] @ (target - x @ q * scale) / (x[:, i] @ x[:, i]) / scale),
                    qmin,
                    qmax,
                )
        best = min(best, (np.mean((target - x @ q * scale) ** 2), tuple(q)))
    return torch.tensor(best[1]).int()


def masks_by_heap(weights, sparsity):
    flat = [
        (abs(v), name, i) for name, w in weights.items() for i, v in enumerate(w.flatten().tolist())
    ]
    gone = {(name, i) for _, name, i in heapq.nsmallest(round(sparsity * len(flat)), flat)}
    return {
        name: np.array([(name, i) not in gone for i in range(w.numel())]).reshape(w.shape)
        for name, w in weights.items()
    }


def masks_by_threshold(weights, sparsity):
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    n = round(sparsity * len(sizes))
    threshold = sizes.kthvalue(n).values if n else -1
    return {name: w.abs() > threshold for name, w in weights.items()}


def mask_by_norm(weight, inputs, sparsity):
    scores = (weight**2 * (inputs**2).sum(0)).flatten().double().numpy()
    mask = np.ones(len(scores), dtype=bool)
    mask[
        np.argpartition(scores, round(sparsity * len(scores)))[: round(sparsity * len(scores))]
    ] = False
    return mask.reshape(weight.shape)


def cut_by_repeating(weight, bias, following, keep):
    if following.dim() == 4:
        return weight[keep], bias[keep], following[:, keep]
    pixels = following.shape[1] // len(weight)
    columns = [int(c) * pixels + p for c in keep for p in range(pixels)]
    return weight.index_select(0, keep), bias.numpy()[keep.numpy()], following[:, columns]


def widths_by_trying_all(scores, macs, budget):
    def kept(widths):
        return sum(
            float(s.sort(descending=True).values[:w].sum())
            for s, w in zip(scores, widths, strict=True)
        )

    choices = itertools.product(*[range(1, len(s) + 1) for s in scores])
    return np.array(max((w for w in choices if macs(list(w)) <= budget), key=kept))


def loss_by_formula(student, teacher, labels, temperature, alpha):
    p = torch.softmax(teacher / temperature, 1)
    log_q = torch.log_softmax(student / temperature, 1)
    kl = (p * (p.log() - log_q)).sum(1).mean()
    picked = student.log_softmax(1)[torch.arange(len(labels)), labels]
    return alpha * kl * temperature**2 - (1 - alpha) * picked.mean()


def loss_by_cross_entropy(student, teacher, labels, temperature, alpha):
    p = F.softmax(teacher / temperature, dim=-1)
    kl = F.cross_entropy(student / temperature, p) - F.cross_entropy(teacher / temperature, p)
    return F.cross_entropy(student, labels) * (1 - alpha) + kl * alpha * temperature * temperature


def features_by_cosine(student, teacher):
    ours, theirs = (x.abs().sum(1).flatten(1) for x in (student, teacher.detach()))
    return (1 - F.cosine_similarity(ours.double(), theirs.double())).mean().clamp(min=0)


def features_by_shares(student, teacher):
    with torch.no_grad():
        theirs = teacher.square().sum(1)
        theirs = theirs / theirs.sum((1, 2), keepdim=True)
    ours = student.square().sum(1)
    return (ours / ours.sum((1, 2), keepdim=True) - theirs).abs().sum()


def front_by_sweep(models):
    front, best = [], None
    for name, (accuracy, size) in sorted(models.items(), key=lambda m: (m[1][1], -m[1][0])):
        if best is None or accuracy > best[0] or (accuracy, size) == best:
            front.append(name)
            best = (accuracy, size)
    return tuple(front)


def entropy_in_numpy(q):
    _, counts = np.unique(q.numpy(), return_counts=True)
    p = counts / counts.sum()
    return np.float64((counts * -np.log2(p)).sum() / 8)


def entropy_by_histogram(q):
    """With zeros in the histogram, whose 0 · log 0 is 0."""
    counts = torch.bincount(q.flatten().long() - q.min()).double()
    return -torch.special.xlogy(counts, counts / q.numel()).sum() / math.log(2) / 8


def compress_by_steps(weight, size_bytes, budget):
    scale = float(weight.abs().max()) / 4000
    while size_bytes(torch.round(weight / scale)) > budget:
        scale *= 1.01
    return np.rint(weight.numpy() / scale).astype(np.int32), np.float32(scale)


def accuracy_in_numpy(model, batches):
    model = copy.deepcopy(model).eval()
    right = [np.equal(model(x).detach().numpy().argmax(1), y.numpy()) for x, y in batches]
    return np.concatenate(right).mean()


def product_in_doubles(x, w, x_zero):
    return ((x.double() - x_zero) @ w.double()).int()


def product_in_numpy(x, w, x_zero):
    return np.matmul(x.numpy().astype(np.int64) - x_zero, w.numpy().astype(np.int64))


def range_of_all_at_once(layer, batches, mean, std):
    outputs = layer((torch.cat(batches) - mean) / std)
    return torch.stack(torch.aminmax(outputs))


def rounded_by_autograd(weight, inputs, targets, scale, lr, n_steps):
    kept = weight.clone().requires_grad_()
    optimizer = torch.optim.SGD([kept], lr=lr)
    for _ in range(n_steps):
        seen = kept + (torch.round(kept / scale) * scale - kept).detach()
        optimizer.zero_grad()
        F.mse_loss(inputs @ seen, targets).backward()
        optimizer.step()
    return torch.round(kept.detach() / scale).numpy() * scale


def masked_gradient_too(weight, mask, gradient, lr, momentum, n_steps):
    weight, velocity = torch.where(mask, weight, 0), 0
    for _ in range(n_steps):
        velocity = momentum * velocity + gradient(weight) * mask
        weight = weight - lr * velocity
    return weight


def dead_units_by_loops(weight, bias, next_weight, next_bias):
    units = [i for i in range(len(weight)) if weight[i].any()]
    extra = sum(
        (next_weight[:, i] * max(float(bias[i]), 0) for i in range(len(weight)) if i not in units),
        torch.zeros(len(next_bias)),
    )
    return [weight[units], bias[units], next_weight[:, units], next_bias + extra]


def teacher_all_at_once(teacher, batches, temperature):
    with torch.inference_mode():
        logits = copy.deepcopy(teacher).eval()(torch.cat(batches)).double()
    return torch.exp(F.log_softmax(logits / temperature, dim=-1))


def pairs_by_lists(model_a, model_b, loader):
    found = [
        bool(a) - bool(b)
        for x, y in loader
        for a, b in zip(model_a(x).argmax(1) == y, model_b(x).argmax(1) == y, strict=True)
    ]
    half = 1.959964 * statistics.stdev(found) / len(found) ** 0.5
    mean = statistics.mean(found)
    return np.array([mean, mean - half, mean + half])


def pairs_by_counts(model_a, model_b, loader):
    """The variance of values 1, 0 and -1 from how often each occurs."""
    n, only = 0, torch.zeros(2)
    for x, y in loader:
        a, b = model_a(x).argmax(1) == y, model_b(x).argmax(1) == y
        only += torch.stack([(a & ~b).sum(), (b & ~a).sum()])
        n += len(y)
    mean = float(only[0] - only[1]) / n
    half = 1.959964 * math.sqrt((float(only.sum()) / n - mean**2) / (n - 1))
    return [mean, mean - half, mean + half]


def layer_by_simulation(x, w, bias, x_scale, x_zero, w_scale, y_scale, y_zero):
    """Dequantized, computed in float, quantized again: the proof that both are equal."""
    real = x_scale * (x.double() - x_zero) @ (w_scale[:, None].double() * w).T
    real += x_scale * w_scale.double() * bias
    return torch.round(real / y_scale + y_zero).clamp(0, 255).long()


def layer_in_numpy(x, w, bias, x_scale, x_zero, w_scale, y_scale, y_zero):
    w, x = w.numpy().astype(np.int64), x.numpy().astype(np.int64)
    total = x @ w.T + (bias.numpy() - x_zero * w.sum(1))
    y = np.rint(total * (x_scale / y_scale * w_scale.double().numpy())) + y_zero
    return np.minimum(np.maximum(y, 0), 255).astype(np.uint8)


def converted_in_numpy(weight, norm, scale, qmin, qmax):
    state = {name: value.double().numpy() for name, value in norm.state_dict().items()}
    factor = state["weight"] / np.sqrt(state["running_var"] + norm.eps)
    q = np.rint(weight.double().numpy() * factor[:, None] / scale.double().numpy()[:, None])
    q = np.clip(q, qmin, qmax).astype(np.int8)
    return q, scale.numpy(), state["bias"] - state["running_mean"] * factor


def converted_by_asking_the_norm(weight, norm, scale, qmin, qmax):
    """Factor and bias are what a batch norm in eval mode does to ones and zeros."""
    norm = copy.deepcopy(norm).eval()
    bias, with_one = norm(torch.zeros(1, len(weight)))[0], norm(torch.ones(1, len(weight)))[0]
    q = [(row * f / s).round() for row, f, s in zip(weight, with_one - bias, scale, strict=True)]
    return torch.stack(q).clamp(qmin, qmax).short(), scale, bias


def top_by_sorting(logits, temperature, k):
    z = np.exp((logits.double() / temperature).numpy())
    p = z / z.sum(axis=1, keepdims=True)
    for row in p:
        small = np.argsort(row)[: len(row) - k]
        if len(small):
            row[small] = row[small].mean()
    return p


def top_by_threshold(logits, temperature, k):
    p = torch.log_softmax(logits / temperature, -1).exp()
    kept = p >= p.kthvalue(p.shape[1] - k + 1, dim=1, keepdim=True).values
    n_left = (~kept).sum(1, keepdim=True).clamp(min=1)
    return torch.where(kept, p, (p * ~kept).sum(1, keepdim=True) / n_left)


def steps_in_numpy(weight, inputs, sparsity, n_bits):
    w, x = weight.double().numpy(), inputs.double().numpy()
    order = np.argsort(np.abs(w))
    keep = np.sort(order[round(sparsity * len(w)) :])
    fitted = np.zeros(len(w))
    fitted[keep] = np.linalg.lstsq(x[:, keep], x @ w, rcond=None)[0]
    scale = np.abs(fitted).max() / (2 ** (n_bits - 1) - 1)
    return np.rint(fitted / scale).astype(np.int8), np.float32(scale)


def steps_by_normal_equations(weight, inputs, sparsity, n_bits):
    mask = torch.ones(len(weight), dtype=torch.bool)
    mask[weight.abs().topk(round(sparsity * len(weight)), largest=False).indices] = False
    x = inputs.double()[:, mask]
    fitted = torch.zeros(len(weight), dtype=torch.float64)
    fitted[mask] = torch.linalg.solve(x.T @ x, x.T @ (inputs @ weight).double())
    scale = fitted.abs().max() * 2 / (2**n_bits - 2)
    return fitted.div(scale).round().long(), scale


def risk_by_moving(logits, tolerance):
    """Move the largest down and all others up, and look whether it still wins alone."""
    first = torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1])
    moved = logits + tolerance - 2 * tolerance * first
    others = moved.masked_fill(first.bool(), -torch.inf)
    return np.int64((others.amax(1) >= (moved * first).sum(1)).sum())


def risk_in_numpy(logits, tolerance):
    ordered = np.sort(logits.numpy(), axis=1)
    return float(np.count_nonzero(ordered[:, -1] - ordered[:, -2] <= 2 * tolerance))


def served_from_a_queue(arrival_s, call_s, max_batch):
    coming, answered, now = list(enumerate(arrival_s)), {}, 0.0
    while coming:
        now = max(now, coming[0][1])
        taken = [item for item in coming if item[1] <= now][:max_batch]
        coming = coming[len(taken) :]
        now += call_s(len(taken))
        answered |= {i: now - since for i, since in taken}
    return (answered[i] for i in range(len(arrival_s)))


def served_with_numpy(arrival_s, call_s, max_batch):
    arrival, done, first, free = np.array(arrival_s), np.zeros(len(arrival_s)), 0, 0.0
    while first < len(arrival):
        start = max(free, arrival[first])
        last = min(first + max_batch, int(np.searchsorted(arrival, start, side="right")))
        free = start + call_s(last - first)
        done[first:last], first = free, last
    return done - arrival


def file_into_one_tensor(run, images):
    n = len(images)
    images = F.pad(images.contiguous(), (0, 0, 0, 0, 0, 0, 0, -n % 8), value=7.0)
    answers = None
    for i in range(0, len(images), 8):
        answer = run(images[i : i + 8])
        answers = images.new_empty(len(images), answer.shape[1]) if answers is None else answers
        answers[i : i + 8] = answer
    return answers[:n]


def file_one_image_eight_times(run, images):
    rows = [run(image.repeat(8, 1, 1, 1).contiguous())[3].tolist() for image in images]
    return np.array(rows)


def mask_by_rest(weight, mask, step, start, end, final):
    """Only what is still there is ranked, and only what is missing goes."""
    t = np.clip((step - start) / (end - start), 0, 1)
    n_more = round(float(final * (1 - (1 - t) ** 3)) * weight.numel()) - int((~mask).sum())
    kept = mask.flatten().tolist()
    order = sorted(
        (i for i, stays in enumerate(kept) if stays),
        key=weight.abs().flatten().tolist().__getitem__,
    )
    for i in order[: max(0, n_more)]:
        kept[i] = False
    return np.array(kept).reshape(mask.shape)


def groups_by_union(network):
    parent = {}

    def root(name):
        while parent[name] != name:
            name = parent[name]
        return name

    for name, (kind, inputs) in network.items():
        parent[name] = name if kind == "conv" else root(inputs[0])
        for other in inputs[1:]:
            parent[root(other)] = root(name)
    convs = [name for name, (kind, _) in network.items() if kind == "conv"]
    return tuple({c for c in convs if root(c) == r} for r in {root(c) for c in convs})


def block_of_new_layers(block, keep):
    small = copy.deepcopy(block)
    old = block.conv1
    small.conv1 = torch.nn.Conv2d(old.in_channels, len(keep), 3, old.stride, 1, bias=False)
    small.bn1 = torch.nn.BatchNorm2d(len(keep)).eval()
    small.conv2 = torch.nn.Conv2d(len(keep), block.conv2.out_channels, 3, padding=1, bias=False)
    small.conv1.weight.data = old.weight.data[keep]
    small.conv2.weight.data = block.conv2.weight.data.index_select(1, keep)
    cut = {n: v[keep] if v.dim() else v for n, v in block.bn1.state_dict().items()}
    small.bn1.load_state_dict(cut)
    return small


def pack_in_numpy(q):
    q = q.numpy().reshape(-1).astype(np.int64) % 16
    q = np.append(q, [0] * (len(q) % 2))
    return (q[::2] + 16 * q[1::2]).astype(np.uint8)


def pack_by_loops(q):
    values = [*q.flatten().tolist(), 0]
    pairs = zip(values[::2], values[1::2], strict=False)
    return torch.tensor([(a & 15) | ((b & 15) << 4) for a, b in pairs], dtype=torch.uint8)


def bits_by_names(graph):
    found = {}
    for node in graph.graph.nodes:
        if node.name.startswith(("conv2d", "linear")):
            source = node.args[1]
            is_integer = source.op == "call_function"
            found[node.name] = (
                round(math.log2(source.args[-2] - source.args[-3] + 1)) if is_integer else 32
            )
    return found


RIGHT = {
    "accuracy_on": [accuracy_in_numpy],
    "integer_layer": [layer_by_simulation, layer_in_numpy],
    "int8_product": [product_in_doubles, product_in_numpy],
    "activation_range": [range_of_all_at_once],
    "train_rounded": [rounded_by_autograd],
    "fine_tune_masked": [masked_gradient_too],
    "remove_dead_units": [dead_units_by_loops],
    "teacher_answers": [teacher_all_at_once],
    "prune_and_quantize": [steps_in_numpy, steps_by_normal_equations],
    "n_at_risk": [risk_by_moving, risk_in_numpy],
    "time_to_answer": [served_from_a_queue, served_with_numpy],
    "answers_of_file": [file_into_one_tensor, file_one_image_eight_times],
    "conv_macs": [conv_macs_by_shape, conv_macs_by_loops],
    "compare_models": [pairs_by_lists, pairs_by_counts],
    "measure_ms": [fastest_of_many, median_of_numpy],
    "quantize": [quantize_in_numpy, quantize_early],
    "scale_and_zero_point": [params_in_numpy, params_as_a_list],
    "choose_range": [finer_range],
    "fold_batch_norm": [fold_in_numpy, fold_by_loops],
    "quantize_per_channel": [channels_by_loops, channels_in_double],
    "keep_in_float": [all_subsets, subsets_as_a_generator],
    "convert": [converted_in_numpy, converted_by_asking_the_norm],
    "qat_step": [step_by_hand],
    "round_with_data": [gptq_like],
    "gradual_mask": [mask_by_rest],
    "global_masks": [masks_by_heap, masks_by_threshold],
    "mask_for_inputs": [mask_by_norm],
    "channel_groups": [groups_by_union],
    "cut_block": [block_of_new_layers],
    "pack_int4": [pack_in_numpy, pack_by_loops],
    "weight_bits": [bits_by_names],
    "remove_channels": [cut_by_repeating],
    "choose_widths": [widths_by_trying_all],
    "top_answers": [top_by_sorting, top_by_threshold],
    "distillation_loss": [loss_by_formula, loss_by_cross_entropy],
    "compare_features": [features_by_cosine, features_by_shares],
    "pareto_front": [front_by_sweep],
    "entropy_bytes": [entropy_in_numpy, entropy_by_histogram],
    "compress": [compress_by_steps],
}
