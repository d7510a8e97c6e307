# %% [markdown]
# # 7. Knowledge distillation
#
# **The question: can a small network learn more from a large one than from the labels?**
#
# The chapters before took a trained network and made it cheaper. Distillation goes the other way: choose a network that is small enough, the *student*, and train it well, with a large trained network, the *teacher*, to help. The teacher is needed in training only. What you ship is the student.
#
# **You will**
#
# - see what a teacher says besides the right answer, and what the temperature does to it;
# - write the distillation loss, and check it against the package;
# - make the mistakes that raise no error, and learn how to notice each;
# - compare a student alone, with a teacher, with label smoothing, with hints and with attention transfer, over paired seeds, and say "inconclusive" where that is the result;
# - measure what the student copies: answers, mistakes, calibration.
#
# **You need** chapter 1. **Time:** about 35 minutes to read, two and a half minutes to run.

# %%
import copy
import sys
import time
import warnings

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from torchvision.models import mobilenet_v2, resnet18

from tutorial_utils import data as datasets
from tutorial_utils import distillation, models, plotting
from tutorial_utils.claims import claim
from tutorial_utils.compare import agreement, calibration_error, paired_difference
from tutorial_utils.coupled import prune_channels
from tutorial_utils.measure import measure
from tutorial_utils.report import comparison_table, keep, say, table
from tutorial_utils.timing import describe_machine
from tutorial_utils.training import (
    evaluate,
    fit,
    predict,
    seed_everything,
    smoothed_cross_entropy,
)

# %% tags=["parameters"]
dataset = "digits"  # or "cifar10", "fashion_mnist", "folder"
data_dir = None  # where the images are, for "folder"
seed = 0  # the first of the seeds
n_train = 500  # labelled images that the students get
n_test = 5000  # test images to use
n_select = 2500  # validation images, for choices
epochs = 16  # for every student
lr = 0.05  # highest learning rate, for every student
temperature = 4.0  # of the soft targets
alpha = 0.9  # weight of the teacher; the labels get the rest
n_seeds = 5  # of the student alone and with the teacher
n_seeds_other = 3  # of the other methods
pretrained = False  # ImageNet weights for the recipe at the end (a download)

# %% [markdown]
# ## The baseline
#
# The teacher is the trained ResNet-20. The student is to be much smaller.
#
# A network of that kind needs thousands of steps from random weights, and this chapter trains some thirty of them. So the students start from a cut, as in chapter 6: a trained ResNet-8 loses half of its channels, chosen *at random*, with another draw for each seed. What remains answers no better than a guess, but it learns again fast. And as usual where distillation is wanted, labels are scarce: the students get only a few hundred of the training images.

# %% tags=["nbval-ignore-output", "reason-accuracy"]
seed_everything(seed)
data = datasets.load(dataset, data_dir=data_dir, n_train=n_train, seed=seed)
test, select = data.test[:n_test], data.val[:n_select]
n_classes = len(data.classes)
teacher, uncut = models.load_baseline("resnet20", data), models.load_baseline("resnet8", data)


def make_student(seed: int) -> torch.nn.Module:
    seed_everything(seed)
    return prune_channels(uncut, torch.zeros(1, 3, 32, 32), ratio=0.5, criterion="random")


for name, model in {"teacher": teacher, "student, not trained yet": make_student(seed)}.items():
    n_weights = sum(weight.numel() for weight in model.parameters())
    say(f"{name}: {n_weights:,} weights, {evaluate(model, select):.1%} of the validation images")

# %% [markdown]
# ## Idea 1: what a teacher says besides the right answer
#
# A label says "4". A teacher says "4, perhaps 9, surely not 0". How the wrong classes are ordered tells something about the image, and a label does not have it. Hinton et al. (2015) call it *dark knowledge*.
#
# A well trained teacher is nearly certain, so that this part is too small to see and too small to learn from. Dividing the logits $z$ by a **temperature** $T$ brings it up:
#
# $$p_i(T) = \frac{\exp(z_i / T)}{\sum_j \exp(z_j / T)}$$
#
# At $T = 1$ this is the ordinary softmax. A larger $T$ gives *softer* targets; an infinite one gives the same probability to all.

