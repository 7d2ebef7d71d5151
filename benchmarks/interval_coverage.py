"""How often intervals from learned ratios hold the truth.

    python benchmarks/interval_coverage.py --work FOLDER

Gaussian toy: 20 events of N(mu, 1) an experiment, p(x | mu)/p(x | 0) learned with mu as input;
intervals of mu by Wilks and by Neyman's construction. INFERNO's toy (1806.04743), unbinned ratios
learned with the nuisance parameters as inputs: Poisson numbers of events, and in B4 the centres of
the constraints drawn as well; s by the profile likelihood (B4), and by Neyman's construction at
s = 50 and next to its bound, s = 10 (B0). In the column of the peer is the exact likelihood on the
same experiments. The bar: the nominal coverage lies within two standard errors, those of counting
and, for Neyman's construction, of its critical values.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.files import atomic_file
from colliderkit.methods.inference.neyman import NeymanConstruction
from colliderkit.methods.inference.nuisance_ratio import UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.method import versions
from colliderkit.methods.ratio import Ratio
from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.intervals import (
    Intervals,
    profile_intervals,
    profile_path,
)
from colliderkit.sources.toys.inferno import BENCHMARKS, Inferno
from colliderkit.training.settings import Training
from comparison import row, save

COMMAND = "python benchmarks/interval_coverage.py --work FOLDER"
LEVELS = (0.6827, 0.95)
Floats = NDArray[np.float64]
TOY = Inferno()


# Gaussian toy

EVENTS, TRUTH = 20, 0.2
SCAN = np.linspace(-1.2, 1.2, 19)


def gaussian(mu: float, count: int, random: np.random.Generator) -> Floats:
    """Draw experiments, (count, EVENTS)."""
    return random.normal(mu, 1.0, (count, EVENTS))


def exact_gaussian(data: Floats, scan: Floats) -> Floats:
    """Return ln L(mu) - ln L(0), (E, T)."""
    mean = data.mean(1)[:, None]
    return EVENTS * (mean * scan - 0.5 * scan**2)


def learned_gaussian() -> Callable[[Floats, Floats], Floats]:
    """Train p(x | mu)/p(x | 0) and return ln L of experiments over a scan."""
    random = np.random.default_rng(1)
    mu = random.uniform(-1.2, 1.2, 400_000)
    training = Training(epochs=10, batch_size=1024, learning_rate=2e-3, schedule="cosine")
    ratio = Ratio(parameters=["mu"], training=training)
    x1, x0 = random.normal(mu, 1.0)[:, None], random.normal(0.0, 1.0, (len(mu), 1))
    ratio.fit(x1, x0, theta=mu[:, None], seed=0)

    def log_likelihood(data: Floats, scan: Floats) -> Floats:
        flat = data.reshape(-1, 1)
        each = [ratio.log_ratio(flat, [mu]).reshape(data.shape).sum(1) for mu in scan]
        return np.stack(each, 1)

    return log_likelihood


def of_gaussian(experiments: int, built: int) -> list[dict[str, Any]]:
    """Return coverage on the Gaussian toy."""
    data = gaussian(TRUTH, experiments, np.random.default_rng(2))
    sides = {"ours": remembered(learned_gaussian()), "exact": exact_gaussian}
    rows = {name: side(data, SCAN) for name, side in sides.items()}
    found = []
    for level in LEVELS:
        wilks = {n: profile_intervals(SCAN, r, level) for n, r in rows.items()}
        found.append(measured("Gaussian, mu = 0.2, Wilks", level, wilks, TRUTH))
        neyman = {}
        for name, side in sides.items():
            construction = NeymanConstruction(confidence=level, experiments=built)
            construction.fit(SCAN, gaussian, side, seed=3)
            neyman[name] = construction.intervals(rows[name])
        found.append(measured("Gaussian, mu = 0.2, Neyman", level, neyman, TRUTH, built))
    return found


# INFERNO's toy


def simulate(s: float, count: int, random: np.random.Generator) -> list[Floats]:
    """Draw experiments of Poisson numbers of events at nominal nuisance parameters."""
    found = []
    for _ in range(count):
        seeds = [int(k) for k in random.integers(2**62, size=2)]
        signal = TOY.signal(int(random.poisson(s)), seeds[0])
        background = TOY.background(int(random.poisson(TOY.b)), seeds[1])
        found.append(np.concatenate([signal, background]))
    return found


def exact_profile(scan: Floats, x: Floats, benchmark: str, centre: Floats) -> Floats:
    """Return ln L at each signal of the scan, its maximum over the nuisance parameters."""
    floating = nuisances(benchmark)
    step = np.array([nuisance.size for nuisance in floating])
    inverse = np.array([0.0 if n.width is None else n.width**-2 for n in floating])
    nominal = np.array([nuisance.nominal for nuisance in floating])
    places = [("s", "r", "lambda", "b").index(nuisance.name) for nuisance in floating]
    events = torch.from_numpy(x)

    def minus(u: Floats, s: float) -> tuple[float, Floats]:
        theta = torch.tensor(nominal + step * u, requires_grad=True)
        whole = TOY.theta
        whole[0] = s
        whole = whole.index_copy(0, torch.tensor(places), theta)
        value = TOY.rate_density(events, whole).log().sum() - whole[0] - whole[3]
        (slope,) = torch.autograd.grad(value, theta)
        away = nominal + step * u - centre
        penalty = 0.5 * float((inverse * away**2).sum())
        return penalty - float(value.detach()), (inverse * away - slope.numpy()) * step

    return profile_path(minus, scan, np.zeros(len(step)), begin=TOY.s)[0]


def exact_known(data: list[Floats], scan: Floats) -> Floats:
    """Return ln L with known nuisance parameters up to a constant, (E, T)."""
    found = []
    for x in data:
        share = scan[:, None] / TOY.b * np.exp(TOY.log_ratio(x))
        found.append(np.log1p(share).sum(1) - scan)
    return np.array(found)


def nuisances(benchmark: str) -> list[Nuisance]:
    """Return the nuisance parameters of a benchmark."""
    return [Nuisance(**keywords) for keywords in BENCHMARKS[benchmark].nuisances]


def trained(folder: Path) -> UncertaintyAware:
    """Train the ratios of B4 on two million events, or load them."""
    if not folder.exists():
        training = Training(epochs=3, batch_size=1000, learning_rate=3e-3)
        model = UncertaintyAware(nuisances("B4"), validation=0.1, training=training)
        x, label, weight = TOY.sample(1_000_000, 0)
        model.fit(x, label, weight=weight, seed=0, progress=False).save(folder)
    return UncertaintyAware.load(folder)


def of_profile(folder: Path, experiments: int) -> list[dict[str, Any]]:
    """Return coverage of the profile likelihood in B4, centres of the constraints drawn."""
    model = trained(folder)
    scan = np.linspace(0.0, 120.0, 13)
    random = np.random.default_rng(4)
    widths = np.array([BENCHMARKS["B4"].constraints[n.name] for n in model.nuisances])
    nominal = np.array([nuisance.nominal for nuisance in model.nuisances])
    rows: dict[str, list[Floats]] = {"ours": [], "exact": []}
    for x in simulate(TOY.s, experiments, random):
        centre = random.normal(nominal, widths)
        rows["ours"].append(model.profile(scan, x, measured=centre))
        rows["exact"].append(exact_profile(scan, x, "B4", centre))
    found = []
    for level in LEVELS:
        each = {
            name: profile_intervals(scan, np.array(r), level, bounded=True)
            for name, r in rows.items()
        }
        found.append(measured("INFERNO B4, s = 50, profile", level, each, TOY.s))
    return found


def of_neyman(folder: Path, experiments: int, built: int) -> list[dict[str, Any]]:
    """Return coverage of Neyman's construction in B0, far from the bound of s and next to it."""
    model = trained(folder)
    scan = np.linspace(0.0, 120.0, 13)

    def learned(data: list[Floats], scan: Floats) -> Floats:
        return np.array([model.profile(scan, x, floating=False) for x in data])

    sides = {"ours": remembered(learned), "exact": remembered(exact_known)}
    truths = (50.0, 10.0)
    data = {s: simulate(s, experiments, np.random.default_rng([5, int(s)])) for s in truths}
    rows = {(n, s): side(data[s], scan) for n, side in sides.items() for s in truths}
    found = []
    for level in LEVELS:
        built_by = {
            name: NeymanConstruction(confidence=level, experiments=built).fit(
                scan, simulate, side, seed=6
            )
            for name, side in sides.items()
        }
        for s in truths:
            each = {name: built_by[name].intervals(rows[name, s]) for name in sides}
            found.append(measured(f"INFERNO B0, s = {s:g}, Neyman", level, each, s, built))
    return found


