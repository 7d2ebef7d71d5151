"""Judge tracks: double majority, LHC and perfect matching, fakes, duplicates, TrackML score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.hits import NOISE, TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.metrics.turn_on import efficiency_of
from colliderkit.metrics.value import Value

__all__ = [
    "MATCHINGS",
    "Interest",
    "Matches",
    "by_bins",
    "figures",
    "hit_weights",
    "match",
    "of_interest",
    "particle_rows",
    "pull_counts",
    "pull_figures",
    "trackml_score",
]

Matching = Literal["double majority", "LHC", "perfect"]
MATCHINGS: tuple[Matching, ...] = ("double majority", "LHC", "perfect")
# Of the TrackML challenge: what the hits along a particle weigh, spread over as many as it has,
# and how the weight rises with pT in GeV.
ALONG = (10.0, 8.0, 6.0, 5.0, 3.0, 3.0, 3.0, 5.0, 6.0)
FEWEST, MOST = 4, 20  # hits of a particle that weigh
OUTSIDE = 5.0  # standard deviations beyond which a pull is an outlier
PT, BY_PT = (0.5, 3.0), (0.2, 1.0)


@dataclass(frozen=True)
class Interest:
    """Say which particles are to be found: the denominator of an efficiency.

    Args:
        pt: the least transverse momentum, in GeV.
        eta: the largest absolute pseudorapidity.
        hits: the fewest hits that a particle has in the events.
        primary: those alone that come from a collision.
        born: the largest distance from the beam at which they are born, in mm.
    """

    pt: float = 0.9
    eta: float = 2.5
    hits: int = 3
    primary: bool = True
    born: float = 24.0

    def __str__(self) -> str:
        kind = "primary particles" if self.primary else "particles"
        return (
            f"{kind} born within {self.born:g} mm, pT > {self.pt:g} GeV, |eta| < {self.eta:g},"
            f" at least {self.hits} hits"
        )


@dataclass(frozen=True)
class Matches:
    """Hold K tracks and the particle that most hits of each are of, and M particles with hits.

    Of each track (K,): `event`, `track` (its label), `hits`, `shared` (hits of the majority
    particle), `majority` (a row of the particles, -1 where all hits are noise). Of each particle
    (M,): `of_event`, `particle` (its id), `made` (its hits). A particle that is shared equally by
    two counts as the one with the smaller id.
    """

    event: Ints
    track: Ints
    hits: Ints
    shared: Ints
    majority: Ints
    of_event: Ints
    particle: Ints
    made: Ints

    def matched(self, matching: Matching = "double majority") -> NDArray[np.bool_]:
        """Return which tracks (K,) match their majority particle.

        With n hits of the track, m of them of the particle, which has M in the event:

        - "double majority": m/n > 1/2 and m/M > 1/2 (at most one track of a particle does);
        - "LHC": m/n > 3/4;
        - "perfect": m = n = M.
        """
        made = np.where(self.majority >= 0, self.made[self.majority], 0) if len(self.made) else 0
        if matching == "LHC":
            return np.asarray(4 * self.shared > 3 * self.hits)
        if matching == "perfect":
            return np.asarray((self.shared == self.hits) & (self.shared == made))
        return np.asarray((2 * self.shared > self.hits) & (2 * self.shared > made))

    def found(self, matching: Matching = "double majority") -> Ints:
        """Return how many tracks (M,) match each particle."""
        good = self.matched(matching)
        return np.bincount(self.majority[good], minlength=len(self.made)).astype(np.int64)

    def efficiency(self, interest: NDArray[np.bool_], matching: Matching) -> Value:
        """Return the share of particles of `interest` (M,) that a track matches, binomial error."""
        return _share(int((self.found(matching) > 0)[interest].sum()), int(interest.sum()))

    def judged(self, interest: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Return the tracks (K,) whose majority particle is of interest, or that have none."""
        if interest is None or not len(self.made):
            return np.ones(len(self.hits), dtype=bool)
        return (self.majority < 0) | interest[self.majority]

    def fakes(self, interest: NDArray[np.bool_] | None, matching: Matching) -> Value:
        """Return the share of the judged tracks that do not match, with its binomial error.

        Without `interest` all tracks are judged. Tracks of noise alone are always fakes; those
        of a particle outside of the interest are neither found nor fakes, as in ACTS.
        """
        judged = self.judged(interest)
        return _share(int((judged & ~self.matched(matching)).sum()), int(judged.sum()))

    def duplicates(self, interest: NDArray[np.bool_], matching: Matching = "LHC") -> Value:
        """Return the share of matched tracks beyond the first of a particle of interest.

        Two tracks cannot both hold more than half of a particle's hits: by "double majority" there
        are none.
        """
        found = self.found(matching)[interest]
        return _share(int(np.maximum(found - 1, 0).sum()), int(found.sum()))


