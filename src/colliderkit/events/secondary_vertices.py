"""Tracks of a jet and the vertices that they come from: straight tracks, partitions.

A track passes the beams where it has the impact parameters d0 and z0 [mm]. In the frame that has
the collision at its origin and is turned about the beams so that the jet's axis is at phi = 0, a
track of direction (eta, phi) goes through a place v = (x, y, z) if

    d0 = x sin(phi) - y cos(phi),    z0 = z - (x cos(phi) + y sin(phi)) sinh(eta),

without bending over the flight: two equations that are linear in v.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import awkward as ak
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.tables import Floats, Ints

__all__ = ["COLUMNS", "JetTracks", "average_links", "constraints", "is_track", "numbered_origins"]

# Of a track: pT [GeV], direction, pT and axis of its jet, impact parameters [mm]. The fourth is
# positive, by which a deployed network knows a track from padding.
COLUMNS = ("pt", "eta", "phi", "jet_pt", "jet_eta", "d0", "z0", "d0_error", "z0_error")
NEEDED = ("px", "py", "pz", "d0", "z0", "d0_error", "z0_error")
SAME = 0.01  # mm, within which origins are one vertex: a pi0 flies 25 nm, a D0 0.1 mm and more


@dataclass(frozen=True)
class JetTracks:
    """The tracks of N jets, flat: P of them, one jet after another.

    - `values` (P, 9) float64, by `COLUMNS`; phi is turned so that the jet's axis is at 0;
    - `vertex` (P,) int64, the number of the vertex in its jet, 0 the collision's, -1 not known;
    - `counts` (N,).
    """

    values: Floats
    vertex: Ints
    counts: Ints

    @classmethod
    def of(cls, jets: ak.Array, what: str = "the jets") -> Self:
        """Return the tracks of jets: constituents whose d0_error and z0_error are above 0.

        d0 and z0 carry the sign of the jet's axis (positive where the track passes in front of the
        collision), as flavour taggers read them, which is undone here. Raises `InputError` for no
        jets, missing columns, and numbers that are not finite.
        """
        if len(jets) == 0:
            raise InputError(f"{what}: holds no jets; check the selection and the file.")
        tracks: Any = jets["constituents"] if "constituents" in jets.fields else None
        for name in NEEDED:
            if tracks is None or name not in tracks.fields:
                raise InputError(
                    f"{what}: constituents have no column '{name}'; tracks need"
                    f" {', '.join(NEEDED)} [GeV, mm]."
                )
        for name in ("jet_pt", "jet_eta", "jet_phi"):
            if name not in jets.fields:
                raise InputError(f"{what}: no column '{name}'; tracks are beside the jet's axis.")
        for name in NEEDED:
            _refuse_odd(ak.all(np.isfinite(tracks[name]), axis=1), name, what)
        tracks = tracks[is_track(jets)]
        counts = np.asarray(ak.to_numpy(ak.num(tracks)), dtype=np.int64)
        px, py, pz, d0, z0, d0_error, z0_error = (_flat(tracks[name]) for name in NEEDED)
        jet_pt, jet_eta, jet_phi = (
            np.repeat(np.asarray(ak.to_numpy(jets[name]), dtype=np.float64), counts)
            for name in ("jet_pt", "jet_eta", "jet_phi")
        )
        pt = np.maximum(np.hypot(px, py), 1e-9)
        eta, phi = np.arcsinh(pz / pt), np.arctan2(py, px) - jet_phi
        d0 = d0 * np.where(np.sin(phi) < 0, -1, 1)
        z0 = z0 * np.where(eta > jet_eta, -1, 1)
        phi = turned(phi)
        columns = (pt, eta, phi, jet_pt, jet_eta, d0, z0, d0_error, z0_error)
        for name, column in zip(COLUMNS, columns, strict=True):
            good = np.bincount(np.repeat(np.arange(len(counts)), counts), ~np.isfinite(column),
                               len(counts)) == 0  # fmt: skip
            _refuse_odd(good, name, what)
        vertex = np.full(len(pt), -1, dtype=np.int64)
        if "vertex" in tracks.fields:
            vertex = _flat(tracks["vertex"]).astype(np.int64)
        return cls(np.stack(columns, axis=1), vertex, counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, name: str) -> Floats:
        """Return a column (P,) by its name."""
        column: Floats = self.values[:, COLUMNS.index(name)]
        return column

    @property
    def jet(self) -> Ints:
        """The jet of each track, (P,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def known(self) -> bool:
        """Whether the vertex of each track is known."""
        return bool((self.vertex >= 0).all())

    def at(self, jets: NDArray[Any]) -> Self:
        """Return the jets of a mask (N,) or of numbers (n,) that rise."""
        chosen = np.zeros(len(self), dtype=np.bool_)
        chosen[jets] = True
        rows = chosen[self.jet]
        return replace(
            self, values=self.values[rows], vertex=self.vertex[rows], counts=self.counts[chosen]
        )

    @property
    def slot(self) -> tuple[Ints, Ints]:
        """The place of each track among padded ones (N, L): its jet, and its number there."""
        first = np.cumsum(self.counts) - self.counts
        return self.jet, np.arange(len(self.vertex)) - np.repeat(first, self.counts)


def is_track(jets: ak.Array) -> ak.Array:
    """Return which constituents are tracks, ``var * bool``: both errors are above 0."""
    constituents: Any = jets["constituents"]
    return (constituents["d0_error"] > 0) & (constituents["z0_error"] > 0)


def constraints(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what tracks (..., 9) by `COLUMNS` say of the place v that they go through.

    Directions (..., 2, 3), measured numbers (..., 2) and their variances: row . v = measured.
    """
    eta, phi = values[..., 1], values[..., 2]
    sine, cosine, slope = np.sin(phi), np.cos(phi), np.sinh(eta)
    none = np.zeros_like(phi)
    rows = np.stack(
        [
            np.stack([sine, -cosine, none], axis=-1),
            np.stack([-cosine * slope, -sine * slope, none + 1], axis=-1),
        ],
        axis=-2,
    )
    return rows, values[..., 5:7], values[..., 7:9] ** 2


def numbered_origins(place: Floats, jet: Ints, near: float = SAME) -> Ints:
    """Number the vertices of each jet by the origins `place` (P, 3) [mm] of its tracks.

    Origins nearer than `near` are one vertex, those chained so too. Number 0 is the collision at
    the origin, the others follow from 1 on by their distance from it. `jet` (P,) is sorted.
    """
    if not len(jet):
        return np.zeros(0, dtype=np.int64)
    counts = np.bincount(jet)
    first, second = _pairs(counts[counts > 0])
    close = ((place[first] - place[second]) ** 2).sum(1) < near**2
    part = _components(first[close], second[close], len(jet))
    away = np.full(part.max() + 1, np.inf)
    np.minimum.at(away, part, np.sqrt((place**2).sum(1)))
    of = np.zeros(len(away), dtype=np.int64)
    of[part] = jet
    order = np.lexsort((away, of))
    begin = np.searchsorted(of[order], of[order])
    number = np.empty(len(away), dtype=np.int64)
    number[order] = np.arange(len(away)) - begin
    # A jet may have no track of the collision: its nearest vertex is then not number 0.
    none = np.ones(int(jet.max()) + 1, dtype=np.bool_)
    none[of[away < near]] = False
    return (number + none[of])[part]


def average_links(scores: Floats, counts: Ints, threshold: float) -> Ints:
    """Return the parts of the tracks of each jet, (P,) from 0 on, by the scores of pairs.

    Each track begins as a part of its own. The two parts whose pairs have the largest mean score
    become one, and so on while that mean is above the `threshold`: a partition from scores that
    are none, and one pair that is wrong joins no two vertices, as it does in the transitive closure
    of all pairs above a threshold. `scores` (N, L, L) are of the padded tracks of N jets and equal
    for both orders; `counts` (N,). The parts of a jet are numbered by their first track.
    """
    part = np.zeros(int(counts.sum()), dtype=np.int64)
    _average_links(scores, counts, threshold, part)
    return numbered(part, np.repeat(np.arange(len(counts)), counts))


@njit(cache=True)
def _average_links(scores: Floats, counts: Ints, threshold: float, part: Ints) -> None:
    # Loops throughout: they compile in a fraction of the time that whole arrays take.
    first = 0
    for jet in range(len(counts)):
        n = counts[jet]
        total, size = np.zeros((n, n)), np.ones(n)  # of the scores between two parts; 0: it is gone
        for i in range(n):
            part[first + i] = first + i
            for j in range(n):
                total[i, j] = scores[jet, i, j]
        for _ in range(n - 1):
            best, one, other = threshold, -1, -1
            for i in range(n):
                for j in range(i + 1, n):
                    if size[i] > 0 and size[j] > 0:
                        mean = total[i, j] / (size[i] * size[j])
                        if mean > best:
                            best, one, other = mean, i, j
            if one < 0:
                break
            for i in range(n):
                total[one, i] += total[other, i]
                total[i, one] = total[one, i]
                if part[first + i] == first + other:
                    part[first + i] = first + one
            size[one] += size[other]
            size[other] = 0
        first += n


def numbered(part: Ints, jet: Ints) -> Ints:
    """Number parts (P,), none of which is in two jets, from 0 in each jet by their first track."""
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    of = jet[first[order]]
    rank[order] = np.arange(len(order)) - np.searchsorted(of, of)
    return rank[inverse]


def _pairs(counts: Ints) -> tuple[Ints, Ints]:
    """Return all ordered pairs of tracks of one jet."""
    begin = np.cumsum(counts) - counts
    partners = np.repeat(counts, counts)
    first = np.repeat(np.arange(len(partners)), partners)
    within = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    return first, within + np.repeat(np.repeat(begin, counts), partners)


def _components(first: Ints, second: Ints, count: int) -> Ints:
    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    part: Ints = connected_components(links, directed=False)[1].astype(np.int64)
    return part


def _flat(column: ak.Array) -> Floats:
    return np.asarray(ak.to_numpy(ak.flatten(column)), dtype=np.float64)


def _refuse_odd(good: Any, name: str, what: str) -> None:
    good = np.asarray(ak.to_numpy(good))
    if not good.all():
        raise InputError(
            f"{what}: '{name}' of a track is NaN or infinite in jet {int(np.argmin(good))} (counted"
            " from 0); mend it or drop the jet."
        )
