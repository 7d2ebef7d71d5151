"""Coarser cells: hits of a fine calorimeter, summed as one of larger cells would read them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, offsets_of
from colliderkit.events.calorimeter.overlay import Digitiser
from colliderkit.events.tables import Floats, Ints

__all__ = ["cells_of", "coarser", "layers_of"]

GEV = 1e3  # MeV
CLOSE = 0.5  # mm between the depth of a hit and that of its layer


def cells_of(hits: CalorimeterHits) -> tuple[Floats, Floats]:
    """Return the depth of each layer and the width of its square cells [mm], (L,) each, as seen.

    Depths are those that occur, widths the least step of x and y in each. Raises `InputError` where
    a layer has hits in one place alone.
    """
    z = np.sort(hits.position[:, 2])
    first = np.concatenate([[True], np.diff(z) > CLOSE])[: len(z)]
    depths = z[first]
    if not len(depths):
        raise InputError("there are no hits, by which layers and cells could be told; name them.")
    layer = layers_of(hits.position[:, 2], depths)
    widths = []
    for i, depth in enumerate(depths):
        own = hits.position[layer == i, :2]
        steps = np.concatenate([np.diff(np.unique(np.round(own[:, axis], 3))) for axis in (0, 1)])
        if not len(steps):
            raise InputError(
                f"the layer at z = {depth:g} mm has hits in one place alone, which do not tell the"
                " width of its cells; name depths and widths."
            )
        widths.append(float(steps.min()))
    return depths, np.array(widths)


def layers_of(z: ArrayLike, depths: ArrayLike, what: str = "the hits") -> Ints:
    """Return the layer of each hit by its z (H,) [mm], of layers at `depths` (L,), rising.

    Raises `InputError` for a hit that is in none of them.
    """
    place, known = np.asarray(z, dtype=np.float64), np.asarray(depths, dtype=np.float64)
    middles = (known[1:] + known[:-1]) / 2
    layer = np.searchsorted(middles, place)
    off = np.abs(known[layer] - place) > CLOSE
    if off.any():
        listed = ", ".join(f"{depth:g}" for depth in known[:8])
        raise InputError(
            f"{what}: a hit at z = {place[np.argmax(off)]:g} mm is in none of the layers at"
            f" {listed}{' ...' if len(known) > 8 else ''} mm; name the depths of its calorimeter."
        )
    return layer


def coarser(
    hits: CalorimeterHits,
    depths: ArrayLike,
    widths: ArrayLike,
    *,
    readout: Digitiser | None = None,
    seed: int | Sequence[int] = 0,
) -> CalorimeterHits:
    """Sum hits in square cells of `widths` (L,) [mm] in layers at `depths` (L,), with their truth.

    Cells begin at multiples of their width, and should be whole cells of the finer one. Then the
    sum is read out once (`readout`, MeV), and shares are scaled by what became of it.
    """
    layer = layers_of(hits.position[:, 2], depths)
    width = np.asarray(widths, dtype=np.float64)[layer]
    column, row = (np.floor(hits.position[:, axis] / width).astype(np.int64) for axis in (0, 1))
    # One number a cell: rows of four are sorted ten times as slowly.
    spans = [(int(c.min(initial=0)), int(c.max(initial=0)) + 1) for c in (row, column)]
    sizes = [high - low for low, high in spans]
    key = hits.event * len(np.atleast_1d(depths)) + layer
    for values, (low, _), size in zip((row, column), spans, sizes, strict=True):
        key = key * size + values - low
    names, which = np.unique(key, return_inverse=True)
    rest, column = np.divmod(names, sizes[1])
    rest, row = np.divmod(rest, sizes[0])
    cells = np.stack(
        [*np.divmod(rest, len(np.atleast_1d(depths))), row + spans[0][0], column + spans[1][0]],
        axis=1,
    )
    energy = np.asarray(np.bincount(which, hits.energy, len(cells)), dtype=np.float64)
    reading: Floats = energy
    if readout is not None:
        reading = readout(energy * GEV, np.random.default_rng(seed)) / GEV
    kept = reading > 0
    renamed = np.cumsum(kept) - 1
    pair = which[hits.share_hit] * max(len(hits.pdg), 1) + hits.share_particle
    pairs, same = np.unique(pair, return_inverse=True)
    left = np.bincount(same, hits.share_energy, len(pairs))
    cell, particle = pairs // max(len(hits.pdg), 1), pairs % max(len(hits.pdg), 1)
    inside = kept[cell]
    scale = np.divide(reading, energy, out=np.zeros_like(energy), where=energy > 0)
    pitch = np.asarray(widths, dtype=np.float64)[cells[:, 1]]
    position = np.stack(
        [
            (cells[:, 3] + 0.5) * pitch,
            (cells[:, 2] + 0.5) * pitch,
            np.asarray(depths, dtype=np.float64)[cells[:, 1]],
        ],
        axis=1,
    )
    counts = np.bincount(cells[kept, 0], minlength=len(hits))
    return CalorimeterHits(
        offsets_of(counts),
        position[kept],
        reading[kept],
        hits.particle_offsets,
        hits.particle_energy,
        hits.pdg,
        renamed[cell[inside]],
        particle[inside],
        (left * scale[cell])[inside],
    )