# Both


def remembered(side: Callable[[Any, Floats], Floats]) -> Callable[[Any, Floats], Floats]:
    """Return a log-likelihood that is computed once for the same experiments.

    The constructions of both levels draw the same ones, which are known by their first events.
    """
    known: dict[tuple[float, int], Floats] = {}

    def log_likelihood(data: Any, scan: Floats) -> Floats:
        key = float(np.sum(data[0])), len(data)
        if key not in known:
            known[key] = side(data, scan)
        return known[key]

    return log_likelihood


def measured(
    title: str, level: float, each: dict[str, Intervals], truth: float, built: int | None = None
) -> dict[str, Any]:
    """Count the intervals that hold the truth, and measure their length and the best value."""
    shares = {name: coverage(i.low, i.high, truth) for name, i in each.items()}
    lengths = {name: float(np.median(i.high - i.low)) for name, i in each.items()}
    n = shares["ours"].experiments
    variance = level * (1 - level) * (1 / n + (1 / built if built else 0.0))
    best = {name: float(np.mean(i.best)) for name, i in each.items()}
    shift = each["ours"].best - each["exact"].best
    return {
        "title": title,
        "level": level,
        "ours": shares["ours"].share,
        "exact": shares["exact"].share,
        "error": math.sqrt(variance),
        "experiments": n,
        "pseudo_experiments": built,
        "length_ratio": lengths["ours"] / lengths["exact"],
        "mean_best": best["ours"],
        "mean_best_exact": best["exact"],
        "shift": float(np.mean(shift)),
        "shift_error": float(np.std(shift, ddof=1) / math.sqrt(n)),
    }


