"""Freed memory is kept: fewer page faults where glibc allocates, no error elsewhere."""

import platform
import subprocess
import sys

import pytest

from tutorial_utils import memory

CODE = """
import resource, torch
from tutorial_utils.memory import keep_freed_memory
keep_freed_memory()
def step():
    tensors = [torch.ones(n * 1_000_000) for n in range(1, 9)]
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):  # by then the heap has found its size, also without the call
    step()
before = faults()
for _ in range(20):
    step()
print((faults() - before) * resource.getpagesize() / (20 * 36_000_000 * 4))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.slow
def test_blocks_that_were_freed_are_used_again():
    # Without the call it is most of the pages in one process and none in the next: it depends on
    # where the heap happens to end.
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.05  # of the pages that the steps use


@pytest.mark.parametrize("system", ["darwin", "linux"])
def test_other_systems_and_other_c_libraries_are_left_alone(monkeypatch, system):
    def missing(name):
        raise OSError("no such library")

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    assert memory.keep_freed_memory.__wrapped__() is None
