"""Which metric sees what: the size at which each sees a distortion of showers 95 times in 100.

    python benchmarks/metric_power.py [--showers geant4-1.hdf5 geant4-2.hdf5]

Samples of `--events` showers are compared with a reference of as many. A metric sees a distortion
where it is above what 95% of undistorted pairs have (`--null` of them); at each of six sizes
`--pairs` pairs are tried, a curve is fitted to how many are seen, and the size at which it is 95%
is quoted. Distortions are of one column of eight: its mean (in standard deviations), its width
(relative), all correlations (the share that is lost, no column alone changes), a mode of a tenth of
the showers (the share of it that is missing), and copies (the share of the sample that are
training showers, which a perfect memory would give: the density is right).

Showers are toys of known density (`sources.toys.showers`). With `--showers`, two independent files
of Geant4, the features of their showers are distorted instead, by the same words (the correlation
of one column is lost by permuting it; the mode are the showers with the least in the first layer).
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri
from sklearn.ensemble import HistGradientBoostingClassifier

from colliderkit.events.calorimeter.features import features
from colliderkit.metrics.generative import (
    maximum_mean_discrepancy,
    nearest_distances,
    unbiased_frechet_distance,
    unbiased_kernel_distance,
    wasserstein,
)
from colliderkit.metrics.roc import auc
from colliderkit.metrics.separation import separation
from colliderkit.metrics.value import Value
from colliderkit.networks.stack import Stack
from colliderkit.seeds import derive
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.toys.showers import ShowerToy
from comparison import Answer, row, save
from shower_models import CALORIMETER, THRESHOLD

COMMAND = "python benchmarks/metric_power.py"
Floats = NDArray[np.float64]
# (distortion, size, number of the pair) -> reference, sample and what the model was trained on
Draw = Callable[[str, float, int], tuple[Floats, Floats, Floats]]
SIZES = {
    "mean": np.geomspace(0.1, 0.8, 6),
    "width": np.geomspace(0.08, 0.6, 6),
    "correlation": np.geomspace(0.1, 1.0, 6),
    "mode": np.geomspace(0.1, 1.0, 6),
    "copies": np.geomspace(0.01, 1.0, 6),
}
COPIES = "copies"
WORDS = ("", *SIZES)  # "" for no distortion
MOVED = 2  # the column of Geant4's showers that is distorted
BINS = 20
NETWORK, TREES = "classifier, network", "classifier, trees"
LEVEL, POWER = 0.05, 0.95


def figures(reference: Floats, sample: Floats, training: Floats) -> dict[str, float]:
    """Return what each metric but the network says of tables (N, F); more is more different."""
    mean, std = reference.mean(0), reference.std(0)
    x, y, seen = ((table - mean) / std for table in (reference, sample, training))
    columns = range(x.shape[1])
    powers, moved = [], []
    for i in columns:
        inner = np.unique(np.quantile(x[:, i], np.linspace(0, 1, BINS + 1)[1:-1]))
        powers.append(float(separation(y[:, i], x[:, i], [-np.inf, *inner, np.inf])))
        moved.append(float(wasserstein(x[:, i], y[:, i], bootstraps=2)))
    some = x[:500]
    apart = ((some[:, None] - some[None]) ** 2).sum(2)[np.triu_indices(len(some), 1)]
    middle = float(np.sqrt(np.median(apart)))
    answers = {"separation power": float(np.mean(powers)), "Wasserstein": float(np.mean(moved))}
    for name, factor in (("a quarter of it", 0.25), ("the median distance", 1), ("four of it", 4)):
        found = maximum_mean_discrepancy(x, y, width=factor * middle, block=len(x) // 2)
        answers[f"MMD, width {name}"] = found.value
    answers["FPD"] = unbiased_frechet_distance(reference, sample, halvings=20).value
    answers["KPD"] = unbiased_kernel_distance(reference, sample).value
    half = len(x) // 2
    trees = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0
    )
    label = np.repeat([0, 1], half)
    trees.fit(np.concatenate([x[:half], y[:half]]), label)
    test = trees.decision_function(np.concatenate([x[half:], y[half:]]))
    answers[TREES] = auc(test, np.repeat([0, 1], len(test) // 2)).value
    near = [-nearest_distances(table, seen) for table in (x, y)]
    answers["nearer to the training"] = auc(np.concatenate(near), np.repeat([0, 1], len(x))).value
    return answers


def network_areas(pairs: list[tuple[Floats, Floats]], epochs: int = 30) -> list[float]:
    """Return the AUC of a perceptron (32, 32) for each pair, all trained side by side."""
    tables = []
    for reference, sample in pairs:
        mean, std = reference.mean(0), reference.std(0)
        tables.append(np.stack([(t - mean) / std for t in (reference, sample)]))
    x = torch.from_numpy(np.stack(tables)).float()  # (pairs, 2, N, F)
    half = x.shape[2] // 2
    train, test = x[:, :, :half].flatten(1, 2), x[:, :, half:].flatten(1, 2)
    target = torch.arange(2.0).repeat_interleave(half)
    stack = Stack(len(pairs), x.shape[3], (32, 32))
    stack.reset([derive(0, "network", i) for i in range(len(pairs))])
    optimiser = torch.optim.Adam(stack.parameters(), 3e-3)
    random = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for rows in torch.randperm(2 * half, generator=random).split(200):
            z = stack(train[:, rows]).reshape(len(pairs), -1)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                z, target[rows].expand_as(z), reduction="none"
            )
            optimiser.zero_grad()
            loss.mean(1).sum().backward()
            optimiser.step()
    with torch.no_grad():
        scores = stack(test).reshape(len(pairs), -1).double().numpy()
    return [auc(score, np.repeat([0, 1], len(score) // 2)).value for score in scores]


def measured(draw: Draw, what: str, size: float, pairs: range) -> dict[str, Floats]:
    """Return the figures of all metrics over pairs, each (pairs,)."""
    torch.set_num_threads(1)
    tables = [draw(what, size, pair) for pair in pairs]
    each = [figures(*three) for three in tables]
    found = {name: np.array([figure[name] for figure in each]) for name in each[0]}
    found[NETWORK] = np.array(network_areas([(a, b) for a, b, _ in tables]))
    return found


def toys(events: int, what: str, size: float, pair: int) -> tuple[Floats, Floats, Floats]:
    """Draw a pair of toy showers, and training showers."""
    part = [WORDS.index(what), round(1e6 * size), pair]
    truth = ShowerToy()
    reference, training = (truth.sample(events, [i, *part]) for i in (1, 2))
    if what == COPIES:
        return reference, _copies(training, truth.sample(events, [3, *part]), size, part), training
    model = truth.distorted(what, size) if what else truth
    return reference, model.sample(events, [3, *part]), training


def geant4(
    pool: Floats, events: int, what: str, size: float, pair: int
) -> tuple[Floats, Floats, Floats]:
    """Draw a pair of Geant4's showers from a pool (P, F), and training showers."""
    part = [WORDS.index(what), round(1e6 * size), pair]
    random = np.random.default_rng([5, *part])
    rows = random.permutation(len(pool))
    reference, training, sample = (pool[rows[i * events : (i + 1) * events]] for i in range(3))
    column = sample[:, MOVED]  # a view of what indexing has copied
    if what == "mean":
        column += size * column.std()
    elif what == "width":
        column += size * (column - column.mean())
    elif what == "correlation":
        some = random.permutation(events)[: round(size * events)]
        column[some] = column[random.permutation(some)]
    elif what == "mode":
        edge = np.quantile(pool[:, 0], 0.1)
        lost = (sample[:, 0] < edge) & (random.random(events) < size)
        rest = pool[rows[3 * events :]]
        sample[lost] = rest[rest[:, 0] >= edge][: lost.sum()]
    elif what == COPIES:
        sample = _copies(training, sample, size, part)
    return reference, sample, training


