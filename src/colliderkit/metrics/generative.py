"""Distances of a generated sample from its reference: FPD, KPD, MMD, Wasserstein, coverage.

FPD and KPD are those of 2211.10295, with the settings of the CaloChallenge (2410.21611). The
separation power of histograms is `metrics.separation`. That the errors are those of the events is
measured by `benchmarks/pulls.py`.
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
    "unbiased_frechet_distance",
    "unbiased_kernel_distance",
    "wasserstein",
]

Floats = NDArray[np.float64]
LARGEST = 1e4  # x.y/F whose eighth power float32 holds: the kernel's squares
SEEN = 1.5  # standard deviations of equal densities from which on a distance is one
BLOCK = 2048  # rows of a kernel matrix held at a time


def frechet_distance(mean: Floats, covariance: Floats, mean2: Floats, covariance2: Floats) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2) of two Gaussians, (F,) and (F, F).

    The trace of the root is the sum of the roots of the eigenvalues of R^T C2 R, C1 = R R^T, which
    are real.
    """
    return float(_frechet(*(np.asarray(a) for a in (mean, covariance, mean2, covariance2))))


def _frechet(mean: Floats, covariance: Floats, mean2: Floats, covariance2: Floats) -> Floats:
    """Return `frechet_distance` of stacks of Gaussians, (..., F) and (..., F, F), (...)."""
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # singular: a column is constant, or depends on others
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
    inner = np.linalg.eigvalsh(np.swapaxes(root, -1, -2) @ covariance2 @ root)
    trace = np.trace(covariance + covariance2, axis1=-2, axis2=-1)
    cross = 2 * np.sqrt(np.maximum(inner, 0)).sum(-1)
    return np.asarray(((mean - mean2) ** 2).sum(-1) + trace - cross)


