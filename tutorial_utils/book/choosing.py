"""The page "Which technique should I use?": questions that open, answers from measured rows.

Plain `<details>` of HTML, so it works without scripts and with the keyboard.
"""

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from tutorial_utils.book.front import Model, parse_table, read_models
from tutorial_utils.errors import check_choice


class Advice(NamedTuple):
    """What to do, a row of a table that measured it, and the chapter that explains it."""

    text: str
    row: str  # a name in the tables "combining" or "files" of chapter 8, "" for none
    chapter: str  # the file of a chapter, without its ending


Question = tuple[str, "list[tuple[str, Question | Advice]]"]

QUESTION: Question = (
    "What do you have besides the trained network?",
    [
        (
            "A few images without labels, and no time to train",
            Advice(
                "Quantize to 8 bits after training. If the file is still too large, go on to "
                "fewer bits with `best_ptq`.",
                "PTQ, 8 bits",
                "03_post_training_quantization",
            ),
        ),
        (
            "The training data, and time to train",
            (
                "What do you need most?",
                [
                    (
                        "A smaller file, and no accuracy to spare",
                        Advice(
                            "Train with rounding. Try the best rounding without training first.",
                            "QAT, 4 bits",
                            "04_quantization_aware_training",
                        ),
                    ),
                    (
                        "Less time for each image",
                        (
                            "Is there a smaller trained network for the same task?",
                            [
                                (
                                    "Yes",
                                    Advice(
                                        "Take it, train it longer, quantize it.",
                                        "ResNet-8, trained on + PTQ",
                                        "08_combining",
                                    ),
                                ),
                                (
                                    "No",
                                    Advice(
                                        "Remove channels, let the whole network teach what is "
                                        "left, quantize.",
                                        "half + KD + PTQ",
                                        "06_structured_pruning",
                                    ),
                                ),
                            ],
                        ),
                    ),
                    (
                        "A small file and little time",
                        Advice(
                            "Remove channels of a small network, distil for long, round its "
                            "weights to 4 bits with care.",
                            "cut ResNet-8 + longer KD + GPTQ",
                            "08_combining",
                        ),
                    ),
                    (
                        "The smallest file, unpacked before use",
                        Advice(
                            "Zeros, shared values and a Huffman code. The arithmetic stays that "
                            "of the small network in float.",
                            "Deep Compression of the ResNet-8",
                            "08_combining",
                        ),
                    ),
                    (
                        "Zeros, because my hardware has kernels for them",
                        Advice(
                            "Prune in the pattern of these kernels, two of four. Without them "
                            "zeros buy no time, as here.",
                            "unstructured, 80 %",
                            "05_unstructured_pruning",
                        ),
                    ),
                ],
            ),
        ),
        (
            "Images without labels, and time to train",
            Advice(
                "Distil: the network labels the images for a smaller one.",
                "ResNet-8 + KD + PTQ",
                "07_knowledge_distillation",
            ),
        ),
        (
            "Nothing",
            Advice(
                "Halve the bytes with bfloat16. To quantize the activations you need images of "
                "the right kind: with noise in their place, chapter 3 loses much.",
                "",
                "03_post_training_quantization",
            ),
        ),
    ],
)


def decision_tree(kept: Mapping[str, str]) -> str:
    """Return the questions as HTML, each answer with its measured row.

    Args:
        kept: results by key (`notebooks.kept_results`), with "combining" and "files".

    Raises:
        InputError: the tables have no row of a name that an answer refers to.
    """
    models = {model.name: model for model in read_models(kept["combining"])}
    for row in parse_table(kept["files"]):
        name = row["file"]
        if name not in models:
            share = 1 / float(row["bytes"].partition("(")[2].removesuffix("×)"))
            faster = float(row["speed, unpacked"].removesuffix("×"))
            points = float(row["points (95 %)"].partition(" ")[0])
            models[name] = Model(name, share, faster, points)
    return f'<div class="choosing">\n{_question(QUESTION, models)}</div>'


def _question(question: Question, models: dict[str, Model]) -> str:
    text, answers = question
    lines = [f"<p><strong>{escape(text)}</strong></p>"]
    for answer, then in answers:
        inside = _advice(then, models) if isinstance(then, Advice) else _question(then, models)
        lines.append(f"<details><summary>{escape(answer)}</summary>\n{inside}</details>")
    return "\n".join(lines) + "\n"


def _advice(advice: Advice, models: dict[str, Model]) -> str:
    number = int(advice.chapter[:2])
    link = f'<a href="../notebooks/{advice.chapter}.html">Chapter {number}</a>'
    text = "".join(
        f"<code>{part}</code>" if i % 2 else part
        for i, part in enumerate(escape(advice.text).split("`"))
    )
    if not advice.row:
        return f"<p>{text} {link}.</p>\n"
    check_choice("row of chapter 8", advice.row, models)
    model = models[advice.row]
    return f"<p>{text} {link}.</p>\n<p><em>{escape(model.name)}</em>: <b>{_gain(model)}</b>.</p>\n"


def _gain(model: Model) -> str:
    """What a model gives, in words where a figure would say nothing."""
    size = f"{1 / model.share:.0f} times smaller" if model.share < 0.7 else "as large as before"
    speed = f"{model.faster:.1f} times as fast" if model.faster > 1.05 else "as fast as before"
    points = "no point of accuracy lost or won"
    if abs(model.points) >= 0.05:
        points = f"{abs(model.points):.1f} points {'less' if model.points < 0 else 'more'} accurate"
    return f"{size}, {speed}, {points}"
