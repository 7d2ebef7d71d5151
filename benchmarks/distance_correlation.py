"""Distance correlation (DisCo) in O(n log n) against the n x n form, one thread.

    python benchmarks/distance_correlation.py

Forward and backward pass of the squared distance correlation of 1-D x and m with weights. The n x n
side is the formula of the published code (github.com/gkasieczka/DisCo, which names no licence),
written anew here: the same matrices, means and products, in torch and in single precision as it is
used there; its memory at n = 10,000 is some GB. One million events run in a process of their own,
whose peak memory is what the system counted, torch's own included.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from colliderkit.losses.decorrelation import distance_correlation
from colliderkit.methods.method import versions
from comparison import row, save

COMMAND = "python benchmarks/distance_correlation.py"
COMPARED, EQUAL, LARGE = 10_000, 2_000, 1_000_000


def matrices(x: Tensor, m: Tensor, weight: Tensor) -> Tensor:
    """Return dCorr^2 by n x n matrices, weights of mean 1; 2001.05310 at power 1."""
    centred = []
    for t in (x, m):
        distance = (t[:, None] - t[None, :]).abs()
        mean = (distance * weight).mean(1)
        centred.append(distance - mean[None, :] - mean[:, None] + (mean * weight).mean())
    a, b = centred

    def over(product: Tensor) -> Tensor:
        return ((product * weight).mean(1) * weight).mean()

    return over(a * b) / (over(a * a) * over(b * b)).sqrt()


def sample(count: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return x that depends on m, m, and weights of mean 1, (count,) each."""
    random = torch.Generator().manual_seed(20010531)
    m, noise, weight = torch.randn(3, count, generator=random, dtype=torch.float64)
    weight = weight.abs()
    x = torch.sigmoid(0.3 * m + noise).to(dtype).requires_grad_()
    return x, m.to(dtype), (weight / weight.mean()).to(dtype)


def timed(form: Callable[[Tensor, Tensor, Tensor], Tensor], count: int) -> float:
    """Return the seconds of one forward and backward pass."""
    x, m, weight = sample(count, torch.float32)
    begin = time.perf_counter()
    form(x, m, weight).backward()
    return time.perf_counter() - begin


def large() -> None:
    """Run one million events and print what it took."""
    timed(distance_correlation, 100)  # compiles the kernel
    answer = {"seconds": timed(distance_correlation, LARGE)}
    answer["gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(json.dumps(answer))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="the million events alone")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.large:
        large()
        return
    common = {"command": COMMAND, "threads": 1, "versions": versions()}
    values, gradients = [], []
    for form in (distance_correlation, matrices):
        x, m, weight = sample(EQUAL, torch.float64)
        value = form(x, m, weight)
        value.backward()
        assert x.grad is not None
        values.append(float(value.detach()))
        gradients.append(x.grad)
    apart = abs(values[0] / values[1] - 1)
    slope = float((gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max())
    rows = [
        row(
            f"DisCo: value at n = {EQUAL:,}, weighted",
            *(values[0], values[1], values[0] / values[1], None),
            unit="",
            bar="within 1e-6 of n x n, gradient too",
            met=max(apart, slope) <= 1e-6,
            value_apart=apart,
            gradient_apart=slope,
            **common,
        )
    ]
    timed(distance_correlation, 100)
    pairs = [
        (timed(distance_correlation, COMPARED), timed(matrices, COMPARED))
        for _ in range(chosen.repetitions)
    ]
    ratios = [theirs / ours for ours, theirs in pairs]
    rows.append(
        row(
            f"DisCo: forward and backward at n = {COMPARED:,}",
            statistics.median(ours for ours, _ in pairs),
            statistics.median(theirs for _, theirs in pairs),
            statistics.median(ratios),
            statistics.stdev(ratios) if len(ratios) > 1 else None,
            unit="s",
            bar=">= 20",
            **common,
        )
    )
    done = subprocess.run(
        [sys.executable, __file__, "--large"], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    rows.append(
        row(
            f"DisCo: peak memory at n = {LARGE:,}",
            *(answer["gb"], None, None, None),
            unit="GB",
            bar="ours < 4 GB",
            met=answer["gb"] < 4,
            seconds=answer["seconds"],
            **common,
        )
    )
    save("distance_correlation", rows)


if __name__ == "__main__":
    main()
