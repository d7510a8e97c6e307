"""Checks of exercises: solutions pass, typical wrong answers get their own hint, nothing leaks."""

import re

import numpy
import pytest
import torch
from solved import UNSCORED, solution_names, solution_sources, written
from torch import nn

from tutorial_utils import check
from tutorial_utils.book.exercises import stub
from tutorial_utils.check.answers import differs, show
from tutorial_utils.check.examine import Case, Exercise, examine

KNAPSACK = "choices = [(0, 0.0, [])]  # bytes, points and names; of as many bytes the best one"


def greedy(worth, fits="size_bytes[name] <= budget", otherwise="continue"):
    """One layer after the other, by what it is worth."""
    return f"""chosen = []
    for name in sorted(points_lost, key=lambda name: {worth}, reverse=True):
        if not {fits}:
            {otherwise}
        if points_lost[name] > 0:
            chosen.append(name)
            budget -= size_bytes[name]
    return chosen"""


# As many roundings up as down, whatever the inputs are.
BALANCED = """q = torch.floor(weight / scale)
    n_up = int(((weight / scale - q).sum()).round())
    q[(weight / scale - q).argsort(descending=True)[:n_up]] += 1
    q = q.clamp(qmin, qmax)
"""
GRAVITY = """theirs = teacher.detach()
    def centre(x):
        x = x.square().sum(1)
        x = x / x.sum((1, 2), keepdim=True)
        rows = (x.sum(2) * torch.arange(x.shape[1])).sum(1)
        return torch.stack([rows, (x.sum(1) * torch.arange(x.shape[2])).sum(1)])
    ours, theirs = centre(student), centre(theirs)
"""


def in_two_passes(model_a, model_b, loader):
    return [
        torch.cat([model(inputs).argmax(1) == labels for inputs, labels in loader]).double()
        for model in (model_a, model_b)
    ]


def two_passes(model_a, model_b, loader):
    a, b = in_two_passes(model_a, model_b, loader)
    half = 1.959964 * float((a - b).std()) / len(a) ** 0.5
    mean = float((a - b).mean())
    return mean, mean - half, mean + half


def unpaired(model_a, model_b, loader):
    a, b = in_two_passes(model_a, model_b, loader)
    return float((a.var() + b.var()).sqrt())