# %%
logits = torch.tensor([6.0, 3.0, 1.0, -2.0])
for T in (1, 2, 4, 16):
    print(f"T = {T:2d}:", [round(p, 3) for p in (logits / T).softmax(0).tolist()])

# %% [markdown]
# The teacher's words for four validation images, two easy ones and the two about which it is least certain:

# %% tags=["nbval-ignore-output", "reason-picture"]
teacher_logits = predict(teacher, select)
confidence = teacher_logits.softmax(1).amax(1)
shown = torch.cat([confidence[:200].topk(2).indices, (-confidence[:200]).topk(2).indices])
softened = {f"T = {T:g}": (teacher_logits[shown] / T).softmax(1) for T in (1, temperature)}
plotting.show_soft_targets(select.images[shown], softened, data.classes)
plt.show()

# %% [markdown]
# Is the order of the wrong classes worth anything? Look where the teacher is wrong, and at its second choice.

# %%
ranked = teacher_logits.argsort(1, descending=True)
wrong = ranked[:, 0] != select.labels
second_right = (ranked[wrong, 1] == select.labels[wrong]).float().mean().item()
claim(
    "where the teacher errs, its second choice is right three times as often as a guess",
    second_right * (n_classes - 1),
    at_least=3,
)

# %% [markdown]
# ## Idea 2: the loss
#
# The student should say what the teacher says. The distance between the two is the Kullback-Leibler divergence from the teacher's probabilities $p$ to the student's $q$, both at temperature $T$, as a mean over the $N$ images:
#
# $$L_\text{soft} = T^2 \cdot \frac{1}{N} \sum_n \sum_i p_{n,i}(T)\, \log \frac{p_{n,i}(T)}{q_{n,i}(T)} \qquad L = \alpha\, L_\text{soft} + (1 - \alpha)\, L_\text{labels}$$
#
# The second term is the ordinary cross entropy, at $T = 1$. Why there is a $T^2$ comes in a moment.

# %%
student_says = torch.tensor([[2.0, 0.5, -1.0], [0.0, 1.0, 0.5]])
teacher_says = torch.tensor([[5.0, 1.0, -2.0], [-1.0, 4.0, 3.0]])
labels, T, weight = torch.tensor([0, 2]), 4.0, 0.9
p, q = (teacher_says / T).softmax(1), (student_says / T).softmax(1)
soft = T**2 * (p * (p / q).log()).sum(1).mean()
hard = -student_says.log_softmax(1)[[0, 1], labels].mean()
by_hand = weight * soft + (1 - weight) * hard
assert_close(distillation.soft_target_loss(student_says, teacher_says, T), soft)
assert_close(distillation.distillation_loss(student_says, teacher_says, labels, T, weight), by_hand)

# %% [markdown]
# ## Where it breaks: mistakes that raise no error
#
# All of these train, and the loss goes down. The cells below fail on purpose, each with the check that would have caught it.
#
# **Mistake 1: `nn.KLDivLoss()` as it comes.** Many published snippets have this line. It has no temperature, and its default `reduction="mean"` divides by the number of images *and* by the number of classes.

# %% tags=["raises-exception", "nbval-ignore-output", "reason-error"]
with warnings.catch_warnings(action="ignore"):  # torch warns as well; who reads warnings?
    from_snippet = torch.nn.KLDivLoss()(student_says.log_softmax(1), teacher_says.softmax(1))
p, q = teacher_says.softmax(1), student_says.softmax(1)
assert_close(from_snippet, (p * (p / q).log()).sum(1).mean())

# %% [markdown]
# The teacher's term is too small by the number of classes. With the labels beside it, the labels win. Without them, it acts as a learning rate that is far too low. `reduction="batchmean"` is what the formula says.
#
# **How to notice:** a loss may not depend on a class that nobody considers. Add one with probability zero, and see whether the value moves.

