"""CPU time of a call on one core, and the gain by a GPU: what an answer of a model costs."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.events.ragged import Ragged
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import predict

__all__ = ["cpu_seconds", "gpu_gains"]


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


def gpu_gains(model: nn.Module, inputs: Ragged | Tensor, repetitions: int) -> list[float]:
    """Return how many times as fast as one CPU core a GPU answers events, of each repetition.

    Batches are of 1,024 events; copies to the GPU and back count.
    """
    data = Dataset(inputs, torch.zeros(len(inputs)), torch.ones(len(inputs)))

    def seconds(device: str) -> float:
        model.to(device)
        with torch.inference_mode():
            predict(model, data, 1_024)
            begin = time.perf_counter()
            predict(model, data, 1_024)
            return time.perf_counter() - begin

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [seconds("cpu") / seconds("cuda") for _ in range(repetitions)]
    finally:
        torch.set_num_threads(threads)
        model.to("cpu")