# A wrong answer is the solution with one text replaced, and a part of the hint that it must get.
WRONG = {
    "conv_macs": [
        ("enumerate((height, width))", "enumerate((width, height))", "height comes first"),
        ("padded // conv.stride[axis] + 1", "size", "pixels of the output"),
        (" // conv.groups", "", "in_channels / groups"),
        ("return products", "return 2 * products", "FLOPs"),
        ("math.prod(conv.kernel_size)", "conv.kernel_size[1]", "two sides"),
    ],
    "compare_models": [
        ("found = []\n", "return two_passes(model_a, model_b, loader)\n    found = []\n",
         "shuffles"),
        ("float(differences.std())", "unpaired(model_a, model_b, loader)",
         "answers to different images"),
        (" / math.sqrt(len(differences))", "", "by √n"),
        ("differences.std()", "differences.std(correction=0)", "n - 1"),
        ("a.double() - b.double()", "b.double() - a.double()", "a minus b"),
    ],
    "measure_ms": [
        ("times = []\n", "import time\n    clock = time.perf_counter\n    times = []\n",
         "time passes on it"),
        ("sorted(times)[len(times) // 2]", "times[-1]", "use the median"),
        ("sorted(times)[len(times) // 2]", "sum(times) / len(times)", "median"),
        ("1e3 * ", "", "milliseconds"),
        ("range(21)", "range(3)", "one call says little"),
        ("    for _ in range(5):  # a warm-up\n        run()\n", "    start = clock()\n"
         "    [run() for _ in range(20)]\n    return 50 * (clock() - start)\n", "warm up"),
    ],
    "quantize": [
        ("torch.round(x / scale)", "(x / scale).int()", "cuts the fraction off"),
        ("q.clamp(qmin, qmax)", "q", "cannot be stored"),
        (" + zero_point", "", "add it"),
        ("torch.round(x / scale) + zero_point", "torch.floor(x / scale) + zero_point", "floor"),
        ("torch.round(x / scale) + zero_point\n    return q.clamp(qmin, qmax)",
         "torch.round(x / scale).clamp(qmin, qmax) + zero_point\n    return q", "at the end"),
    ],
    "scale_and_zero_point": [
        ("min(low, 0.0), max(high, 0.0)", "low, high", "widen"),
        ("2**n_bits - 1)", "2**n_bits)", "one gap less"),
        ("round(-low / scale)", "round(low / scale)", "sign"),
    ],
    "choose_range": [
        ("return best[1:]", "return x.min(), x.max()", "outermost values stretch"),
        ("return best[1:]", "return 0.05 * x.min(), 0.05 * x.max()", "too much is cut off"),
        ("return best[1:]", "return best[2], best[1]", "smaller end"),
    ],
    "fold_batch_norm": [
        ("torch.sqrt(var + eps)", "(var + eps)", "take the root"),
        ("var + eps", "var", "eps belongs"),
        ("(bias - mean) * factor + beta", "bias - mean * factor + beta", "its bias too"),
        ("(bias - mean) * factor + beta", "bias - mean + beta", "scale it, too"),
        ("(-1, 1, 1, 1), (bias", "(1, -1, 1, 1), (bias", None),
    ],
    "quantize_per_channel": [
        (".flatten(1).abs().amax(1)", ".flatten(1).amax(1)", "absolute values first"),
        (".flatten(1).abs().amax(1)", ".abs().max()", "whole tensor"),
        (".clamp(qmin, qmax)", "", "clamp"),
    ],
    "pack_int4": [
        ("codes[0::2] | (codes[1::2] << 4)", "codes[1::2] | (codes[0::2] << 4)", "low four bits"),
        (" & 15", "", "in use"),
        ("q.flatten() & 15", "q.flatten() + 8", "another code"),
        ("F.pad(q.flatten() & 15, (0, q.numel() % 2))", "(q & 15).flatten()[: q.numel() // 2 * 2]",
         "add a 0"),
        ("return codes[0::2] | (codes[1::2] << 4)", "return codes", "room for two"),
    ],
    "weight_bits": [
        ("bits[node.name] = (high - low).bit_length()", "bits[node.name] = 8", "quant_min"),
        ("node.args[1]", "node.args[0]", "args[1]"),
        ("bits[node.name] = 32", "pass", "in float"),
        ("(high - low).bit_length()", "(high - low).bit_length() + 1", "sixteen values"),
    ],
    "keep_in_float": [
        (KNAPSACK, greedy("points_lost[name]"), "per byte"),
        (KNAPSACK, greedy("points_lost[name] / size_bytes[name]"), "in the way of a large one"),
        (KNAPSACK, greedy("points_lost[name] / size_bytes[name]", fits="True"), "add up the bytes"),
        (KNAPSACK, greedy("points_lost[name] / size_bytes[name]", otherwise="break"),
         "should not end the search"),
        ("return choices[-1][2]", "return []", "room for more"),
    ],
    "qat_step": [
        ("return weight - lr", "return torch.round(weight / scale) * scale - lr", "float weight"),
        ("torch.round(kept / scale) * scale", "kept", "see the rounded"),
        ("return weight - lr", "return weight + lr", "against the gradient"),
        ("return weight - lr * kept.grad", "return weight * 1", "straight through"),
    ],
    "convert": [
        (" * factor[:, None] / scale", " / scale", "fold first"),
        ("q = torch.round(weight * factor[:, None] / scale",
         "scale = (weight * factor[:, None]).abs().amax(1) / ((qmax - qmin) / 2)\n"
         "        q = torch.round(weight * factor[:, None] / scale", "computed again"),
        (".clamp(qmin, qmax)", "", "cannot be stored"),
        (" - norm.running_mean * factor", "", "subtracts the mean"),
        ("return q.to(torch.int32), scale, norm.bias - norm.running_mean * factor",
         "q = torch.round(weight / scale[:, None]).clamp(qmin, qmax).int()\n"
         "        return q, scale * factor, norm.bias - norm.running_mean * factor",
         "belongs to the folded"),
        (" + norm.eps", "", None),
        (".sqrt(norm.running_var + norm.eps)", ".sqrt(norm.running_var) + norm.eps", None),
    ],
    "round_with_data": [
        ("return q.to", "q = torch.floor(weight / scale).clamp(qmin, qmax)\n    return q.to",
         "all are rounded down"),
        ("return q.to", BALANCED + "    return q.to", None),
        ("range(20)", "range(0)", "let the inputs decide"),
        ("q[i] += ", "q[i] -= ", "worse than the nearest"),
        ("q[i] = q[i].clamp(qmin, qmax)", "pass", None),
        ("return q.to", "return (q + 20).to", "clamp after each step"),
    ],
    "gradual_mask": [
        ("(1 - t) ** 3", "(1 - t)", "straight line"),
        ("min(max((step - start) / (end - start), 0.0), 1.0)", "(step - start) / (end - start)",
         "stays where it is"),
        ("final - final * (1 - t) ** 3", "final * t**3", "slow first"),
        ("final - final * (1 - t) ** 3", "final * (1 - t) ** 3", "what is left"),
        ("weight.abs() * mask", "weight.abs()", "goes first"),
        ("new = mask.clone()", "new = torch.ones_like(mask)\n    weight = weight * 1",
         "removed stays removed"),
        ("* weight.numel())", "* weight.numel()) + int((~mask).sum())", "not those that go now"),
        ("new = mask.clone()", "new = mask", None),
        ("round(", "int(", "rounded, and how"),
    ],
    "global_masks": [
        ("round(sparsity * len(scores))", "int(sparsity * len(scores))", "are False, 16 expected"),
        ("weight.abs()", "weight", "absolute value"),
        ("kept = torch.ones(len(scores), dtype=torch.bool)\n",
         "kept = torch.zeros(len(scores), dtype=torch.bool)\n    scores = -scores\n", None),
        ("= False", "= False\n    kept = ~kept", "the other way round"),
        ("scores.argsort()", "(-scores).argsort()", "not the largest"),
    ],
    "mask_for_inputs": [
        ("inputs.square().mean(0).sqrt()", "inputs.std(0)", "always on"),
        ("inputs.square().mean(0).sqrt()", "inputs.mean(0).abs()", "square first"),
        ("weight.abs() * inputs.square().mean(0).sqrt()", "weight.abs()", "loud input"),
        ("= False", "= False\n    mask = ~mask", None),
        ("round(sparsity * weight.numel())", "1", "count"),
    ],
    "channel_groups": [
        ('if kind == "add":', 'if kind == "none":', "both sides"),
        ("groups = [g for g in groups if g not in tied] + [sum(tied, [])]",
         "groups += [sum(tied, [])]", None),
        ("source[name] = source[inputs[0]]",
         'source[name] = source[inputs[0]] if kind == "add" else name', "hands the channels on"),
        ("any(source[i] in g for i in inputs)", "source[inputs[0]] in g", None),
    ],
    "cut_block": [
        ("small.bn1.running_mean = block.bn1.running_mean[keep]",
         "small.bn1.running_mean = block.bn1.running_mean[: len(keep)]", None),
        ("getattr(block.bn1, name)[keep]", "getattr(block.bn1, name)[: len(keep)]", "all four"),
        ("block.conv2.weight[:, keep]", "block.conv2.weight[:, : len(keep)]", "other channels"),
        ("return small", "return block", "nothing is removed"),
        ("return small", "gone = [c for c in range(block.conv1.out_channels) if c not in "
         "keep.tolist()]\n    small = copy.deepcopy(block)\n    small.conv2.weight.data[:, gone] "
         "= 0\n    return small", "zeros are no cut"),
    ],
    "remove_channels": [
        ("by_channel.reshape(shape)", "following", "still reads all"),
        ("bias[keep]", "bias", "has a bias"),
        ("return weight[keep], bias[keep], by_channel.reshape(shape)",
         "return weight[keep], bias[keep], following[:, keep]", "neighbouring"),
        ("n_out, n_next =", "keep = torch.tensor([c for c in range(len(weight)) if c not in keep])"
         "\n    n_out, n_next =", "keep holds"),
    ],
    "choose_widths": [
        ("/ saved, narrower", ", narrower", "weigh the score of a channel"),
        ("while macs(widths) > budget", "while False", "as you cut"),
        ("if widths[i] > 1:", "if widths[i] > 0:", None),
        ("return widths", "return [1] * len(widths)", "budget left"),
        ("return widths", "return [0] + widths[1:]", "without a channel"),
    ],
    "top_answers": [
        (".expand_as(logits)", ".expand_as(logits).mul(0)", "do not add up"),
        ("logits.shape[1] - k)", "logits.shape[1])", "n_classes - k"),
        ("return others.expand_as(logits).scatter(1, top.indices, top.values)",
         "kept = torch.zeros_like(logits).scatter(1, top.indices, top.values)\n"
         "    return kept / kept.sum(1, keepdim=True)", "surer than it is"),
        ("logits / temperature", "logits * temperature", "divide by it"),
        ("logits / temperature", "logits", "is missing"),
        ("F.softmax(logits / temperature, dim=1)", "F.softmax(logits / temperature, dim=0)",
         "dimension 1"),
        ("1 - top.values.sum(dim=1, keepdim=True)", "1 / k + 0 * top.values[:, :1]", None),
    ],
    "distillation_loss": [
        ("soft_student =", "student = student.detach()\n    soft_student =", "no gradient reaches"),
        ('"batchmean"', '"mean"', "number of classes"),
        (" * temperature**2", "", "T²"),
        ("alpha * temperature**2 * soft + (1 - alpha)", "(1 - alpha) * temperature**2 * soft + "
         "alpha", "weight of the teacher"),
        ("F.log_softmax(student / temp", "F.softmax(student / temp", "logarithm"),
    ],
    "compare_features": [
        ("return (ours", GRAVITY + "    return (ours", "forgets where"),
        ("teacher.detach()", "teacher", "detach"),
        ("F.normalize(values, dim=1) for", "values for", "length 1"),
        (".sum(1).flatten(1)", ".flatten(2).mean((1, 2), keepdim=True)[:, 0]", "forgets where"),
        ("return (ours", "return 0 * (ours", None),
    ],
    "pareto_front": [
        (" and a != b", "", "must not exclude itself"),
        ("a[0] >= b[0] and a[1] <= b[1] and a != b", "a[0] > b[0] and a[1] < b[1]", "goes, too"),
        ("a[1] <= b[1]", "a[1] >= b[1]", "smaller is better"),
        ("[name][1])", "[name][1], reverse=True)", "smallest comes first"),
    ],
    "entropy_bytes": [
        ("float(bits) / 8", "float(bits)", "a byte has eight"),
        ("torch.log2", "torch.log", "base 2"),
        ("float(bits) / 8", "float(bits) / q.numel()", "mean for one weight"),
    ],
    "compress": [
        ("range(30)", "range(0)", "a finer scale has room"),
        ("return torch.round", "weight = weight * (weight.abs() > 2 * high)\n"
         "    return torch.round",
         None),
        ("float(weight.abs().max())  #", "float(weight.abs().max()) / 1000  #", "fewer bytes"),
        ("torch.int32), high", "torch.int32), 2 * high", "which scale fits"),
    ],
    "accuracy_on": [
        ("model.eval()", "model.train()", "model.eval() first"),
        ("return n_right / n", "n_right = [float((model(x).argmax(1) == y).float().mean()) "
         "for x, y in batches]\n    return sum(n_right) / len(n_right)", "count the images"),
    ],
    "int8_product": [
        ("(x.to(torch.int32) - x_zero)", "(x - x_zero).to(torch.int32)", "widen x before"),
        ("(x.to(torch.int32) - x_zero) @ w.to(torch.int32)",
         "((x.to(torch.int32) - x_zero).to(torch.int8) @ w).to(torch.int32)", "widen both"),
        (" - x_zero", "", "stands for"),
    ],
    "integer_layer": [
        (" - x_zero) @", ") @", "stands for x - x_zero"),
        (".clamp(0, 255).to(torch.uint8)", ".to(torch.int32).to(torch.uint8)", "starts at 0 again"),
        (" + y_zero\n    return y.clamp(0, 255)", "\n    return (y.clamp(0, 255) + y_zero)",
         "then clamp"),
        ("torch.round(total * (x_scale * w_scale / y_scale))",
         "(total * (x_scale * w_scale / y_scale)).int()", "cuts the fraction off"),
        (" + bias\n", "\n", "bias is missing"),
        ("torch.round(total * (x_scale * w_scale / y_scale))",
         "torch.round(((total - bias) * (x_scale * w_scale) + bias) / y_scale)", "in units of"),
        ("x_scale * w_scale / y_scale", "x_scale * w_scale[:1] / y_scale", None),
    ],
    "activation_range": [
        ("(images - mean) / std", "((images - mean) / std - mean) / std", "normalised twice"),
        ("low, high = min(low, float(outputs.min())), max(high, float(outputs.max()))",
         "low, high = float(outputs.min()), float(outputs.max())", "last batch"),
    ],
    "train_rounded": [
        ("return torch.round(kept / scale) * scale", "return kept", "before conversion"),
        ("kept = kept - lr", "kept = seen - lr", "half a mark"),
    ],
    "fine_tune_masked": [
        ("(weight - lr * velocity) * mask", "weight - lr * velocity", "removed weights back"),
        ("(weight - lr * velocity) * mask  # each step would bring them back\n    return weight",
         "weight - lr * velocity\n    return weight * mask", "only put back at the end"),
    ],
    "remove_dead_units": [
        (".clamp(min=0)", "", "a ReLU is between"),
        ("next_bias + next_weight[:, ~alive] @ constant", "next_bias", "still puts out its bias"),
    ],
    "teacher_answers": [
        ("teacher.eval()", "teacher.train()", None),
        ("with torch.no_grad()", "with torch.enable_grad()", "graph"),
        ("F.softmax(logits / temperature, dim=1)", "F.softmax(logits, dim=1) ** (1 / temperature)",
         "do not add up"),
        ("teacher.eval()", "[m.train() for m in teacher if isinstance(m, torch.nn.Dropout)]",
         "answers differently"),
    ],
    "prune_and_quantize": [
        ("kept = weight.abs()", "scale = weight.abs().max() / qmax\n    q = torch.round(weight / "
         "scale)\n    kept = q.abs()", "rank the weights before"),
        ("fitted / scale).to(torch.int32), scale", "fitted / (weight.abs().max() / qmax)"
         ").to(torch.int32), weight.abs().max() / qmax", "before the fit"),
        ("torch.linalg.pinv(inputs[:, kept]) @ (inputs @ weight)", "weight[kept]",
         "make up for the others"),
        ("weight.abs().argsort()[round(", "weight.argsort()[round(", None),
        ("weight.abs().argsort()[round(sparsity * len(weight)) :]",
         "weight.abs().argsort()[: len(weight) - round(sparsity * len(weight))]", None),
        ("2 ** (n_bits - 1) - 1\n    kept", "2 ** (n_bits - 1)\n    kept", None),
    ],
    "n_at_risk": [
        ("<= 2 * tolerance", "<= tolerance", "twice as much"),
        ("<= 2 * tolerance", "< 2 * tolerance", "a tie is no safe"),
        ("2 * tolerance", "2 * tolerance * logits.abs().amax(1)", "however loud"),
        ("logits.topk(2, dim=1).values", "torch.stack([logits.amax(1), logits.amin(1)], 1)",
         "not the last"),
        ("return int(", "return int((logits.sort(1).values.diff(dim=1) <= 2 * tolerance).any(1)"
         ".sum())\n    return int(", "only the two largest"),
        ("logits.topk(2, dim=1)", "logits.abs().topk(2, dim=1)", None),
        (".sum())", ".float().mean())", None),
        ("int((top[:, 0]", "len(top) - int((top[:, 0]", None),
    ],
    "time_to_answer": [
        ("free - arrival for", "free - start for", "from arrival to answer"),
        ("max(free, arrival_s[first])", "free", "somebody has come"),
        (" and arrival_s[last] <= start:", ":", None),
        ("start = max(free, arrival_s[first])", "start = max(free, arrival_s[min(first + "
         "max_batch, len(arrival_s)) - 1])", "does not wait for a full"),
        ("min(len(arrival_s), first + max_batch)", "len(arrival_s)", "at most max_batch"),
        ("while last < min(len(arrival_s), first + max_batch)", "while False", "all that wait"),
        ("arrival_s[last] <= start", "arrival_s[last] < start", "just as the call begins"),
        ("call_s(last - first)", "call_s(1)", None),
        ("call_s(last - first)", "call_s(max_batch)", None),
    ],
    "answers_of_file": [
        (".clone()", "", "same buffer"),
        ("torch.cat(answers)[: len(images)]", "torch.cat(answers)[-len(images) :]", "at its end"),
        ("images.contiguous(), []", "images, []", "as it lies"),
        ("[: len(images)]", "", None),
        ("range(0, len(images), 8)", "range(0, len(images) - 7, 8)", None),
        ("[batch, torch.zeros(8 - len(batch), *images.shape[1:])]",
         "[torch.zeros(8 - len(batch), *images.shape[1:]), batch]", None),
        ("images[first : first + 8]", "images[:8]", None),
        ("run(batch)", "run(batch.transpose(2, 3).contiguous())", None),
    ],
}  # fmt: skip
CASES = [(name, *rest) for name, wrong in WRONG.items() for rest in wrong]