# %%
claim(
    "the snippet's loss is not the one of the formula",
    "Scalars are not close" in str(sys.last_value),
)
nobody = torch.full((2, 1), -1e4)
pairs = [(student_says, teacher_says)]
pairs += [tuple(torch.cat([says, nobody], dim=1) for says in pairs[0])]
mean, batchmean = [], []
for s, t in pairs:
    terms = F.kl_div(s.log_softmax(1), t.log_softmax(1), reduction="none", log_target=True)
    mean.append(terms.mean().item())  # reduction="mean"
    batchmean.append(terms.sum().item() / len(terms))  # reduction="batchmean"
claim("an idle class changes the mean", abs(mean[1] / mean[0] - 1), at_least=0.1)
claim("an idle class leaves batchmean alone", abs(batchmean[1] / batchmean[0] - 1), at_most=1e-4)

# %% [markdown]
# **Mistake 2: the factor $T^2$ is missing.** Differentiate the loss without it, and for a single image
#
# $$\frac{\partial L}{\partial z_i} = \frac{1}{T}\,(q_i - p_i) \approx \frac{1}{T^2} \cdot \frac{z_i - v_i}{C} \quad \text{for large } T$$
#
# with the student's and the teacher's centred logits $z$ and $v$ and $C$ classes. So the teacher's voice fades with $1/T^2$ against the labels, and whoever tries several temperatures really tries several values of $\alpha$. Here are the gradients of an untrained student's logits, by temperature:

# %%
batch_logits = torch.randn(64, n_classes, generator=torch.Generator().manual_seed(seed))
temperatures = [1, 2, 4, 8, 16]


def gradient_norm(T: float, factor: float) -> float:
    z = batch_logits.clone().requires_grad_()
    (factor * distillation.soft_target_loss(z, teacher_logits[:64], T) / T**2).backward()
    return z.grad.norm().item()


without = [gradient_norm(T, factor=1) for T in temperatures]
with_factor = [gradient_norm(T, factor=T**2) for T in temperatures]

# %% tags=["nbval-ignore-output", "reason-picture"]
fig, ax = plt.subplots(figsize=(6, 3.2))
ax.loglog(temperatures, without, "o-", label="without $T^2$")
ax.loglog(temperatures, with_factor, "s-", label="with $T^2$")
ax.set(xlabel="temperature", ylabel="norm of the gradient")
ax.legend()
plt.show()

# %% [markdown]
# **How to notice:** compare the norms of the gradients of both terms, or simply the gradient at two temperatures. They should be of one size. The next cell asks for that, and fails.

# %% tags=["raises-exception", "nbval-ignore-output", "reason-error"]
assert without[-1] > without[0] / 3, "at the highest temperature the teacher is hardly heard"

# %%
claim("without the factor the check failed", "hardly heard" in str(sys.last_value))
claim("with it the same check passes", with_factor[-1] > with_factor[0] / 3)

# %% [markdown]
# **Mistake 3: the teacher is in training mode.** No optimizer touches it, so what could happen? Its batch normalisation uses the statistics of each batch, so its answer for an image depends on the image's neighbours. And it keeps a running mean of them, so that the teacher itself drifts while the student learns.

# %% tags=["raises-exception", "nbval-ignore-output", "reason-error"]
drifting = copy.deepcopy(teacher).train()
with torch.no_grad():
    for inputs, _ in datasets.batches(select[:160], 16):
        drifting(inputs)
assert_close(drifting.bn.running_var, teacher.bn.running_var)

# %% [markdown]
# **How to notice:** compare the teacher's `state_dict` before and after, or its accuracy in the very mode in which it teaches. The first tells you that it drifted, the second what that costs.

# %%
claim("the teacher drifted without any optimizer", "elements" in str(sys.last_value))
with torch.no_grad():
    in_train_mode = torch.cat([drifting(x) for x, _ in datasets.batches(select, 16)])
heard = agreement(in_train_mode, teacher_logits)
claim("in training mode it contradicts itself on some images", heard, at_most=0.995)

# %% [markdown]
# **Mistake 4: the teacher takes part in the gradient.** Then each backward pass runs through the teacher as well. That costs time and memory, and if its weights ever reach an optimizer, the teacher moves towards the student: the loss falls, and nobody learns.

