"""CPU time of a call on one core: what an answer of a fitted model costs."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["cpu_seconds"]


def cpu_seconds(make: Callable[[], Any], repetitions: int = 5) -> float:
    """Return the CPU seconds of a call, the median of `repetitions` after one that warms up.

    torch works on one thread and keeps nothing for gradients meanwhile.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    try:
        with torch.inference_mode():
            make()
            for _ in range(repetitions):
                begin = time.process_time()
                make()
                times.append(time.process_time() - begin)
    finally:
        torch.set_num_threads(threads)
    return float(np.median(times))