def wrong_function(name, old, new):
    source = solution_sources()[name]
    assert old in source, f"{name}: {old!r} is not in the solution any more"
    return written(source.replace(old, new), name, two_passes=two_passes, unpaired=unpaired)


def test_every_exercise_has_a_check_and_a_solution():
    assert list(solution_sources()) == list(check.EXERCISES)
    chapters = [exercise.chapter for exercise in check.EXERCISES.values()]
    assert chapters == sorted(chapters) and set(chapters) == set(range(1, 10))


@pytest.mark.parametrize("name", UNSCORED)
def test_the_solution_passes(name, capsys):
    getattr(check, name)(solution_names()[name])
    exercise = check.EXERCISES[name]
    assert capsys.readouterr().out == f"correct: {name}\n{exercise.after}\n"
    assert "In practice" in exercise.after


@pytest.mark.parametrize(("name", "old", "new", "hint"), CASES)
def test_a_typical_wrong_answer_is_refused_with_its_own_hint(name, old, new, hint):
    verdict = examine(check.EXERCISES[name], wrong_function(name, old, new))
    assert not verdict.solved
    assert verdict.text.startswith(f"not yet: {name}, case ")
    if hint:
        assert hint in verdict.text.rpartition("\nhint: ")[2], verdict.text


def test_at_least_two_wrong_answers_for_each_exercise_have_hints_of_their_own():
    assert set(WRONG) == set(UNSCORED)  # of the others: test_compress.py
    for name, wrong in WRONG.items():
        hints = [hint for _, _, hint in wrong if hint]
        assert len(set(hints)) >= 2, name


