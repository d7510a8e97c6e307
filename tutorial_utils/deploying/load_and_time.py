"""Run as a program by `isolated.run_isolated`: loads one exported file and measures it.

It imports NumPy and the runtime of the format, nothing else; so it is also the smallest example of
how to load each format. Usage, in a folder with the images in inputs.npy:

    python -P load_and_time.py KIND FILE THREADS BATCH_SIZES

It writes answers.npy and report.json beside the images.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]


def load_exported(path: str, threads: int) -> Callable[[], Run]:
    """PyTorch, and torchao for the operators of an int8 graph."""
    import torch
    import torchao.quantization.pt2e  # noqa: F401  (registers quantize and dequantize)

    torch.set_num_threads(threads)

    def load() -> Run:
        module = torch.export.load(path).module()
        return lambda images: _no_grad(torch, module, images)

    return load


def load_aoti(path: str, threads: int) -> Callable[[], Run]:
    """PyTorch. The package is machine code; only the call itself goes through Python."""
    import torch
    import torch._inductor

    torch.set_num_threads(threads)

    def load() -> Run:
        package = torch._inductor.aoti_load_package(path)
        return lambda images: _no_grad(torch, package, images)

    return load


def load_onnx(path: str, threads: int) -> Callable[[], Run]:
    """ONNX Runtime, without PyTorch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads

    def load() -> Run:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"images": images})[0]

    return load


def load_executorch(path: str, threads: int) -> Callable[[], Run]:
    """ExecuTorch's Python binding, which takes PyTorch's tensors. It chooses its threads itself."""
    import torch
    from executorch.runtime import Runtime

    runtime = Runtime.get()

    def load() -> Run:
        method = runtime.load_program(path).load_method("forward")
        return lambda images: method.execute((torch.from_numpy(images),))[0].numpy()

    return load


LOADERS = {
    "exported": load_exported,
    "aoti": load_aoti,
    "onnx": load_onnx,
    "executorch": load_executorch,
}


def time_calls(
    run: Run, images: np.ndarray, n_rounds: int = 15, seconds: float = 0.02
) -> list[float]:
    """Milliseconds of one call, the mean over `seconds`, in each of some rounds after a warm-up."""
    for _ in range(3):
        run(images)
    times = []
    for _ in range(n_rounds):
        start, n_calls = time.perf_counter(), 0
        while n_calls == 0 or time.perf_counter() < start + seconds:
            run(images)
            n_calls += 1
        times.append(1e3 * (time.perf_counter() - start) / n_calls)
    return times


def main(kind: str, path: str, threads: str, sizes: str) -> None:
    """Load, answer, measure, write."""
    images = np.load("inputs.npy")
    start = time.perf_counter()
    load = LOADERS[kind](path, int(threads))
    imported = time.perf_counter()
    run = load()
    loaded = time.perf_counter()
    batch_sizes = [int(size) for size in sizes.split(",")]
    step = max(batch_sizes)
    answers = [run(images[first : first + step]) for first in range(0, len(images), step)]
    latency = {size: time_calls(run, images[:size]) for size in batch_sizes}
    if kind == "aoti":
        _log_kernels(run, images[:1])
    np.save("answers.npy", np.concatenate(answers))
    report = {
        "import_ms": 1e3 * (imported - start),
        "load_ms": 1e3 * (loaded - imported),
        "latency": latency,
        "modules": sorted({name.split(".")[0] for name in sys.modules}),
    }
    with open("report.json", "w", encoding="utf-8") as file:
        json.dump(report, file)


def _no_grad(torch, run: Callable, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return run(torch.from_numpy(images)).numpy()


def _log_kernels(run: Run, images: np.ndarray) -> None:
    """One call for which oneDNN prints the time of each of its kernels."""
    import torch

    if torch.backends.mkldnn.is_available():
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            run(images)


if __name__ == "__main__":
    main(*sys.argv[1:])