# %% tags=["raises-exception", "nbval-ignore-output", "reason-error"]
careless = copy.deepcopy(teacher)
images = datasets.to_inputs(select[:16])
says = make_student(seed).eval()(images).log_softmax(1)
F.kl_div(says, careless(images).softmax(1), reduction="batchmean").backward()
assert all(weight.grad is None for weight in careless.parameters()), "the teacher has gradients"

# %% [markdown]
# One function mends 3 and 4. `distillation.ask(teacher, images)` switches to evaluation mode and asks without gradients. All losses of the package go through it.

# %%
claim("the teacher got gradients", "has gradients" in str(sys.last_value))
careful = copy.deepcopy(teacher).train()  # as somebody may have left it
loss = distillation.kd_loss(careful, temperature, alpha)(
    make_student(seed), images, select.labels[:16]
)
loss.backward()
before, after = teacher.state_dict(), careful.state_dict()
claim(
    "asked properly, no weight and no statistic moves",
    all(torch.equal(before[k], after[k]) for k in before),
)
claim(
    "and the teacher gets no gradient", all(weight.grad is None for weight in careful.parameters())
)

# %% [markdown]
# ## Idea 3: is it the teacher, or just softer targets?
#
# Whoever claims that a teacher helps must exclude cheaper explanations. **Label smoothing** (Szegedy et al. 2016) also softens the targets, without any teacher: nine tenths for the label, the last tenth for all classes alike. It is a teacher who knows nothing. If it helps as much, distillation is only regularisation.

# %%
uninformed = -student_says.log_softmax(1).mean(1).mean()  # all classes alike
assert_close(
    0.9 * hard + 0.1 * uninformed,
    F.cross_entropy(student_says, labels, label_smoothing=0.1),
)

# %% [markdown]
# ## Idea 4: more to copy than answers
#
# The layers inside say something, too.
#
# - **Hints** (Romero et al. 2015): the student's features in the middle should predict the teacher's. The student has fewer channels, so a 1×1 convolution, the *regressor*, translates. It is trained along and thrown away.
# - **Attention transfer** (Zagoruyko and Komodakis 2017): copy only *where* a layer is active. Square, sum over the channels, scale to length 1. Then the number of channels does not matter.

# %%
generator = torch.Generator().manual_seed(seed)
thin, wide = (torch.randn(2, c, 4, 4, generator=generator) for c in (3, 5))
regressor = torch.nn.Conv2d(3, 5, kernel_size=1)
hint = (regressor(thin) - wide).pow(2).mean() / 2
assert_close(distillation.feature_loss(regressor(thin), wide), hint)


def where_active(features: torch.Tensor) -> torch.Tensor:
    energy = features.pow(2).sum(1).flatten(1)
    return energy / energy.norm(dim=1, keepdim=True)


assert_close(distillation.attention_map(thin), where_active(thin))
attention = (where_active(thin) - where_active(wide)).pow(2).mean()
assert_close(distillation.attention_loss(thin, wide), attention)

# %% [markdown]
# ## Five ways to train the same student
#
# Every arm gets the same images, the same augmentation, the same number of steps and the same learning rate. With the same seed it also gets the same half of the channels and the same batches in the same order, so the arms are compared *in pairs*, seed by seed. That removes most of the noise.
#
# Temperature and $\alpha$ were set in advance. The student alone was not tuned either.

# %%
layers = ["stage1", "stage2", "stage3"]
losses = {
    "alone": None,
    "KD": distillation.kd_loss(teacher, temperature, alpha),
    "smoothing": smoothed_cross_entropy,
    "hints": distillation.hint_loss(teacher, "stage2"),
    "attention": distillation.attention_transfer_loss(teacher, layers),
}


def train(loss, seed: int) -> torch.nn.Module:
    model = student = make_student(seed)
    if loss is losses["hints"]:
        n_in, n_out = student.stage2[0].conv2.out_channels, teacher.stage2[0].conv2.out_channels
        model = distillation.Hinted(student, torch.nn.Conv2d(n_in, n_out, kernel_size=1))
    fit(model, data, epochs=epochs, lr=lr, batch_size=64, seed=seed, loss=loss, show=False)
    return student