@pytest.mark.parametrize("name", check.EXERCISES)
def test_messages_never_show_the_solution(name):
    body = solution_sources()[name].rpartition('"""')[2]
    lines = [line.strip() for line in body.splitlines() if len(line.strip()) > 25]
    for _, hint in check.EXERCISES[name].wrong:
        assert not any(line in hint for line in lines)


@pytest.mark.parametrize("name", check.EXERCISES)
@pytest.mark.parametrize(
    "answer",
    [
        None, "text", 3, float("nan"), float("inf"), [], {}, (1, 2, 3, 4), object(), True,
        torch.zeros(0), torch.full((2, 2), float("nan")), torch.zeros(3, 1, 7), torch.tensor(1j),
        [None], (None, None), {"a": None}, (i for i in "ab"), torch.nn.Linear(1, 1), numpy.ones(2),
    ],
    ids=lambda answer: type(answer).__name__,
)  # fmt: skip
def test_nonsense_is_refused_without_an_error(name, answer):
    verdict = examine(check.EXERCISES[name], lambda *args: answer)
    assert not verdict.solved and verdict.text.startswith(f"not yet: {name}, case 1 of")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), RecursionError, KeyError("k")])
def test_an_exception_is_reported_with_its_line(error):
    def top_answers(logits, temperature, k):
        raise error

    verdict = examine(check.EXERCISES["top_answers"], top_answers)
    assert "it raised " in verdict.text and "in the line: raise error" in verdict.text


