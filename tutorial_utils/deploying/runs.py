"""The files of a chapter, each run in a process of its own; what cannot be made has its reason."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tutorial_utils.deploying.formats import missing
from tutorial_utils.deploying.isolated import IsolatedRun, run_isolated
from tutorial_utils.errors import InputError, check_choice
from tutorial_utils.measuring.timing import SpeedUp, speed_up


class Deployments:
    """Files by name, with what a fresh process found of each.

    A file that cannot be made here, without a compiler or a runtime, is a row with a reason and
    no figures, which `missing` and `speed_up` return in the form that `book.claim` takes.

    Args:
        images: (N, C, H, W), which every file answers.
        batch_sizes: numbers of images per call to time.
        without: formats to leave out, by the reason for it.
    """

    def __init__(
        self, images: Tensor, batch_sizes: Sequence[int], without: dict[str, str] | None = None
    ):
        self.images, self.batch_sizes = images, tuple(batch_sizes)
        self.without = without or {}
        self.reports: dict[str, IsolatedRun] = {}
        self.files: dict[str, Path] = {}
        self.reasons: dict[str, str] = {}

    def add(self, name: str, kind: str, make: Callable[[], Path]) -> None:
        """Make a file, run it in a fresh process, and keep what that found.

        Args:
            name: what the row is called.
            kind: "exported", "aoti", "onnx" or "executorch".
            make: writes the file and returns its path; called only where the format is there.
        """
        if reason := self.without.get(kind) or missing(kind):
            self.reasons[name] = reason
            return
        self.files[name] = make()
        self.reports[name] = run_isolated(
            kind, self.files[name], self.images, batch_sizes=self.batch_sizes
        )

    def missing(self, *names: str) -> str | None:
        """Why one of some files is not there, or None where all are.

        Raises:
            InputError: a name that was never added.
        """
        for name in names:
            check_choice("file", name, [*self.reports, *self.reasons])
        return next((self.reasons[name] for name in names if name in self.reasons), None)

    def report(self, name: str) -> IsolatedRun | None:
        """What the process of a file found, None where the file is not there."""
        return None if self.missing(name) else self.reports[name]

    def speed_up(self, before: str, after: str, batch_size: int) -> SpeedUp:
        """How many times as fast the second file is; `skip` says why not, if one is missing."""
        if reason := self.missing(before, after):
            return SpeedUp(math.nan, reason)
        return speed_up(*(self.reports[n].latency[batch_size] for n in (before, after)))

    def agreement(self, name: str, logits: Tensor) -> float:
        """Share of the images for which a file predicts what these logits (N, n_classes) do."""
        if reason := self.missing(name):
            raise InputError(f"{name}: no answers to compare, {reason}")
        return (self.reports[name].answers.argmax(1) == logits.argmax(1)).float().mean().item()

    def fastest(self, batch_size: int, word: str = "") -> dict[str, str]:
        """The fastest file of each format at a batch size, of those with a word in their names."""
        best: dict[str, str] = {}
        for name, report in self.reports.items():
            least = self.reports[best.get(report.kind, name)].latency_ms(batch_size)
            if word in name and report.latency_ms(batch_size) <= least:
                best[report.kind] = name
        return best

    def load(self, name: str) -> Callable[[Tensor], Tensor] | None:
        """An AOTInductor package loaded in this process, None where it is not there."""
        if self.missing(name):
            return None
        return torch._inductor.aoti_load_package(str(self.files[name]))
