"""Jets whose density is known: independent particles with exponential momenta."""

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.schema import CONSTITUENTS

__all__ = ["exponential_jets", "exponential_log_ratio", "ragged_jets", "smeared_jets"]

PARTICLES = 8
LEAST = 1.0  # GeV


def exponential_jets(count: int, scale: ArrayLike, seed: int) -> ak.Array:
    """Draw jets of eight massless particles, pt - 1 GeV of an exponential law of mean `scale`.

    `scale` [GeV] is one for all or one a jet (N,); eta and phi are normal, of width 0.2, around
    zero. Returns a jet array with `jet_pt` [GeV], the sum of the particles' pt.
    """
    random = np.random.default_rng(seed)
    mean = np.broadcast_to(np.asarray(scale, dtype=np.float64), (count,))[:, None]
    pt = LEAST + random.exponential(np.broadcast_to(mean, (count, PARTICLES)))
    eta, phi = random.normal(0, 0.2, (2, count, PARTICLES))
    return _jets(pt, eta, phi, np.full(count, PARTICLES))


def ragged_jets(count: int, seed: int, *, particles: tuple[int, int] = (10, 60)) -> ak.Array:
    """Draw jets of mixed length, `particles` from the least to the most, of two classes.

    As `exponential_jets` of mean 10 GeV; those of `label` 1 are twice as wide in eta and phi.
    """
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    number = random.integers(particles[0], particles[1] + 1, count)
    pt = LEAST + random.exponential(10.0, number.sum())
    width = np.repeat(np.where(label == 1, 0.2, 0.1), number)
    eta, phi = random.normal(size=(2, len(pt))) * width
    return ak.with_field(_jets(pt, eta, phi, number), label, "label")


def exponential_log_ratio(jets: ak.Array, scale: float) -> NDArray[np.float64]:
    """Return ln p(jet | scale) / p(jet | 1 GeV) = sum_i (pt_i - 1)(1 - 1/s) - ln s, (N,)."""
    particles = jets[CONSTITUENTS]
    above = np.hypot(particles["px"], particles["py"]) - LEAST
    terms = above * (1 - 1 / scale) - np.log(scale)
    return np.asarray(ak.to_numpy(ak.sum(terms, axis=1)), dtype=np.float64)


def smeared_jets(
    jets: ak.Array, seed: int, *, resolution: float = 0.2, loss: float = 0.1
) -> ak.Array:
    """See jets with a detector that loses a share of the particles and smears pt of the others.

    Each pt is multiplied by a normal of mean 1 and width `resolution`, at least 0.1.
    """
    random = np.random.default_rng(seed)
    particles = jets[CONSTITUENTS]
    count = len(ak.flatten(particles["px"]))
    kept = ak.unflatten(random.random(count) >= loss, ak.num(particles["px"]))
    factor = np.maximum(random.normal(1, resolution, count), 0.1)
    factors = ak.unflatten(factor, ak.num(particles["px"]))[kept]
    particles = particles[kept]
    p4 = [ak.to_numpy(ak.flatten(particles[c] * factors)) for c in ("px", "py", "pz")]
    pt = np.hypot(p4[0], p4[1])
    return _jets(pt, np.arcsinh(p4[2] / pt), np.arctan2(p4[1], p4[0]), ak.to_numpy(ak.num(factors)))


def _jets(
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    number: NDArray[np.int64],
) -> ak.Array:
    columns = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "E": pt * np.cosh(eta),
    }
    records = ak.zip(
        {k: ak.unflatten(v.ravel().astype(np.float32), number) for k, v in columns.items()}
    )
    jet_pt = ak.to_numpy(ak.sum(ak.unflatten(pt.ravel(), number), axis=1))
    return ak.zip({CONSTITUENTS: records, "jet_pt": jet_pt}, depth_limit=1)
