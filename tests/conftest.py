"""One thread a test, if not told otherwise: the tests run side by side.

Ctrl-C is heard wherever they were started. `seed` moves the seeds of statistical tests.
"""

import os
import signal

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell lets what it starts in the background ignore Ctrl-C, and so do the programs that the
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"].split(",")[0]))


@pytest.fixture
def seed() -> int:
    """Where the seeds of a `statistical` test begin: COLLIDERKIT_TEST_SEED, 0 if not set."""
    return int(os.environ.get("COLLIDERKIT_TEST_SEED", "0"))