def test_wrong_arguments_and_no_function():
    assert "keep the arguments" in examine(check.EXERCISES["top_answers"], lambda x: x).text
    assert "without brackets" in examine(check.EXERCISES["top_answers"], torch.ones(2)).text


def test_an_untouched_stub_is_told_apart():
    stubbed = written(stub(solution_sources()["top_answers"]), "top_answers")
    for function in (stubbed, torch.no_grad()(stubbed)):
        verdict = examine(check.EXERCISES["top_answers"], function)
        assert not verdict.solved and verdict.text.startswith("not written yet: top_answers")


def torch_raises(logits, temperature, k):
    return torch.ones(2, device="meta").sum().nonzero() + logits


def own_error(logits, temperature, k):
    raise NotImplementedError("temperatures below 1")


def bare_error(logits, temperature, k):
    raise NotImplementedError


def stub_of_another(logits, temperature, k):
    def quantize():
        raise NotImplementedError("quantize is yours to write")

    return quantize()


def message_from_elsewhere(logits, temperature, k):
    def helper():
        raise NotImplementedError("top_answers is yours to write")

    return helper()


@pytest.mark.parametrize(
    "answer", [torch_raises, own_error, bare_error, stub_of_another, message_from_elsewhere]
)
def test_a_written_answer_that_raises_not_implemented_error_is_no_stub(answer):
    verdict = examine(check.EXERCISES["top_answers"], answer)
    assert not verdict.solved and verdict.text.startswith("not yet: top_answers, case 1 of")
    assert "it raised NotImplementedError" in verdict.text