# %%
seeds = range(seed, seed + n_seeds)
students, seconds = {}, {}
for arm, loss in losses.items():
    n_runs = n_seeds if arm in ("alone", "KD") else n_seeds_other
    start = time.perf_counter()
    students[arm] = [train(loss, s) for s in seeds[:n_runs]]
    seconds[arm] = (time.perf_counter() - start) / n_runs
logits = {arm: [predict(student, test) for student in trained] for arm, trained in students.items()}
accuracy = {
    arm: [(each.argmax(1) == test.labels).float().mean().item() for each in results]
    for arm, results in logits.items()
}

# %% tags=["nbval-ignore-output", "reason-picture"]
fig, ax = plt.subplots(figsize=(6, 3.4))
plotting.plot_pairs(ax, accuracy)
ax.set_ylabel("test accuracy")
plt.show()

# %% [markdown]
# A line joins the runs with the same seed, a bar is a mean. In numbers, as the mean of the paired differences with its 95 % interval ($t$ distribution):


# %% tags=["nbval-ignore-output", "reason-accuracy"]
def compare(arm: str, other: str) -> list[str]:
    n = min(len(accuracy[arm]), len(accuracy[other]))
    d = paired_difference(accuracy[arm][:n], accuracy[other][:n])
    interval = f"{100 * d.mean:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f})"
    return [f"{arm} against {other}", n, interval, d.verdict]


pairs = [(arm, "alone") for arm in list(accuracy)[1:]] + [("KD", "smoothing")]
keep(
    "distillation_arms",
    table(
        ["comparison", "seeds", "points (95 % interval)", "verdict"], [compare(*p) for p in pairs]
    ),
)

# %%
wins = [
    with_teacher > alone
    for with_teacher, alone in zip(accuracy["KD"], accuracy["alone"], strict=True)
]
claim("the student with a teacher beats the student alone in every seed", all(wins))

# %% tags=["nbval-ignore-output", "reason-accuracy"]
difference = paired_difference(accuracy["KD"], accuracy["alone"])
say(
    f"Alone, the student gets {sum(accuracy['alone']) / n_seeds:.1%}. With the teacher {sum(accuracy['KD']) / n_seeds:.1%}: {difference.verdict}, {sum(wins)} of {n_seeds} seeds in its favour. A step with the teacher takes {seconds['KD'] / seconds['alone']:.1f} times as long."
)

# %% [markdown]
# ## Does it depend on temperature and alpha?
#
# On the validation split, with a seed that was not used above.

# %%
settings = [(1.0, 0.9), (2.0, 0.9), (4.0, 0.9), (8.0, 0.9), (4.0, 0.5), (4.0, 1.0)]
sweep = {
    (T, weight): evaluate(train(distillation.kd_loss(teacher, T, weight), seed + 100), select)
    for T, weight in settings
}
sweep_alone = evaluate(train(None, seed + 100), select)

# %% tags=["nbval-ignore-output", "reason-accuracy"]
rows = [["alone", "", f"{sweep_alone:.1%}", ""]]
for (T, weight), value in sweep.items():
    rows.append([f"{T:g}", f"{weight:g}", f"{value:.1%}", f"{100 * (value - sweep_alone):+.1f}"])
say(table(["temperature", "alpha", "validation accuracy", "points"], rows))

# %% [markdown]
# ## What does the student copy?
#
# Accuracy counts right answers. A teacher hands on more: which wrong answers it gives, and how sure it is. The **calibration error** is the mean distance between confidence and accuracy (Guo et al. 2017): zero if, of all answers given with 80 % confidence, 80 % are right.

# %%
teacher_test = predict(teacher, test)
teacher_wrong = teacher_test.argmax(1) != test.labels


def describe(results: list[torch.Tensor]) -> list[float]:
    rows = [
        [
            agreement(each, teacher_test),
            agreement(each[teacher_wrong], teacher_test[teacher_wrong]),
            calibration_error(each, test.labels),
        ]
        for each in results
    ]
    return torch.tensor(rows).mean(0).tolist()


copied = {arm: describe(logits[arm]) for arm in logits}

# %% tags=["nbval-ignore-output", "reason-accuracy"]
header = ["student", "same answer as the teacher", "same mistake", "calibration error"]
say(table(header, [[arm, *(f"{value:.1%}" for value in row)] for arm, row in copied.items()]))

