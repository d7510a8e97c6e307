"""Running an exported file in a fresh Python process, which knows nothing of this package.

The process imports the runtime of the format, and reports what the model answered and how long
that took. `load_and_time` is the script that it runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tutorial_utils.deploying import load_and_time
from tutorial_utils.errors import InputError
from tutorial_utils.measuring.timing import Latency


@dataclass(frozen=True)
class IsolatedRun:
    """What a fresh process found: times in milliseconds, and the answers (N, n_classes).

    ``import_ms`` is what importing the runtime took, ``load_ms`` loading the file. ``latency``
    maps a batch size to its `Latency`. ``kernel_ms`` is the part of a call with one image that
    oneDNN spent in its kernels, None where it did not compute. ``modules`` are the top-level
    modules that the process had imported at its end.
    """

    kind: str
    size_bytes: int
    import_ms: float
    load_ms: float
    latency: dict[int, Latency]
    kernel_ms: float | None
    modules: frozenset[str]
    answers: Tensor

    def latency_ms(self, batch_size: int) -> float:
        """Median latency of one batch in milliseconds."""
        return self.latency[batch_size].median_ms


def run_isolated(
    kind: str,
    path: str | os.PathLike,
    inputs: Tensor,
    *,
    threads: int | None = None,
    batch_sizes: tuple[int, ...] = (1, 64),
    limit_s: float = 600,
) -> IsolatedRun:
    """Load a file in a fresh Python process, run all inputs through it, and time it.

    The inputs go through in batches of the largest size, the last of which may be short.

    Args:
        kind: "exported", "aoti", "onnx" or "executorch".
        path: the file. It is executed: never pass one from a source that you do not trust.
        inputs: images (N, C, H, W), normalised.
        threads: how many the runtime may use; None for as many as this process does.
        batch_sizes: numbers of images per call to time.
        limit_s: seconds after which the process is ended.

    Raises:
        InputError: an unknown format, no such file, or too few inputs for the largest batch.
        RuntimeError: the process failed, and the message has its last line; or it took too long.
    """
    path = Path(path).resolve()
    if kind not in load_and_time.LOADERS:
        raise InputError(f"kind={kind!r}: expected one of {', '.join(load_and_time.LOADERS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if len(inputs) < max(batch_sizes):
        raise InputError(f"{len(inputs)} images cannot fill a batch of {max(batch_sizes)}")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "inputs.npy"), inputs.contiguous().numpy())
        sizes = ",".join(map(str, batch_sizes))
        command = [sys.executable, "-P", load_and_time.__file__, kind, path]
        command += [str(threads or torch.get_num_threads()), sizes]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=limit_s
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(
                f"the process that ran {path.name} took more than {limit_s:g} s and was ended"
            ) from error
        if done.returncode:
            last = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise RuntimeError(f"the process that ran {path.name} failed: {last}")
        found = json.loads(Path(folder, "report.json").read_text())
        answers = torch.from_numpy(np.load(Path(folder, "answers.npy")))
    return IsolatedRun(
        kind=kind,
        size_bytes=path.stat().st_size,
        import_ms=found["import_ms"],
        load_ms=found["load_ms"],
        latency={int(size): Latency(tuple(times)) for size, times in found["latency"].items()},
        kernel_ms=kernel_ms(done.stdout),
        modules=frozenset(found["modules"]),
        answers=answers,
    )


def kernel_ms(log: str) -> float | None:
    """Milliseconds that the primitives in a log of oneDNN took, None if there are none.

    >>> kernel_ms("onednn_verbose,v1,primitive,exec,cpu,convolution,brg,0.25")
    0.25
    """
    lines = [line for line in log.splitlines() if line.startswith("onednn_verbose")]
    times = [float(line.rsplit(",", 1)[1]) for line in lines if ",exec,cpu," in line]
    return sum(times) if times else None
