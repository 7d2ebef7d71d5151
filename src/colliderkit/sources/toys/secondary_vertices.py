"""Toy jets whose tracks come from the collision and from vertices along the jet's axis."""

from collections.abc import Sequence

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.sources.detector.response import measured

__all__ = ["displaced_jets"]

FLIGHT = 4.0  # mm, the mean of each displaced vertex
PROMPT, DISPLACED = 4.0, 1.5  # tracks, the means beyond the first of the collision, two of others


def displaced_jets(count: int, *, seed: int | Sequence[int] = 0) -> ak.Array:
    """Draw `count` jets of 50 to 150 GeV with 0, 1 or 2 displaced vertices, their ``label``.

    Tracks are straight and have impact parameters [mm] with the errors of the package's detector,
    signed by the jet's axis; ``vertex`` is where each is from, 0 the collision, 1 and 2 the others
    along the axis. Raises `InputError` for a count below 1.
    """
    if count < 1:
        raise InputError(f"count is {count}; it must be at least 1.")
    random = np.random.default_rng(seed)
    label = random.integers(0, 3, count)
    jet_pt, jet_eta = random.uniform(50, 150, count), random.uniform(-1.5, 1.5, count)
    jet_phi = random.uniform(-np.pi, np.pi, count)
    parts = [1 + random.poisson(PROMPT, count)]
    parts += [(label >= k) * (2 + random.poisson(DISPLACED, count)) for k in (1, 2)]
    numbers = np.stack(parts, axis=1)
    vertex = np.repeat(np.tile(np.arange(3), count), numbers.ravel())
    counts = numbers.sum(1)
    jet = np.repeat(np.arange(count), counts)
    flight = np.zeros((count, 3))
    flight[:, 1:] = random.exponential(FLIGHT, (count, 2)) + 0.5
    flight[:, 2] += flight[:, 1]
    axis = np.stack([np.cos(jet_phi), np.sin(jet_phi), np.sinh(jet_eta)], axis=1)
    axis /= np.cosh(jet_eta)[:, None]
    x, y, z = (flight[jet, vertex][:, None] * axis[jet]).T
    pt = 0.7 + random.exponential(5.0, len(jet))
    eta = jet_eta[jet] + 0.12 * random.normal(size=len(jet))
    phi = jet_phi[jet] + 0.12 * random.normal(size=len(jet))
    momentum = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
    impact = measured({**momentum, "x": x, "y": y, "z": z}, random)
    impact["d0"] = impact["d0"] * np.where(np.sin(phi - jet_phi[jet]) < 0, -1, 1)
    impact["z0"] = impact["z0"] * np.where(eta > jet_eta[jet], -1, 1)
    energy = np.hypot(pt * np.cosh(eta), 0.13957)
    columns = {**momentum, "E": energy, **impact, "vertex": vertex}
    order = np.lexsort((-pt, jet))
    tracks = {name: ak.unflatten(column[order], counts) for name, column in columns.items()}
    rows = {
        "constituents": ak.zip(tracks),
        "jet_pt": jet_pt,
        "jet_eta": jet_eta,
        "jet_phi": jet_phi,
        "jet_mass": 0.1 * jet_pt,
        "label": label,
        "event": np.arange(count),
    }
    return ak.zip(rows, depth_limit=1)
