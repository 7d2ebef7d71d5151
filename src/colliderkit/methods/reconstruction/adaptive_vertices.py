"""Secondary vertices by adaptive fits, one after another, without learning (AVR)."""

import itertools
from pathlib import Path
from typing import ClassVar, Literal, Self

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.secondary_vertices import JetTracks, constraints, numbered
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.reconstruction.secondary_vertexing import TrackPartition, with_truth
from colliderkit.metrics.vertices import adjusted_rand
from colliderkit.progress import progress_bar

__all__ = ["AdaptiveVertices"]

TEMPERATURES = (256.0, 64.0, 16.0, 4.0, 1.0)  # of the annealing, as CMS has them
ROUNDS = 2  # fits at each
MOST = 4  # vertices beside the collision
WEAK = 30.0  # mm: how far a vertex is expected anyway, so that parallel tracks make one
JETS = 2000  # at a time


class AdaptiveVertices(TrackPartition):
    """Find secondary vertices by adaptive fits in turn (Waltenberger 2011; CMS, 1211.4462).

    A fit weighs each track i by how far it passes the vertex v, in errors,

        w_i = 1 / (1 + exp((chi2_i(v) - cut^2) / 2T)),

    and finds v anew with these weights, while the temperature T falls from 256 to 1. First tracks
    with w > 1/2 at the collision are taken, with the cut `primary`; then, as long as two tracks
    or more agree, those of a vertex among the others, with the cut `secondary`. Tracks that are
    left are of vertices of their own ("alone") or of the collision ("collision").

    Args:
        primary: errors up to which a track is of the collision.
        secondary: errors up to which it is of another vertex.
        rest: what tracks are that no vertex has.
        tune: let `fit` choose all three by the mean adjusted Rand index, among `GRID`.

    After `fit`: `primary_`, `secondary_`, `rest_`.
    """

    name: ClassVar[str] = "adaptive-vertices"

    primary_: float
    secondary_: float
    rest_: str

    GRID: ClassVar[dict[str, tuple[float, ...]]] = {
        "primary": (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 7.0),
        "secondary": (2.0, 3.0, 4.0, 6.0),
    }

    def __init__(
        self,
        *,
        primary: float = 3.0,
        secondary: float = 3.0,
        rest: Literal["alone", "collision"] = "alone",
        tune: bool = True,
    ) -> None:
        self.primary = primary
        self.secondary = secondary
        self.rest = rest
        self.tune = tune

    def fit(
        self,
        jets: ak.Array,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Choose the cuts by jets with true vertices, where it is to `tune`; return self.

        Raises `InputError` for weights, jets without truth, and as `JetTracks.of` does.
        """
        self._begin(seed=seed, folder=folder, resume=resume, jets=jets)
        if weight is not None:
            raise InputError("cuts are chosen by jets alike; leave weight out.")
        if self.rest not in ("alone", "collision"):
            raise InputError(f"rest is '{self.rest}'; choose alone or collision.")
        self.primary_, self.secondary_, self.rest_ = self.primary, self.secondary, self.rest
        tracks = with_truth(jets) if self.tune else JetTracks.of(jets)
        if not self.tune:
            return self
        best = -2.0
        grid = list(itertools.product(*self.GRID.values()))
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("adaptive vertices", total=len(grid))
            for primary, secondary in grid:
                found = found_vertices(tracks, primary, secondary)
                for rest in ("alone", "collision"):
                    parts = with_rest(found, tracks, rest)
                    score = adjusted_rand(tracks.vertex, parts, tracks.counts).mean()
                    if score > best:
                        best = float(score)
                        self.primary_, self.secondary_, self.rest_ = primary, secondary, rest
                bar.advance(task)
        return self

    def parts(self, tracks: JetTracks) -> Ints:
        """Return the vertex of each track, (P,), numbered from 0 in each jet."""
        found = found_vertices(tracks, self.primary_, self.secondary_)
        return with_rest(found, tracks, self.rest_)


def with_rest(found: Ints, tracks: JetTracks, rest: str) -> Ints:
    """Return the vertices (P,) of all tracks, those of none (-1) as the `rest` says."""
    own = MOST + 1 + np.arange(len(found)) if rest == "alone" else 0
    label = np.where(found < 0, own, found)
    jet = tracks.jet
    return numbered(jet * (MOST + 1 + len(found)) + label, jet)


def found_vertices(tracks: JetTracks, primary: float, secondary: float) -> Ints:
    """Return the vertex of each track: 0 the collision, 1 to 4 others in turn, -1 none."""
    found = np.full(len(tracks.vertex), -1, dtype=np.int64)
    jet, number = tracks.slot
    begin = np.concatenate([[0], np.cumsum(tracks.counts)])
    for first in range(0, len(tracks), JETS):
        last = min(first + JETS, len(tracks))
        rows = slice(int(begin[first]), int(begin[last]))
        place = jet[rows] - first, number[rows]
        found[rows] = _of_some(tracks.values[rows], place, last - first, primary, secondary)[place]
    return found


def _of_some(
    values: Floats, place: tuple[Ints, Ints], jets: int, primary: float, secondary: float
) -> Ints:
    length = int(place[1].max(initial=-1)) + 1
    rows, measured, variance = constraints(values)
    real = np.zeros((jets, length), dtype=np.bool_)
    padded_rows, padded = np.zeros((jets, length, 2, 3)), np.zeros((jets, length, 2))
    precision = np.zeros((jets, length, 2))
    real[place], padded_rows[place], padded[place] = True, rows, measured
    precision[place] = 1 / variance
    label = np.full((jets, length), -1, dtype=np.int64)
    collision = (padded**2 * precision).sum(2)  # at v = 0
    label[real & (collision < primary**2)] = 0
    some = np.arange(jets)
    for vertex in range(1, MOST + 1):
        free = (label[some] < 0) & real[some]
        some, free = some[free.sum(1) > 1], free[free.sum(1) > 1]
        if not len(some):
            break
        mine = _adaptive(padded_rows[some], padded[some], precision[some], free, secondary)
        enough = mine.sum(1) > 1
        label[some] = np.where(mine & enough[:, None], vertex, label[some])
        some = some[enough]
    return label


def _adaptive(
    rows: Floats, measured: Floats, precision: Floats, free: NDArray[np.bool_], cut: float
) -> NDArray[np.bool_]:
    """Return which of the free tracks (N, L) are of one vertex."""
    weight = free.astype(np.float64)
    # Matrices and vectors of single tracks: the fits are weighted sums of them.
    each = np.einsum("nlki,nlk,nlkj->nlij", rows, precision, rows, optimize=True)
    vector = np.einsum("nlki,nlk->nli", rows, precision * measured, optimize=True)
    square = (precision * measured**2).sum(2)
    for temperature in TEMPERATURES:
        for _ in range(ROUNDS):
            matrix = np.einsum("nl,nlij->nij", weight, each) + np.eye(3) / WEAK**2
            place = np.linalg.solve(matrix, np.einsum("nl,nli->ni", weight, vector)[..., None])
            v = place[..., 0]
            chi2 = square - 2 * np.einsum("nli,ni->nl", vector, v)
            chi2 += np.einsum("ni,nlij,nj->nl", v, each, v, optimize=True)
            pull = np.clip((chi2 - cut**2) / (2 * temperature), -50, 50)
            weight = free / (1 + np.exp(pull))
    return free & (weight > 0.5)
