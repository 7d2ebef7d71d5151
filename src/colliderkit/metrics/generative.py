"""Distances of a generated sample from its reference: FPD, KPD, MMD, Wasserstein, coverage.

FPD and KPD are those of 2211.10295, with the settings of the CaloChallenge (2410.21611). The
separation power of histograms is `metrics.separation`.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from scipy.stats import wasserstein_distance

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value

__all__ = [
    "Neighbours",
    "frechet_distance",
    "frechet_physics_distance",
    "kernel_physics_distance",
    "maximum_mean_discrepancy",
    "nearest_distances",
    "neighbours",
    "wasserstein",
]

Floats = NDArray[np.float64]
LARGEST = 1e8  # x.y/F whose fourth power float32 holds
BLOCK = 2048  # rows of a kernel matrix held at a time


def frechet_distance(mean: Floats, covariance: Floats, mean2: Floats, covariance2: Floats) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) of two Gaussians, (F,) and (F, F).

    The trace of the root is the sum of the roots of the eigenvalues of R^T C2 R, C1 = R R^T, which
    are real.
    """
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # singular: a column is constant, or depends on others
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
    inner = np.linalg.eigvalsh(root.T @ covariance2 @ root)
    trace = np.trace(covariance) + np.trace(covariance2)
    cross = 2 * np.sqrt(np.maximum(inner, 0)).sum()
    return float(((mean - mean2) ** 2).sum() + trace - cross)


def frechet_physics_distance(
    reference: ArrayLike,
    sample: ArrayLike,
    *,
    fewest: int = 20_000,
    most: int = 50_000,
    points: int = 10,
    bootstraps: int = 20,
    seed: int = 42,
) -> Value:
    """Return the Frechet distance of two tables of features (N, F), (M, F) without its bias.

    The distance of n events is a + b/n; for `points` batch sizes, evenly spaced in 1/n from
    `fewest` to `most`, it is the mean over `bootstraps` draws with replacement, and a, b >= 0 are
    fitted: a is the distance of infinitely many. Each feature is divided by the largest |value| of
    the reference, as in the CaloChallenge, which takes fewest = 10,000.

    The draws of one bootstrap are the beginnings of one sequence, which costs a third of drawing
    anew for each size. Sizes are then no longer independent: the error is that of the mean of a
    over the bootstraps.
    """
    x, y = _scaled(reference, sample)
    if not 1 < fewest < most or points < 2 or bootstraps < 2:
        raise InputError(
            f"FPD: fewest = {fewest} and most = {most} must rise from above 1, and points ="
            f" {points} and bootstraps = {bootstraps} be 2 at least."
        )
    sizes = (1 / np.linspace(1 / fewest, 1 / most, points)).astype(np.int64)
    # Products in float32 keep their digits where the mean is small.
    middle = x.mean(0, dtype=np.float64)
    x, y = (table - middle.astype(np.float32) for table in (x, y))
    distances = np.empty((bootstraps, points))
    for i in range(bootstraps):
        random = np.random.default_rng([seed, i])
        first, second = (_moments(table, sizes, random) for table in (x, y))
        distances[i] = [
            frechet_distance(*one, *two) for one, two in zip(first, second, strict=True)
        ]
    return _at_infinity(sizes, distances)


def _at_infinity(sizes: NDArray[np.int64], distances: Floats) -> Value:
    """Fit a + b/n with a, b >= 0 to the mean of distances (B, sizes); return a.

    The error is that of the mean of the B unconstrained fits.
    """
    design = np.stack([np.ones(len(sizes)), sizes[0] / sizes], 1)
    (a, _), _ = nnls(design, distances.mean(0))
    each = np.linalg.lstsq(design, distances.T)[0][0]
    return Value(float(a), float(each.std(ddof=1) / np.sqrt(len(each))))