def match(event: ArrayLike, particle: ArrayLike, track: ArrayLike, *, fewest: int = 1) -> Matches:
    """Count the hits (H,) that each track shares with each particle of its event.

    `particle` is 0 for noise and `track` for hits of none; tracks of fewer than `fewest` hits are
    left out. Raises `InputError` for arrays of different lengths.
    """
    of, made_by, label = (np.asarray(a, dtype=np.int64) for a in (event, particle, track))
    if not of.shape == made_by.shape == label.shape:
        raise InputError(
            f"{len(label)} labels of tracks and {len(made_by)} particles are given for {len(of)}"
            " hits; give one of each for every hit."
        )
    true, whose = _pairs(of, made_by, made_by != NOISE)
    found, which = _pairs(of, label, label != 0)
    made = np.bincount(whose[whose >= 0], minlength=len(true))
    hits = np.bincount(which[which >= 0], minlength=len(found))
    both = (whose >= 0) & (which >= 0)
    shared = np.zeros(len(found), dtype=np.int64)
    majority = np.full(len(found), -1)
    if both.any():
        key, counts = np.unique(which[both] * len(true) + whose[both], return_counts=True)
        tracks, owners = key // len(true), key % len(true)
        order = np.lexsort((owners, -counts, tracks))
        first = order[np.r_[True, np.diff(tracks[order]) > 0]]
        shared[tracks[first]] = counts[first]
        majority[tracks[first]] = owners[first]
    keep = hits >= fewest
    return Matches(
        *(found[keep, 0], found[keep, 1], hits[keep], shared[keep], majority[keep]),
        *(true[:, 0], true[:, 1], made),
    )


def of_interest(hits: TrackerHits, matches: Matches, interest: Interest) -> NDArray[np.bool_]:
    """Return which particles (M,) of `matches` are of interest, by what the events know of them.

    Raises `InputError` where the events have no particles.
    """
    chosen = matches.made >= interest.hits
    made = hits.particles
    if made is None:
        raise InputError(
            "the events do not say what their particles are, and an efficiency needs their momenta;"
            " give the particles too."
        )
    rows = particle_rows(hits, matches)
    good = (made.pt > interest.pt) & (np.abs(made.eta) < interest.eta)
    good &= np.hypot(made.vx, made.vy) < interest.born
    if interest.primary:
        good &= made.primary
    return chosen & (rows >= 0) & (good[rows] if len(good) else False)


