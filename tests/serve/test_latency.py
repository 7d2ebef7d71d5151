"""CPU time of a call: its own alone, on one thread, and the threads are given back."""

import time

import pytest
import torch

from colliderkit.serve.latency import cpu_seconds


def test_waiting_costs_no_cpu_time_and_threads_come_back() -> None:
    before = torch.get_num_threads()
    seen = []

    def busy() -> None:
        seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        time.sleep(0.02)
        begin = time.process_time()
        while time.process_time() - begin < 0.01:
            pass

    assert cpu_seconds(busy, repetitions=3) == pytest.approx(0.01, rel=0.5)
    assert seen == [(1, True)] * 4
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        cpu_seconds(lambda: 1 / 0)
    assert torch.get_num_threads() == before