def unbiased_frechet_distance(
    reference: ArrayLike,
    sample: ArrayLike,
    *,
    halvings: int = 100,
    blocks: int = 256,
    seed: int = 0,
) -> Value:
    """Return the Frechet distance (FPD) of tables (N, F), (M, F), unbiased, with its error.

    Each feature is divided by the largest |value| of the reference, as in
    `frechet_physics_distance`, and the scale counts as given. The distance D of finite samples is
    too large, by b (1/N + 1/M); of halves of both by twice that, so that

        2 D - <(D' + D'') / 2>

    is unbiased but for the next order. D' and D'' are those of a random half of the events of both
    samples and of the other half, which is a bootstrap whose weights are 0 or 2, and the mean is
    over `halvings`. With V_1 the variance of (D' - D'') / 2, what the first derivative hands on,
    and V_2 that of (D' + D'') / 2, all that there is between equal densities, the error is the
    root of

        (V_1 - 2 V_2) + V_2,

    for V_1 fluctuates around samples that have fluctuated already. Its part, which such a
    fluctuation alone makes large, counts where it is positive and the estimate is above 1.5
    sqrt(V_2). Of equal densities the mean is zero, and many estimates are negative. Events are
    halved as `blocks` of equal size, whose moments are summed once. Raises `InputError` for fewer
    than four events of a sample.
    """
    x, y = _scaled(reference, sample)
    if min(len(x), len(y)) < 4 or halvings < 2 or blocks < 4:
        raise InputError(
            f"FPD: {len(x)} and {len(y)} events, halvings = {halvings} and blocks = {blocks}; four"
            " events of each, two halvings and four blocks are needed."
        )
    middle = x.mean(0, dtype=np.float64).astype(np.float32)
    whole: list[tuple[Floats, Floats]] = []
    halves = []
    for number, table in enumerate((x - middle, y - middle)):
        random = np.random.default_rng([seed, number])
        count, sums, squares = _block_moments(table[random.permutation(len(table))], blocks)
        order = random.permuted(np.tile(np.arange(len(count)), (halvings, 1)), axis=1)
        first = (order < len(count) // 2).astype(np.float64)  # (halvings, blocks)
        whole.append(_gaussian(np.ones((1, len(count))), count, sums, squares))
        halves.append([(weight, count, sums, squares) for weight in (first, 1 - first)])
    middle_value = float(_frechet(*whole[0], *whole[1])[0])
    each = np.empty((2, halvings))
    # A few at a time: covariances of many features are large.
    step = max(1, 2**21 // (x.shape[1] ** 2 + 1))
    for half in range(2):
        for start in range(0, halvings, step):
            rows = slice(start, start + step)
            both = [_gaussian(h[half][0][rows], *h[half][1:]) for h in halves]
            each[half, rows] = _frechet(*both[0], *both[1])
    second = float(each.mean(0).var(ddof=1))
    first_order = float(((each[0] - each[1]) / 2).var(ddof=1))
    value = 2 * middle_value - float(each.mean())
    return _told_apart(value, first_order, second)


def _block_moments(x: NDArray[np.float32], blocks: int) -> tuple[Floats, Floats, Floats]:
    """Return events (K,), sums (K, F) and sums of products (K, F, F) of an even number of blocks.

    No more than fit in 256 MB.
    """
    features = x.shape[1]
    most = min(len(x), blocks, max(32, 2**25 // features**2)) // 2 * 2
    edges = np.linspace(0, len(x), most + 1).astype(np.int64)
    pieces = [x[low:high] for low, high in pairwise(edges)]
    return (
        np.diff(edges).astype(np.float64),
        np.stack([piece.sum(0, dtype=np.float64) for piece in pieces]),
        np.stack([piece.T @ piece for piece in pieces]).astype(np.float64),
    )


def _gaussian(
    weight: Floats, count: Floats, sums: Floats, squares: Floats
) -> tuple[Floats, Floats]:
    """Return means (B, F) and unbiased covariances (B, F, F) of weighted blocks (B, K)."""
    events = weight @ count
    mean = weight @ sums / events[:, None]
    product = np.tensordot(weight, squares, 1)
    product -= events[:, None, None] * mean[:, :, None] * mean[:, None, :]
    return mean, product / (events - 1)[:, None, None]


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
    """Return jetnet's FPD: the Frechet distance of tables (N, F), (M, F), extrapolated in 1/N.

    The distance of n events is a + b/n; for `points` batch sizes, evenly spaced in 1/n from
    `fewest` to `most`, it is the mean over `bootstraps` draws with replacement, and a, b >= 0 are
    fitted: a is the distance of infinitely many. Each feature is divided by the largest |value| of
    the reference, as in the CaloChallenge, which takes fewest = 10,000.

    The draws of one bootstrap are the beginnings of one sequence, which costs a third of drawing
    anew for each size. Sizes are then no longer independent: the error is that of the mean of a
    over the bootstraps. It says how far other draws from the same events would scatter, not how far
    other events would: quote `unbiased_frechet_distance`, which also is 0 on average where the
    densities are equal, as a >= 0 is not.
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
    holds the central 67.45% of them: jetnet's KPD. The CaloChallenge takes size = 10,000. Batches
    are drawn from the same events, and the median of what is skewed is no mean: quote
    `unbiased_kernel_distance`, whose error is that of other events.
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


def unbiased_kernel_distance(
    reference: ArrayLike, sample: ArrayLike, *, most: int = 10_000, seed: int = 0
) -> Value:
    """Return the squared MMD (KPD) of tables (N, F), (M, F), kernel (x.y/F + 1)^4, with its error.

    The U-statistic of all pairs of `most` events of each, or of as many as both have, drawn
    without replacement. It can be negative: of equal densities its mean is zero. Its variance is
    V_1 + V_2 (1205.2618, section 3): V_1 that of the row means of the kernel, less the 2 V_2 that
    they scatter by alone, and V_2 from the squares of the kernel, doubly centred. V_1 counts where
    it is positive and the distance above 1.5 sqrt(V_2), all that there is between equal densities.
    Raises `InputError` for fewer than four events of a sample.
    """
    x, y = _scaled(reference, sample)
    n = min(most, len(x), len(y))
    if n < 4:
        raise InputError(f"KPD: {n} events of each sample; four at least are needed.")
    random = np.random.default_rng(seed)
    a, b = (t[random.choice(len(t), n, replace=False)] if len(t) > n else t for t in (x, y))
    if max(float(np.square(t).sum(1).max()) for t in (a, b)) > LARGEST * a.shape[1]:
        a, b = a.astype(np.float64), b.astype(np.float64)
    value, rows, pairs = _u_statistic(a, b)
    return _told_apart(value, rows, pairs)


def _told_apart(value: float, first: float, second: float) -> Value:
    """Return a distance with its error, from the variances of first order and of equal densities.

    The first is what is measured, which fluctuations of the second kind make 2 V_2 larger.
    """
    left = max(first - 2 * second, 0.0) if value > SEEN * second**0.5 else 0.0
    return Value(value, float(np.sqrt(left + second)))


def _u_statistic(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float, float]:
    """Return the squared MMD of n events of each, and the variances of its rows and pairs."""
    n = len(a)
    middle = float((a.mean(0, dtype=np.float64) * b.mean(0, dtype=np.float64)).mean())
    shift = (middle + 1) ** 4  # near the mean: squares then keep their digits
    rows, squares = {}, {}
    for key, (one, other) in {"xx": (a, a), "yy": (b, b), "xy": (a, b)}.items():
        by_row, by_column = np.empty(n), np.zeros(n)
        total = 0.0
        for start in range(0, n, BLOCK):
            k = one[start : start + BLOCK] @ other.T
            k *= 1 / a.shape[1]
            k += 1
            np.square(k, out=k)
            np.square(k, out=k)
            k -= k.dtype.type(shift)
            if one is other:
                width = np.arange(len(k))
                k[width, start + width] = 0
            by_row[start : start + BLOCK] = k.sum(1, dtype=np.float64)
            by_column += k.sum(0, dtype=np.float64)
            total += float(np.einsum("ij,ij->i", k, k).sum(dtype=np.float64))
        pairs = n - 1 if one is other else n
        rows[key] = by_row / pairs, by_column / pairs
        # Squares of the doubly centred kernel, whose mean over all pairs is left.
        centred = total - (by_row**2 + by_column**2).sum() / pairs + by_row.sum() ** 2 / pairs / n
        squares[key] = max(float(centred), 0.0) / (n * pairs)
    value = rows["xx"][0].mean() + rows["yy"][0].mean() - 2 * rows["xy"][0].mean()
    first = sum(
        4 * np.var(rows[key][0] - rows["xy"][i], ddof=1) / n for i, key in enumerate(("xx", "yy"))
    )
    second = 2 * (squares["xx"] + squares["yy"] + 2 * squares["xy"]) / n**2
    return float(value), float(first), float(second)


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
