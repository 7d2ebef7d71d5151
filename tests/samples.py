"""Jets that the tests make themselves."""

import awkward as ak
import numpy as np


def make_jets(count: int, seed: int = 0, *, low: int = 3, high: int = 30) -> ak.Array:
    """Make random jets: class 1 is wider, so that a tagger has something to find."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    lengths = random.integers(low, high, count)
    width = np.repeat(np.where(label == 1, 0.25, 0.1), lengths)
    axis_eta = np.repeat(random.uniform(-1.5, 1.5, count), lengths)
    axis_phi = np.repeat(random.uniform(-np.pi, np.pi, count), lengths)
    total = int(lengths.sum())
    pt = random.exponential(10, total) + 0.5
    eta = axis_eta + width * random.normal(size=total)
    phi = axis_phi + width * random.normal(size=total)
    mass = 0.13957
    columns = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "E": np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2),
        "charge": random.integers(-1, 2, total).astype(float),
    }
    flat = ak.zip({name: values.astype(np.float32) for name, values in columns.items()})
    constituents = ak.unflatten(flat, lengths)
    order = ak.argsort(
        constituents.px**2 + constituents.py**2, axis=1, ascending=False, stable=True
    )
    constituents = constituents[order]
    px, py, pz, energy = (ak.sum(constituents[name], axis=1) for name in ("px", "py", "pz", "E"))
    jet_pt = np.hypot(px, py)
    return ak.zip(
        {
            "constituents": constituents,
            "jet_pt": jet_pt,
            "jet_eta": np.arcsinh(pz / jet_pt),
            "jet_phi": np.arctan2(py, px),
            "jet_mass": np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0)),
            "label": label,
            "event": np.arange(count),
        },
        depth_limit=1,
    )
