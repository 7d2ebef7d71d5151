"""Histograms of showers in the bins of the CaloChallenge (2410.21611), and how far two are apart.

A sample enters as its `ShowerHistograms`, which are small however many showers it has: counts in
bins, the mean energy of each voxel and the mean radial profile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.features import Features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.files import release
from colliderkit.metrics.separation import TriangularDiscriminator, binned_separation
from colliderkit.metrics.value import Value

__all__ = [
    "RESPONSE",
    "VOXELS",
    "ShowerHistograms",
    "histogram_edges",
    "mean_separation",
    "separations",
    "shower_histograms",
]

Floats = NDArray[np.float64]
ROWS = 2000  # showers at a time
RESPONSE, VOXELS = "E_tot/E_inc", "voxel energy"
LOWEST = 1e-3  # MeV, where energies begin if there is no threshold


@dataclass(frozen=True)
class ShowerHistograms:
    """Histograms and mean profiles of N showers.

    - `showers`: N;
    - `counts`: by name, the entries in the K bins of `histogram_edges` (K,);
    - `voxel_covariance` (K, K): of the counts of `VOXELS`, whose entries come in showers;
    - `mean` (V,): the energy in each voxel [MeV];
    - `layer`, `radial`: the energy in each layer (L,) and ring (R,) [MeV], means and their errors
      (2, ...); the rings are those of `Geometry.rings`.
    """

    showers: int
    counts: dict[str, Floats]
    voxel_covariance: Floats
    mean: Floats
    layer: Floats
    radial: Floats


def histogram_edges(
    geometry: Geometry, threshold: float, reference: Features, highest: float
) -> dict[str, Floats]:
    """Return the edges of all histograms by name, those of `separations`.

    As published: E_tot/E_inc in 100 bins of 0.5 to 1.5; energies of layers and voxels in 39 and 49
    logarithmic bins from the `threshold` [MeV] to the reference's `highest`; centres in 100 bins
    of +-100 mm, +-30 in layers of less than 50 mm, +-500 in those of 1 m and more; widths of 0 to
    100, 30 or 400. Ours are 50 bins of sparsity, and centres and widths in r in those of the
    widths. Visible energies that are no estimate of E_inc have bins of E_tot/E_inc in units of
    the reference's mean.
    """
    response = float((reference.total / reference.incident).mean())
    unit = 1.0 if 0.5 <= response <= 1.5 or response <= 0 else response
    edges = {RESPONSE: np.linspace(0.5, 1.5, 101) * unit}
    low = threshold if threshold > 0 else LOWEST
    for i, layer in enumerate(geometry.layers):
        edges[f"E layer {layer.number}"] = _logarithmic(low, reference.energy[:, i].max(), 40)
        radius = layer.radius
        centre, width = (30, 30) if radius < 50 else (100, 100) if radius < 1000 else (500, 400)
        across = ("eta", "phi") if layer.cut else ()
        for axis in across:
            edges[f"centre {axis} layer {layer.number}"] = np.linspace(-centre, centre, 101)
        for axis in ("r", *across):
            edges[f"width {axis} layer {layer.number}"] = np.linspace(0, width, 101)
        edges[f"centre r layer {layer.number}"] = np.linspace(0, width, 101)
        edges[f"sparsity layer {layer.number}"] = np.linspace(0, 1, 51)
    edges[VOXELS] = _logarithmic(low, highest, 50)
    return edges


def shower_histograms(
    showers: NDArray,
    features: Features,
    geometry: Geometry,
    threshold: float,
    edges: Mapping[str, Floats],
) -> ShowerHistograms:
    """Fill the histograms of showers (N, V) [MeV] whose features are `features`."""
    counts = {
        name: _filled(column, edges[name]) for name, column in _columns(features, geometry).items()
    }
    bins = len(edges[VOXELS]) - 1
    rings = geometry.rings()
    count, n = np.zeros(bins), len(showers)
    products = np.zeros((bins, bins))
    total = np.zeros(geometry.voxels)
    ring_sums = np.zeros((2, rings.shape[1]))
    for start in range(0, n, ROWS):
        e = np.asarray(showers[start : start + ROWS], dtype=np.float32)
        if threshold > 0:
            e = np.where(e < np.float32(threshold), np.float32(0), e)
        row, voxel = np.nonzero(e)
        index = np.searchsorted(edges[VOXELS], e[row, voxel], side="right") - 1
        inside = (index >= 0) & (index < bins)
        each = np.bincount(row[inside] * bins + index[inside], minlength=len(e) * bins)
        each = each.reshape(len(e), bins).astype(np.float64)
        count += each.sum(0)
        products += each.T @ each
        total += e.sum(0, dtype=np.float64)
        radial = e @ rings
        ring_sums += radial.sum(0), (radial.astype(np.float64) ** 2).sum(0)
        release(showers)
    counts[VOXELS] = count
    mean, square = ring_sums / n
    layers = features.energy.mean(0), features.energy.std(0) / np.sqrt(n)
    return ShowerHistograms(
        n,
        counts,
        products - np.outer(count, count) / n,
        total / n,
        np.stack(layers),
        np.stack([mean, np.sqrt(np.maximum(square - mean**2, 0) / n)]),
    )


def separations(
    reference: ShowerHistograms, sample: ShowerHistograms
) -> dict[str, TriangularDiscriminator]:
    """Return the separation power of each histogram that has entries in both samples.

    1/2 sum (h1 - h2)^2 / (h1 + h2) of histograms of sum 1 (2410.21611), with its error and its
    counting floor. A histogram that one sample alone has entries in is 1, without an error; of
    one that neither has there is nothing to say.
    """
    powers = {}
    for name, counts in reference.counts.items():
        other = sample.counts[name]
        if not counts.any() and not other.any():
            continue
        if not counts.any() or not other.any():
            powers[name] = TriangularDiscriminator(Value(1.0, 0.0), 0.0, 0.0, 0)
            continue
        voxels = name == VOXELS
        powers[name] = binned_separation(
            counts,
            reference.voxel_covariance if voxels else counts,
            other,
            sample.voxel_covariance if voxels else other,
        )
    return powers


def mean_separation(powers: Mapping[str, TriangularDiscriminator], what: Sequence[str]) -> Value:
    """Return the mean over the layers of the histograms that begin with one of `what`.

    Its error is the mean of theirs: layers share their showers and fluctuate together.
    """
    values = [
        each.value
        for name, each in powers.items()
        if any(name.startswith(f"{word} layer") for word in what)
    ]
    if not values:
        raise InputError(f"no histogram of {' or '.join(what)} has entries; check the threshold.")
    return Value(
        float(np.mean([v.value for v in values])), float(np.mean([v.error for v in values]))
    )


def _columns(features: Features, geometry: Geometry) -> dict[str, Floats]:
    """Return the column of each histogram but the voxels' by name."""
    columns = {RESPONSE: features.total / features.incident}
    for i, layer in enumerate(geometry.layers):
        columns[f"E layer {layer.number}"] = features.energy[:, i]
        for axis in ("eta", "phi", "r") if layer.cut else ("r",):
            for what in ("centre", "width"):
                column = getattr(features, f"{what}_{axis}")
                columns[f"{what} {axis} layer {layer.number}"] = column[:, i]
        columns[f"sparsity layer {layer.number}"] = features.sparsity[:, i]
    return columns


def _filled(column: Floats, edges: Floats) -> Floats:
    return np.histogram(column, edges)[0].astype(np.float64)


def _logarithmic(low: float, high: float, count: int) -> Floats:
    """Return `count` edges; a layer that the reference never reaches has the first decade."""
    return np.geomspace(low, high if high > low else 10 * low, count)