def _copies(training: Floats, fresh: Floats, share: float, part: list[int]) -> Floats:
    """Return training showers and fresh ones, mixed."""
    copied = round(share * len(fresh))
    mixed = np.concatenate([training[:copied], fresh[copied:]])
    return np.random.default_rng([4, *part]).permutation(mixed)


def geant4_pool(paths: list[Path]) -> Floats:
    """Return eight columns of the showers: log10 energies of the layers over E_inc, and widths."""
    geometry = calorimeter(CALORIMETER).geometry
    tables = []
    for path in paths:
        showers = read_showers(path, geometry)
        found = features(showers.voxels, showers.incident, geometry, THRESHOLD)
        energy = np.log10(np.maximum(found.energy / found.incident[:, None], 1e-6))
        tables.append(np.hstack([energy[:, :4], found.width_r[:, 1:4], energy[:, 4:5]]))
    return np.concatenate(tables)


def size_at_power(sizes: Floats, seen: Floats, tried: int) -> Value | None:
    """Return the size at which a metric sees 95% of the pairs, from how many it saw of each.

    The curve is LEVEL + (1 - LEVEL) Phi((ln size - m) / w), by maximum likelihood; the error is
    that of 30 sets of pairs drawn from it. None where fewer than 80% are seen at every size.
    """
    if seen.max() < 0.8 * tried:
        return None

    def curve(parameters: Floats) -> Floats:
        z = (np.log(sizes) - parameters[0]) / np.exp(parameters[1])
        return np.clip(LEVEL + (1 - LEVEL) * ndtr(z), 1e-9, 1 - 1e-9)

    def fitted(counts: Floats) -> Floats:
        def loss(parameters: Floats) -> float:
            p = curve(parameters)
            # A width of a third, weakly: where all sizes are seen or none, any steep one would do.
            prior = ((parameters[1] + 1.1) / 1.0) ** 2 / 2
            return float(prior - (counts * np.log(p) + (tried - counts) * np.log(1 - p)).sum())

        middle = np.log(sizes[int(np.argmax(counts >= tried / 2))])
        return np.asarray(minimize(loss, [middle, -1.1], method="Nelder-Mead").x)

    def size(parameters: Floats) -> float:
        quantile = ndtri((POWER - LEVEL) / (1 - LEVEL))
        return float(np.exp(parameters[0] + np.exp(parameters[1]) * quantile))

    best, random = fitted(seen), np.random.default_rng(0)
    again = [size(fitted(random.binomial(tried, curve(best)))) for _ in range(30)]
    return Value(size(best), float(np.std(again, ddof=1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--null", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--showers", type=Path, nargs="+", default=[])
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()
    source, name, draw = "toys", "metric_power", partial(toys, chosen.events)
    if chosen.showers:
        source, name = "Geant4", "metric_power_geant4"
        draw = partial(geant4, geant4_pool(chosen.showers), chosen.events)
    jobs = [("", 0.0, range(i, min(i + 20, chosen.null))) for i in range(0, chosen.null, 20)]
    jobs += [(w, float(s), range(chosen.pairs)) for w, sizes in SIZES.items() for s in sizes]
    with ProcessPoolExecutor(chosen.workers, get_context("spawn")) as pool:
        answers = list(pool.map(partial(measured, draw), *zip(*jobs, strict=True)))
    found = dict(zip(jobs, answers, strict=True))
    null = [answer for (what, _, _), answer in found.items() if not what]
    edges = {
        metric: float(np.quantile(np.concatenate([each[metric] for each in null]), 1 - LEVEL))
        for metric in null[0]
    }
    rows: list[Answer] = []
    for what, sizes in SIZES.items():
        seen = {
            metric: [
                int((found[what, float(s), range(chosen.pairs)][metric] > edge).sum())
                for s in sizes
            ]
            for metric, edge in edges.items()
        }
        for metric, counts in seen.items():
            at = size_at_power(sizes, np.array(counts), chosen.pairs)
            if at is None or at.value > sizes[-1]:
                share = counts[-1] / chosen.pairs
                quantity = f"power of {metric} at size {sizes[-1]:g}"
                at = Value(share, (share * (1 - share) / chosen.pairs) ** 0.5)
            else:
                quantity = f"size at 95% power of {metric}"
            rows.append(
                row(
                    f"{source}, {what}: {quantity}",
                    *(at.value, None, None, at.error),
                    unit="",
                    command=COMMAND if not chosen.showers else f"{COMMAND} --showers FILES",
                    threads=1,
                    events=chosen.events,
                    pairs=chosen.pairs,
                    sizes=[float(size) for size in sizes],
                    seen=counts,
                )
            )
    save(name, rows)


if __name__ == "__main__":
    main()