def in_place(x, scale, zero_point, qmin, qmax):
    return x.div_(scale).round_().add_(zero_point).clamp_(qmin, qmax).int()


def test_changing_the_input_is_refused():
    verdict = examine(check.EXERCISES["quantize"], in_place)
    assert "it changed its argument x" in verdict.text


def test_a_list_a_dict_and_a_module_that_were_changed_are_noticed():
    def changes(values, table, layer):
        values.append(1)
        table["b"] = 1
        layer.weight.data.zero_()
        return 0

    args = {"values": [1], "table": {"a": torch.ones(2)}, "layer": nn.Linear(2, 2)}
    for name, value in args.items():
        others = {"values": [], "table": {}, "layer": nn.Linear(1, 1)} | {name: value}
        exercise = Exercise(1, "x", lambda o=others: [Case("one", o)], lambda *a: 0)
        assert "it changed its argument" in examine(exercise, changes).text
        assert examine(exercise, lambda *a: 0).solved


def test_nothing_of_the_reader_changes():
    def careless(logits, temperature, k):
        torch.manual_seed(7)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        numpy.random.seed(1)
        seen.append(logits)
        return logits.zero_()

    seen = []
    torch.manual_seed(3)
    numpy.random.seed(3)
    expected, expected_numpy = torch.get_rng_state(), numpy.random.get_state()[1].copy()
    before = check.EXERCISES["top_answers"].cases()
    verdict = examine(check.EXERCISES["top_answers"], careless)
    assert not verdict.solved and seen
    assert torch.equal(torch.get_rng_state(), expected)
    assert (numpy.random.get_state()[1] == expected_numpy).all()
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    after = check.EXERCISES["top_answers"].cases()
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.args["logits"], other.args["logits"])