def kept(work: Path, name: str, measure: Callable[..., Any], *given: Any) -> Any:
    """Return a measurement, from FOLDER if it is there."""
    path = work / f"{name}.json"
    if not path.exists():
        started = time.process_time()
        answer = {"found": measure(*given), "cpu_s": time.process_time() - started}
        with atomic_file(path) as part:
            part.write_text(json.dumps(answer))
    return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps what was measured")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--experiments", type=int, default=300)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    work, n = chosen.work, chosen.experiments
    answers = [
        kept(work, "gaussian", of_gaussian, 5 * n, 5 * n),
        kept(work, "neyman", of_neyman, work / "model", 4 * n, 5 * n),
        kept(work, "profile", of_profile, work / "model", n),
    ]
    rows = []
    for answer in answers:
        for found in answer["found"]:
            away = abs(found["ours"] - found["level"])
            rows.append(
                row(
                    f"coverage of {found['level']:.0%} intervals, {found['title']}",
                    found["ours"],
                    found["exact"],
                    found["ours"] / found["level"],
                    found["error"] / found["level"],
                    unit="",
                    bar="1 within 2 standard errors",
                    met=away <= 2 * found["error"],
                    command=COMMAND,
                    versions=versions(),
                    threads=chosen.threads,
                    cpu_s=answer["cpu_s"],
                    **{k: v for k, v in found.items() if k not in ("title", "ours", "exact")},
                )
            )
    save("coverage", rows)


if __name__ == "__main__":
    main()