def _moments(
    x: NDArray[np.float32], sizes: NDArray[np.int64], random: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Yield mean (F,) and covariance (F, F) of the first n rows of a draw, n of rising `sizes`."""
    total, squares = np.zeros(x.shape[1]), np.zeros((x.shape[1], x.shape[1]))
    for before, size in pairwise([0, *sizes]):
        rows = x[random.integers(len(x), size=size - before)]
        total += rows.sum(0, dtype=np.float64)
        # float32: a relative 1e-7 of each product, far below what the draws differ by.
        squares += rows.T @ rows
        mean = total / size
        yield mean, (squares - size * np.outer(mean, mean)) / (size - 1)


def kernel_physics_distance(
    reference: ArrayLike,
    sample: ArrayLike,
    *,
    batches: int = 10,
    size: int = 5000,
    seed: int = 42,
) -> Value:
    """Return the unbiased squared MMD of two tables (N, F), (M, F) with the kernel (x.y/F + 1)^4.

    The median over `batches` of `size` events drawn from each, and as error half the range that
    holds the central 67.45% of them. The CaloChallenge takes size = 10,000. It can be negative:
    of equal densities its mean is zero.
    """
    x, y = _scaled(reference, sample)
    n = min(size, len(x), len(y))
    if n < 2:
        raise InputError("KPD: needs two events of each sample at least.")
    distances = []
    for batch in range(batches):
        random = np.random.default_rng([seed, batch])
        a, b = (table[random.choice(len(table), n, replace=len(table) < n)] for table in (x, y))
        if max(float(np.square(t).sum(1).max()) for t in (a, b)) > LARGEST * a.shape[1]:
            a, b = a.astype(np.float64), b.astype(np.float64)
        within = sum((_kernel_sum(t, t) - _diagonal(t)) / (n * (n - 1)) for t in (a, b))
        distances.append(within - 2 * _kernel_sum(a, b) / n**2)
    low, middle, high = np.percentile(distances, [16.275, 50, 83.725])
    return Value(float(middle), float((high - low) / 2))


def _kernel_sum(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the sum of (x.y/F + 1)^4 over all pairs; half of them where a is b."""
    total = 0.0
    for start in range(0, len(a), BLOCK):
        stop = start + BLOCK
        first = start if a is b else 0
        k = a[start:stop] @ b[first:].T
        k *= 1 / a.shape[1]
        k += 1
        np.square(k, out=k)
        np.square(k, out=k)
        each = k.sum(dtype=np.float64)
        # Beyond the block on the diagonal each pair stands for itself and its mirror image.
        total += (
            float(2 * each - k[:, : stop - start].sum(dtype=np.float64)) if a is b else float(each)
        )
    return total


def _diagonal(a: NDArray[Any]) -> float:
    return float((((a.astype(np.float64) ** 2).sum(1) / a.shape[1] + 1) ** 4).sum())


def wasserstein(
    reference: ArrayLike, sample: ArrayLike, *, bootstraps: int = 20, seed: int = 0
) -> Value:
    """Return the Wasserstein-1 distance of two samples (N,), (M,) with its bootstrap error."""
    x, y = (np.asarray(a, dtype=np.float64).ravel() for a in (reference, sample))
    random = np.random.default_rng(seed)
    again = [
        wasserstein_distance(random.choice(x, len(x)), random.choice(y, len(y)))
        for _ in range(bootstraps)
    ]
    return Value(float(wasserstein_distance(x, y)), float(np.std(again, ddof=1)))


def maximum_mean_discrepancy(
    reference: ArrayLike,
    sample: ArrayLike,
    *,
    width: float | None = None,
    block: int = 1000,
    seed: int = 42,
) -> Value:
    """Return the unbiased squared MMD of two tables (N, F), (M, F), kernel exp(-|x-y|^2 / 2 w^2).

    The mean over disjoint blocks of `block` events of each (1307.1954), and from their spread its
    error, which is right also where both densities are equal. Features are taken as they are; the
    `width` w is the median distance of the reference's events if not given. Raises `InputError`
    for fewer than two blocks.
    """
    x, y = (_finite(t, name) for t, name in ((reference, "reference"), (sample, "sample")))
    blocks = min(len(x), len(y)) // block
    if blocks < 2:
        raise InputError(
            f"MMD: {len(x)} and {len(y)} events make fewer than two blocks of {block}; give more"
            " events or smaller blocks."
        )
    random = np.random.default_rng(seed)
    x, y = (t[random.permutation(len(t))[: blocks * block]] for t in (x, y))
    if width is None:
        some = _squared(x[:block], x[:block])[np.triu_indices(block, 1)]
        width = float(np.sqrt(np.median(some)))
    if not width > 0:
        raise InputError("MMD: the reference's events are equal; give a width.")
    discrepancies = []
    for a, b in zip(np.split(x, blocks), np.split(y, blocks), strict=True):
        of_reference, of_sample, cross = (
            np.exp(_squared(*pair) / (-2 * width**2)) for pair in ((a, a), (b, b), (a, b))
        )
        pairs = block * (block - 1)
        within = (
            of_reference.sum() - np.trace(of_reference) + of_sample.sum() - np.trace(of_sample)
        ) / pairs
        discrepancies.append(float(within - 2 * cross.mean()))
    return Value(
        float(np.mean(discrepancies)), float(np.std(discrepancies, ddof=1) / np.sqrt(blocks))
    )


class Neighbours(NamedTuple):
    """Precision and recall, density and coverage (2002.09797)."""

    precision: Value
    recall: Value
    density: Value
    coverage: Value


def neighbours(reference: ArrayLike, sample: ArrayLike, *, k: int = 5) -> Neighbours:
    """Return precision, recall, density and coverage of tables (N, F), (M, F) (2002.09797).

    They count balls around events. A ball reaches to its event's k-th neighbour among the events
    of its own sample.

    - precision: the share of the sample in some ball of the reference; recall: the other way;
    - density: in how many balls of the reference an event of the sample is, over k;
    - coverage: the share of the reference's balls with an event of the sample.

    For equal densities density is 1, and coverage is 1 - (N - 1)...(N - k) / (2N - 1)...(2N - k),
    1 - 2^-k for many. The errors are those of counting the sample (precision, density) or the
    reference (recall, coverage), as if the balls were given.
    """
    x, y = (_finite(t, name) for t, name in ((reference, "reference"), (sample, "sample")))
    if x.shape[1] != y.shape[1] or min(len(x), len(y)) <= k:
        raise InputError(
            f"features have shapes {x.shape} and {y.shape}; give equal columns and more than"
            f" k = {k} events of each."
        )
    x_radius, y_radius = (_radius(t, k) for t in (x, y))
    within = np.zeros(len(y))  # in how many balls of the reference
    recalled, covered = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
    for rows in _pieces(len(x)):
        distance = _squared(x[rows], y)
        inside = distance < x_radius[rows, None]
        within += inside.sum(0)
        covered[rows] = inside.any(1)
        recalled[rows] = (distance < y_radius).any(1)
    return Neighbours(_mean(within > 0), _mean(recalled), _mean(within / k), _mean(covered))


def nearest_distances(sample: ArrayLike, among: ArrayLike) -> Floats:
    """Return the distance of each event (N, F) to the nearest of others (M, F), (N,)."""
    x, y = (_finite(t, name) for t, name in ((sample, "sample"), (among, "others")))
    lowest = [_squared(x[rows], y).min(1) for rows in _pieces(len(x))]
    return np.sqrt(np.concatenate(lowest)).astype(np.float64)


def _radius(x: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Return the squared distance to the k-th neighbour, the event itself not counted."""
    radii = [np.partition(_squared(x[rows], x), k, axis=1)[:, k] for rows in _pieces(len(x))]
    return np.concatenate(radii)


def _squared(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return squared distances (N, M)."""
    distances = x @ y.T
    distances *= -2
    distances += (x**2).sum(1)[:, None]
    distances += (y**2).sum(1)
    return np.maximum(distances, 0, out=distances)


def _pieces(count: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, count, BLOCK))


def _mean(each: NDArray[np.bool_] | Floats) -> Value:
    return Value(float(np.mean(each)), float(np.std(each) / np.sqrt(len(each))))


def _finite(table: ArrayLike, name: str) -> NDArray[np.float32]:
    """Return a table (N, F) as float32; raise `InputError` if it is none or not finite."""
    values = np.asarray(table)
    if values.ndim != 2:
        raise InputError(f"the {name} has shape {values.shape}; give a table (N, F).")
    _check_finite(values, name)
    return values.astype(np.float32)


def _check_finite(table: NDArray[np.generic], name: str) -> None:
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise InputError(f"feature {column} of event {row} of the {name} is {table[row, column]}.")


def _scaled(
    reference: ArrayLike, sample: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Divide by the largest |value| of the reference, feature by feature."""
    x, y = np.asarray(reference), np.asarray(sample)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"features have shapes {x.shape} and {y.shape}; give (N, F) and (M, F).")
    for name, table in (("reference", x), ("sample", y)):
        _check_finite(table, name)
    largest = np.abs(x).max(0)
    largest = np.where(largest > 0, largest, 1)
    return (x / largest).astype(np.float32), (y / largest).astype(np.float32)