# %%
claim(
    "with KD the student agrees with the teacher more often than alone",
    copied["KD"][0] > copied["alone"][0],
)

# %% [markdown]
# ## The table
#
# The teacher, the ResNet-8 that the students were cut from, and the first student of two arms. The two students are the same network with other weights, so only their accuracies differ.

# %% tags=["nbval-ignore-output", "reason-timing"]
rows = {
    "teacher": measure("ResNet-20, the teacher", teacher, test),
    "uncut": measure("ResNet-8", uncut, test),
    "alone": measure("half of ResNet-8, alone", students["alone"][0], test),
    "KD": measure("half of ResNet-8, distilled", students["KD"][0], test),
}
keep("distillation", comparison_table(list(rows.values())))

# %%
claim(
    "the student's file is at most a fifth of the teacher's",
    rows["KD"].size_bytes / rows["teacher"].size_bytes,
    at_most=0.2,
)
claim(
    "at batch 64 the student is at least twice as fast as the teacher",
    rows["teacher"].latency_ms(64) / rows["KD"].latency_ms(64),
    at_least=2,
)

# %% [markdown]
# ## Summary
#
# You have
#
# - seen that a teacher's wrong answers are ordered, and that the temperature brings this up;
# - written the distillation loss, with a mean over images and the factor $T^2$;
# - made four mistakes that raise no error, and caught each with a check of one line;
# - compared five ways of training one student, in pairs, with an interval and a verdict;
# - measured what the student copies besides right answers.
#
# **The honest limit.** The gain is real and small. It is bought with the teacher's time in every step of the training; a fair rival is the student alone with as much *time*, not as many steps (exercise 1). The teacher has seen all training images with their labels, the students only a few, so part of what it hands on is their information. Our teacher was trained with label smoothing, which is known to blur just the differences that distillation lives on (Müller et al. 2019). And a few seeds on one data set settle little: an interval that includes zero means that we do not know.
#
# ## The recipe: from torchvision's ResNet-18 to MobileNetV2
#
# Distillation asks nothing of the two networks but the same classes. With `alpha=1` the labels are not used at all, so that any images will do, labelled or not. Here the student takes a few steps; with `pretrained` the teacher knows ImageNet's thousand classes.

# %%
resnet = resnet18(weights="DEFAULT" if pretrained else None)
mobilenet = mobilenet_v2(weights=None)
before = copy.deepcopy(resnet.state_dict())
history = fit(
    mobilenet,
    data,
    epochs=4 * 32 / len(data.train),  # four steps
    batch_size=32,
    lr=0.01,
    seed=seed,
    loss=distillation.kd_loss(resnet, temperature, alpha=1.0),
    show=False,
)
unchanged = all(torch.equal(before[k], v) for k, v in resnet.state_dict().items())
claim("after four steps the teacher is what it was", unchanged)

# %% [markdown]
# ## Exercises
#
# 1. Give the student alone as much time as the student with the teacher: multiply its epochs by the ratio shown above. What is left of the gain?
# 2. Distil with all training images (`n_train=None`, and fewer epochs, so that the number of steps stays the same). Does the teacher help more or less?
# 3. Use the untouched ResNet-8 as the teacher. It is worse than the ResNet-20. Is it a worse teacher?
# 4. Join distillation and attention transfer in one loss. Which weight do you choose, and on which split?
#
# ## Further reading
#
# - G. Hinton, O. Vinyals, J. Dean, *Distilling the knowledge in a neural network*, 2015: soft targets, temperature, and distilling with few labels.
# - A. Romero et al., *FitNets: hints for thin deep nets*, 2015.
# - S. Zagoruyko, N. Komodakis, *Paying more attention to attention*, 2017.
# - R. Müller, S. Kornblith, G. Hinton, *When does label smoothing help?*, 2019.
# - L. Beyer et al., *Knowledge distillation: a good teacher is patient and consistent*, 2022: why teacher and student must see the very same crop, and why to train for long.
#
# The versions and the machine of this run:

# %% tags=["nbval-ignore-output", "reason-versions"]
say(table(["", ""], list(describe_machine().items())))