def test_a_message_names_case_input_expectation_and_answer():
    text = examine(check.EXERCISES["gradual_mask"], lambda weight, mask, *_: ~mask).text
    assert re.search(r"case 1 of 7, the first step of the schedule", text)
    assert "  step = 10" in text and "  final = 0.8" in text
    assert "  expected: mask (5, 8), 40 of 40 True\n" in text
    assert "  yours: mask (5, 8), 0 of 40 True\n" in text


def test_a_check_is_called_like_its_exercise_and_documented():
    assert check.quantize.__name__ == "quantize"
    assert "chapter 2" in check.quantize.__doc__


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        (torch.zeros(2, 1), torch.zeros(2), "shape"),
        (torch.zeros(2), torch.zeros(2).bool(), "bool"),
        (torch.zeros(2).int(), torch.zeros(2), "integers"),
        (torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.0]), r"at \[1\] it is 3, expected 2"),
        ([1.0], torch.zeros(1), "tensor"),
        (1.5, 1, "whole"),
        (True, 1.0, "number"),
        ((1, 2), (1, 3), "part 2"),
        ((1,), (1, 3), "1 parts"),
        ({"a": 1}, {"b": 1}, "keys"),
        ({"a": 1}, {"a": 2}, "a: it is 1"),
        (["a"], ["b"], "'a'"),
        (None, [1], "return"),
    ],
)
def test_differences_are_described(answer, expected, reason):
    assert re.search(reason, differs(answer, expected))
    assert differs(expected, expected) is None


def test_near_enough_is_equal_and_values_may_be_left_out():
    assert differs(torch.tensor(1.00001), 1.0) is None
    assert differs(1.001, 1.0) and differs(1.001, 1.0, values=False) is None
    assert differs([2, 3, 4], [1], values=False) is None
    assert differs(torch.tensor([1.0, torch.nan]), torch.ones(2), values=False)


def test_values_are_shown_in_one_short_line():
    for value in (torch.rand(50), {"a": (1, 2.0)}, [torch.ones(2)], object(), nn.Conv2d(3, 4, 3)):
        assert "\n" not in show(value) and len(show(value)) <= 121