def figures(
    hits: TrackerHits, tracks: Ints, interest: Interest, *, fewest: int = 3
) -> dict[str, Value]:
    """Return what is found in events, by name: efficiencies, fakes, duplicates, TrackML score.

    Tracks of fewer than `fewest` hits are none. The error of the score is that of its mean over
    the events, the others are binomial.
    """
    particle, event = hits.truth("evaluate"), hits.event
    matches = match(event, particle, tracks, fewest=fewest)
    wanted = of_interest(hits, matches, interest)
    found = {
        f"efficiency, {matching}": matches.efficiency(wanted, matching) for matching in MATCHINGS
    }
    found["fakes, double majority"] = matches.fakes(wanted, "double majority")
    found["fakes, LHC"] = matches.fakes(wanted, "LHC")
    found["fakes among all tracks"] = matches.fakes(None, "double majority")
    found["duplicates, LHC"] = matches.duplicates(wanted)
    weight = hits.weight if hits.weight is not None else hit_weights(hits)
    scores = trackml_score(event, particle, tracks, weight, len(hits))
    scores = scores[np.isfinite(scores)]
    mean = float(scores.mean()) if len(scores) else float("nan")
    error = float(scores.std(ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else float("nan")
    return {**found, "TrackML score": Value(mean, error)}


def particle_rows(hits: TrackerHits, matches: Matches) -> Ints:
    """Return the rows (M,) of the particles of `matches` among those of the events."""
    made = hits.particles
    assert made is not None
    ids = np.unique(np.concatenate([made.id, matches.particle]))
    if not len(made.id):
        return np.full(len(matches.particle), -1)
    key = made.event * len(ids) + np.searchsorted(ids, made.id)
    order = np.argsort(key, kind="stable")
    wanted = matches.of_event * len(ids) + np.searchsorted(ids, matches.particle)
    place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    return np.where(key[order][place] == wanted, order[place], -1)


def trackml_score(
    event: ArrayLike, particle: ArrayLike, track: ArrayLike, weight: ArrayLike, count: int
) -> Floats:
    """Return the TrackML score of each of `count` events, from 0 to 1; NaN where nothing weighs.

    S = sum_{hits of a track and of its majority particle} w / sum_{all hits} w, over the tracks
    that match by double majority (1904.06778).
    """
    of, label = np.asarray(event, dtype=np.int64), np.asarray(track, dtype=np.int64)
    made_by, weights = np.asarray(particle, dtype=np.int64), np.asarray(weight, dtype=np.float64)
    matches = match(of, made_by, label)
    good = matches.matched()
    total = np.bincount(of, weights, minlength=count)
    if not good.any():
        return np.where(total > 0, 0.0, np.nan)
    # A hit scores if its track is good and its particle is that track's.
    keys = np.stack([matches.event, matches.track, matches.particle[matches.majority]], axis=1)
    scoring = _rows_in(np.stack([of, label, made_by], axis=1), keys[good])
    gained = np.bincount(of[scoring], weights[scoring], minlength=count)
    return np.divide(gained, total, out=np.full(count, np.nan), where=total > 0)


def hit_weights(hits: TrackerHits) -> Floats:
    """Return the weights (H,) of the TrackML challenge, each event's sum 1, where files have none.

    w = w_order w_pt: hits at both ends of a particle weigh more than in its middle (an order by
    their distance from its vertex along z), and w_pt rises from 0.2 at 0.5 GeV to 1 at 3 GeV. Noise
    and particles of fewer than 4 hits weigh nothing.
    """
    made = hits.particles
    if made is None:
        raise InputError(
            "the events do not say what their particles are, and the weights of hits need their"
            " momenta; give the particles too."
        )
    hits.truth("the score")
    rows, count = hits.particle_rows(), len(hits.x)
    known = rows >= 0
    if not known.any():
        return np.zeros(count)
    number = np.bincount(rows[known], minlength=len(made.id))
    distance = np.abs(hits.z - np.where(known, made.vz[rows], 0.0))
    order = np.lexsort((distance, rows))
    order = order[known[order]]
    begins = np.concatenate([[0], np.cumsum(number)])
    place = np.empty(count, dtype=np.int64)
    place[order] = np.arange(len(order)) - begins[rows[order]]
    sizes = np.where(known, number[rows], 0)
    weight = np.zeros(count)
    table = _along()
    used = known & (sizes >= FEWEST) & (place < MOST)
    weight[used] = table[np.minimum(sizes[used], MOST), place[used]]
    weight[used] *= np.interp(made.pt[rows[used]], PT, BY_PT)
    total = np.bincount(hits.event, weight, minlength=len(hits))
    return weight / np.where(total > 0, total, 1.0)[hits.event]


def by_bins(passed: NDArray[np.bool_], values: Floats, edges: ArrayLike) -> Mapping[str, Floats]:
    """Return the share that passed in bins of a quantity: centre, half width, share, its error.

    Bins without entries are left out.
    """
    borders = np.asarray(edges, dtype=np.float64)
    which = np.digitize(values, borders) - 1
    inside = (which >= 0) & (which < len(borders) - 1)
    total = np.bincount(which[inside], minlength=len(borders) - 1)
    good = np.bincount(which[inside & passed], minlength=len(borders) - 1)
    there = np.flatnonzero(total)
    shares = [_share(int(good[i]), int(total[i])) for i in there]
    low, high = borders[there], borders[there + 1]
    return {
        "centre": (low + high) / 2,
        "half": (high - low) / 2,
        "share": np.array([s.value for s in shares]),
        "error": np.array([s.error for s in shares]),
    }


def _along() -> Floats:
    """Return the weight of hit i of n, (MOST + 1, MOST), each row's sum 1."""
    table = np.zeros((MOST + 1, MOST))
    for n in range(FEWEST, MOST + 1):
        knots = np.linspace(0, n - 1, len(ALONG))
        row = np.interp(np.arange(n), knots, ALONG)
        table[n, :n] = row / row.sum()
    return table


def _share(part: int, whole: int) -> Value:
    return efficiency_of(part, whole) if whole else Value(float("nan"), float("nan"))


def _pairs(event: Ints, label: Ints, keep: NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Return the pairs (event, label) that there are (K, 2), and that of each row (H,), or -1."""
    which = np.full(len(event), -1)
    if not keep.any():
        return np.zeros((0, 2), dtype=np.int64), which
    values, rank = np.unique(label[keep], return_inverse=True)
    key, inverse = np.unique(event[keep] * len(values) + rank, return_inverse=True)
    which[keep] = inverse
    return np.stack([key // len(values), values[key % len(values)]], axis=1), which


def _rows_in(rows: Ints, among: Ints) -> NDArray[np.bool_]:
    """Return which rows (H, C) are among others (K, C)."""
    _, inverse = np.unique(np.concatenate([among, rows]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    return np.isin(inverse[len(among) :], inverse[: len(among)])


def pull_figures(pulls: Mapping[str, ArrayLike]) -> dict[str, Value]:
    """Return widths of pulls (K,) by the parameter's name, and the share beyond 5.

    The width is the standard deviation s of those within 5, with the error of a standard deviation
    of any distribution, sqrt((m4 - s^4) / K) / 2s.
    """
    found: dict[str, Value] = {}
    for name, values in pulls.items():
        pull = np.asarray(values, dtype=np.float64)
        core = pull[np.abs(pull) <= OUTSIDE]
        if len(core) < 2:
            continue
        centred = core - core.mean()
        width = float(np.sqrt((centred**2).sum() / (len(core) - 1)))
        fourth = float((centred**4).mean())
        error = (max(fourth - width**4, 0.0) / len(core)) ** 0.5 / (2 * width) if width else 0.0
        found[f"pull width, {name}"] = Value(width, error)
        found[f"pulls beyond 5, {name}"] = efficiency_of(len(pull) - len(core), len(pull))
    return found


def pull_counts(pulls: Mapping[str, ArrayLike]) -> dict[str, list[int]]:
    """Return how many pulls (K,) are in 40 equal bins from -5 to 5, and first and last outside."""
    edges = np.r_[-np.inf, np.linspace(-OUTSIDE, OUTSIDE, 41), np.inf]
    return {name: np.histogram(values, edges)[0].tolist() for name, values in pulls.items()}
