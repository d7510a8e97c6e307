"""On which machine a time was taken."""

import platform
from pathlib import Path

import torch


def cpu_name() -> str:
    """Model name of the processor, as the system reports it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def describe_machine() -> dict[str, str]:
    """What a latency depends on besides the model: CPU, instruction set, threads, torch.

    >>> sorted(describe_machine())
    ['CPU', 'ISA', 'threads', 'torch']
    """
    return {
        "CPU": cpu_name(),
        "ISA": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }
