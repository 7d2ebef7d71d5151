"""Find tracks of charged particles in the hits of a tracker: what all methods of it share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.doublets import (
    Doublets,
    LayerMap,
    Triplets,
    learn_map,
    make_doublets,
    make_triplets,
)
from colliderkit.metrics.tracking import Interest, figures
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive

__all__ = ["SHORTEST", "HitGraph", "TrackFinder", "best", "gain", "linked", "numbered"]

AT_ONCE = 20_000  # hits of events that are worked on together
SHORTEST = 3  # hits of a track
LACKING = 16.0  # chi2 that stands for a triplet where a track begins or ends
STEP = 4.0  # mm of a step that weigh as much as one of chi2
PLACES = 40  # thresholds that are tried on the validation events
EFFICIENCY, FAKES = "efficiency, double majority", "fakes, double majority"


@dataclass(frozen=True)
class HitGraph:
    """Doublets of some events, those that a triplet has, and their triplets."""

    hits: TrackerHits
    doublets: Doublets
    triplets: Triplets

    @classmethod
    def of(cls, hits: TrackerHits, known: LayerMap, most: int) -> Self:
        """Build the graph of some events within the windows of a map.

        Of the doublets of a hit, outwards and inwards, the `most` that fit a helix best stay.
        """
        doublets = make_doublets(hits, known)
        triplets = make_triplets(doublets, known, len(hits.x))
        used = np.zeros(len(doublets), dtype=bool)
        used[triplets.before] = used[triplets.after] = True
        graph = cls(hits, doublets, triplets).only(used)
        chi2 = graph.chi2()
        good = first_of(graph.doublets.inner, chi2, most)
        good &= first_of(graph.doublets.outer, chi2, most)
        return graph if good.all() else graph.only(good)

    def only(self, keep: NDArray[np.bool_]) -> Self:
        """Return the doublets (E,) where `keep` is true, and the triplets of two such."""
        made = self.triplets
        both = keep[made.before] & keep[made.after]
        number = np.cumsum(keep) - 1
        ends = number[made.before[both]], number[made.after[both]]
        triplets = Triplets(*ends, made.across[both], made.along[both])
        return replace(self, doublets=self.doublets.at(keep), triplets=triplets)

    def chi2(self) -> Floats:
        """Return the chi2 (E,) of the best triplets inwards and outwards of each doublet.

        It is 16 for one that is lacking, and one more for every 4 mm of length: a step over a hit
        of its own track is as good a helix, and wrong.
        """
        triplets, count = self.triplets, len(self.doublets)
        chi2 = triplets.across**2 + triplets.along**2
        out, into = np.full(count, LACKING), np.full(count, LACKING)
        np.minimum.at(out, triplets.before, chi2)
        np.minimum.at(into, triplets.after, chi2)
        total: Floats = out + into + self.doublets.length / STEP
        return total


def first_of(group: Ints, value: Floats, most: int) -> NDArray[np.bool_]:
    """Return which rows (E,) are among the `most` of least value of their group (E,)."""
    order = np.lexsort((value, group))
    sorted_ = group[order]
    begin = np.r_[True, np.diff(sorted_) != 0] if len(order) else np.zeros(0, dtype=bool)
    rank = np.arange(len(order)) - np.flatnonzero(begin)[np.cumsum(begin) - 1]
    good = np.zeros(len(order), dtype=bool)
    good[order[rank < most]] = True
    return good


class TrackFinder(Method):
    """Base of methods that find tracks: a map of layers, a graph of hits, a threshold.

    `fit` learns from true tracks of `pt` GeV and more which layers follow each other and how far a
    helix strays (`doublets.LayerMap`), trains what a member trains, and chooses a threshold on
    the `validation` share of the events, which trains nothing. Doublets are scored, and linked
    from the best score down, each hit at most once inwards and once outwards; a chain of three
    hits or more is a track.

    A member has `_learn(train, held, ...)` and `_scores(graph) -> (E,)`.
    """

    map_: LayerMap
    threshold_: float
    densest_: int
    sample_: dict[str, list[float]]

    pt: float
    volumes: list[int] | None
    neighbours: int
    overlaid: list[int]
    validation: float
    interest: Interest

    def fit(
        self,
        hits: TrackerHits,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from N events with truth, and return self.

        Raises `InputError` for events without truth, fewer than two, positions that are not
        finite, weights, and as `doublets.learn_map` does.
        """
        self._begin(seed=seed, folder=folder, resume=resume, hits=hits)
        if weight is not None:
            raise InputError("tracks of all events count alike; leave weight out.")
        check_finite(hits)
        hits.truth("fit")
        if hits.particles is None:
            raise InputError(
                "the events do not say what their particles are, and the windows are those of"
                f" particles above {self.pt:g} GeV; give the particles too."
            )
        if len(hits) < 2:
            raise InputError(
                f"{len(hits)} event is given; give two or more, one to choose a threshold with."
            )
        used = self.used(hits)
        random = np.random.default_rng(derive(seed, "validation"))
        order = random.permutation(len(hits))
        count = min(max(round(self.validation * len(hits)), 1), len(hits) - 1)
        held, train = used.at(np.sort(order[:count])), used.at(np.sort(order[count:]))
        if min(self.overlaid, default=0) < 1 or sum(self.overlaid) > len(train):
            raise InputError(
                f"overlaid is {self.overlaid} and {len(train)} events train: numbers must be at"
                " least 1 and their sum no more than the events."
            )
        self.map_ = learn_map(train, pt=self.pt)
        self.densest_ = max(int(np.diff(p.offsets).max()) for p in self._overlaid(train))
        self._learn(train, held, seed=seed, folder=folder, resume=resume, progress=progress)
        self._choose(held)
        tracks = np.concatenate([self._labels(g) for g in self.graphs(held)])
        found = figures(held, tracks, self.interest)
        self.sample_ = {
            name: [value.value, value.error]
            for name, value in found.items()
            if np.isfinite(value.value)
        }
        return self

    def find(self, hits: TrackerHits, *, progress: bool = False) -> Ints:
        """Return the track (H,) of each hit, numbered from 1 on in each event, 0 for none.

        Hits outside of `volumes` are of none. Raises `InputError` for positions that are not
        finite, and where no hit is on a layer that was learned from.
        """
        known = self.map_  # first: not fitted is said before all else
        check_finite(hits)
        inside = self._inside(hits)
        used = hits.where(inside)
        on_map = np.isin(used.surface, np.concatenate([known.inner, known.outer]))
        if len(hits.x) and not on_map.any():
            raise InputError(
                "no hit is on a layer that tracks were learned from: those are volume and layer"
                f" {places(known.inner)}, these {places(hits.surface)}; fit on events of this"
                " detector."
            )
        labels = np.zeros(len(hits.x), dtype=np.int64)
        parts = []
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("events", total=len(used))
            for graph in self.graphs(used):
                parts.append(self._labels(graph))
                bar.advance(task, len(graph.hits))
        if parts:
            labels[inside] = np.concatenate(parts)
        return labels

    def _learn(
        self,
        train: TrackerHits,
        held: TrackerHits,
        *,
        seed: int,
        folder: str | Path | None,
        resume: bool,
        progress: bool,
    ) -> None:
        """Train what the scores need, if anything."""

    def _overlaid(self, train: TrackerHits) -> list[TrackerHits]:
        """Return the events that train: equal parts of them, each overlaid as often as asked."""
        parts = np.cumsum([0, *(n * (len(train) // sum(self.overlaid)) for n in self.overlaid)])
        return [
            train.at(slice(int(begin), int(end))).overlaid(n)
            for n, begin, end in zip(self.overlaid, parts[:-1], parts[1:], strict=True)
        ]

    def _scores(self, graph: HitGraph) -> Floats:
        """Return how much each doublet (E,) is a step of a track; more is better."""
        raise NotImplementedError

    def _labels(self, graph: HitGraph) -> Ints:
        """Return the tracks (H,) of some events."""
        return linked(graph, self._scores(graph), self.threshold_)

    def _choose(self, held: TrackerHits) -> None:
        """Set the threshold that loses least: efficiency less fakes, on events of no training."""
        samples = self._held(held)
        scored = [[(graph, self._scores(graph)) for graph in self.graphs(s)] for s in samples]
        scores = np.concatenate([score for graphs in scored for _, score in graphs])
        tried = np.unique(np.quantile(scores, np.linspace(0, 1, PLACES))) if len(scores) else [0.0]

        def worth(threshold: float) -> float:
            return sum(
                gain(
                    figures(
                        sample,
                        np.concatenate([linked(*one, threshold) for one in graphs]),
                        self.interest,
                    )
                )
                for sample, graphs in zip(samples, scored, strict=True)
            )

        self.threshold_ = best([float(t) for t in tried], worth)

    def _held(self, held: TrackerHits) -> list[TrackerHits]:
        """Return the events that choose, overlaid as those that train as far as there are enough.

        All of them stand in each, for they are few.
        """
        return [held.overlaid(min(n, len(held))) for n in self.overlaid]

    def graphs(self, hits: TrackerHits) -> Iterator[HitGraph]:
        """Yield graphs of some events at a time."""
        for begin, end in portions(np.diff(hits.offsets)):
            yield HitGraph.of(hits.at(slice(begin, end)), self.map_, self.neighbours)

    def _inside(self, hits: TrackerHits) -> NDArray[np.bool_]:
        if self.volumes is None:
            return np.ones(len(hits.x), dtype=bool)
        return np.isin(hits.volume, self.volumes)

    @property
    def known_volumes(self) -> list[int]:
        """The volumes of the detector through which tracks of the fit went."""
        surfaces = np.concatenate([self.map_.inner, self.map_.outer])
        return [int(volume) for volume in np.unique(surfaces // 65_536)]

    def used(self, hits: TrackerHits) -> TrackerHits:
        """Return the hits in the volumes that are used; raise `InputError` where none is."""
        inside = self._inside(hits)
        if len(hits.x) and not inside.any():
            raise InputError(
                f"no hit is in the volumes {', '.join(map(str, self.volumes or []))}; hits are in"
                f" {', '.join(map(str, np.unique(hits.volume).tolist()))}."
            )
        return hits if inside.all() else hits.where(inside)


def linked(graph: HitGraph, score: Floats, threshold: float) -> Ints:
    """Return the tracks (H,) that doublets of at least a threshold make, from the best down.

    Of doublets that begin, or end, in one hit the best is taken, and the others of both hits are
    dropped; so on until none is left. Where the two doublets of a hit are of no common triplet the
    worse of them is cut.
    """
    made, hits = graph.doublets, graph.hits
    order = np.argsort(-score, kind="stable")
    order = order[score[order] >= threshold]
    inner, outer = made.inner[order], made.outer[order]
    taken: list[Ints] = []
    size = len(hits.x)
    while len(order):
        rank = np.arange(len(order))
        # The last that is written stays: the best.
        leaving, arriving = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
        leaving[inner[::-1]] = rank[::-1]
        arriving[outer[::-1]] = rank[::-1]
        chosen = (leaving[inner] == rank) & (arriving[outer] == rank)
        taken.append(order[chosen])
        left, reached = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        left[inner[chosen]] = reached[outer[chosen]] = True
        keep = ~(left[inner] | reached[outer])
        order, inner, outer = order[keep], inner[keep], outer[keep]
    links = np.concatenate(taken) if taken else np.zeros(0, dtype=np.int64)
    if not len(links):
        return np.zeros(size, dtype=np.int64)
    links = links[~broken(graph, links, score)]
    joined = coo_matrix(
        (np.ones(len(links)), (made.inner[links], made.outer[links])), shape=(size, size)
    )
    _, parts = connected_components(joined, directed=False)
    return numbered(parts, hits)


def broken(graph: HitGraph, links: Ints, score: Floats) -> NDArray[np.bool_]:
    """Return which links (n,) are the worse of two that meet in a hit and share no triplet."""
    made, triplets = graph.doublets, graph.triplets
    into = np.full(len(graph.hits.x), -1)
    into[made.outer[links]] = links
    before = into[made.inner[links]]
    meet = before >= 0
    key = triplets.before * len(made) + triplets.after
    apart = meet & ~np.isin(before * len(made) + links, key)
    worse = np.zeros(len(made), dtype=bool)
    one, other = before[apart], links[apart]
    worse[np.where(score[one] < score[other], one, other)] = True
    return worse[links]


def numbered(parts: Ints, hits: TrackerHits) -> Ints:
    """Return tracks (H,) numbered from 1 on in each event, of parts of three hits and more."""
    sizes = np.bincount(parts) if len(parts) else np.zeros(0, dtype=np.int64)
    good = sizes[parts] >= SHORTEST if len(parts) else np.zeros(0, dtype=bool)
    labels = np.zeros(len(parts), dtype=np.int64)
    if not good.any():
        return labels
    event = hits.event
    found, which = np.unique(parts[good], return_inverse=True)
    of = np.empty(len(found), dtype=np.int64)
    of[which] = event[good]  # a part is of one event
    order = np.argsort(of, kind="stable")
    many = np.bincount(of, minlength=len(hits))
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found)) - np.repeat(np.cumsum(many) - many, many) + 1
    labels[good] = rank[which]
    return labels


def gain(found: dict[str, Any]) -> float:
    """Return what a choice is worth: efficiency less fakes; of events without tracks 0."""
    one, other = found[EFFICIENCY].value, found[FAKES].value
    return float(np.nan_to_num(one)) - float(np.nan_to_num(other))


def best(choices: list[Any], worth: Any) -> Any:
    """Return the choice that is worth most: of equal ones that in the middle."""
    values = np.array([worth(choice) for choice in choices])
    top = np.flatnonzero(values >= values.max() - 1e-12)
    return choices[int(top[len(top) // 2])]


def portions(sizes: Ints) -> Iterator[tuple[int, int]]:
    """Yield the first event and the one after the last of portions of some `AT_ONCE` hits."""
    begin, held = 0, 0
    for n, size in enumerate(sizes.tolist()):
        if held and held + size > AT_ONCE:
            yield begin, n
            begin, held = n, 0
        held += size
    if len(sizes):
        yield begin, len(sizes)


def places(surfaces: Ints) -> str:
    """Write volumes and layers."""
    found = np.unique(surfaces)[:6]
    return ", ".join(f"{s // 65_536} {s % 65_536}" for s in found.tolist())


def check_finite(hits: TrackerHits) -> None:
    """Raise `InputError` for a position that is not finite, by its hit and event."""
    for name in ("x", "y", "z"):
        bad = ~np.isfinite(getattr(hits, name))
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{name} is {getattr(hits, name)[row]} in hit {hits.id[row]} of event"
                f" {hits.number[hits.event[row]]}; mend it or leave the hit out."
            )
