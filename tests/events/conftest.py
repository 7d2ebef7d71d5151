"""Jets to compute with: written by hand, or random."""

from collections.abc import Callable

import awkward as ak
import numpy as np
import pytest


def from_polar(pt, rapidity, phi, mass, counts) -> ak.Array:
    pt, rapidity, phi, mass = (np.asarray(x, dtype=np.float64) for x in (pt, rapidity, phi, mass))
    transverse_mass = np.hypot(pt, mass)
    columns = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": transverse_mass * np.sinh(rapidity),
        "E": transverse_mass * np.cosh(rapidity),
    }
    particles = ak.zip({name: x.astype(np.float32) for name, x in columns.items()})
    return ak.zip({"constituents": ak.unflatten(particles, counts)}, depth_limit=1)


@pytest.fixture
def make_jets() -> Callable[..., ak.Array]:
    """Make jets of massless particles from lists of (pt, rapidity, phi)."""

    def make(*jets: list[tuple[float, float, float]]) -> ak.Array:
        flat = np.array([particle for jet in jets for particle in jet]).reshape(-1, 3)
        return from_polar(*flat.T, np.zeros(len(flat)), [len(jet) for jet in jets])

    return make


@pytest.fixture
def random_jets() -> Callable[..., ak.Array]:
    """Make jets of 0 to 60 particles around random axes, some of them massive."""

    def make(
        n: int = 60, seed: int = 0, boost: float = 0.0, turn: float = 0.0, least: int = 0
    ) -> ak.Array:
        random = np.random.default_rng(seed)
        counts = random.integers(least, 60, n)
        size = counts.sum()
        pt = random.exponential(10, size) + 0.3
        rapidity = np.repeat(random.uniform(-2, 2, n), counts) + random.normal(0, 0.3, size)
        phi = np.repeat(random.uniform(-4, 4, n), counts) + random.normal(0, 0.3, size)
        mass = random.choice([0, 0.1396], size)
        return from_polar(pt, rapidity + boost, phi + turn, mass, counts)

    return make
