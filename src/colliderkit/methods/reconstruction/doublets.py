"""Doublets and triplets of hits that may lie on one helix, in windows learned from true tracks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.hits import NOISE, TrackerHits
from colliderkit.events.tables import Floats, Ints

__all__ = ["Doublets", "LayerMap", "Triplets", "learn_map", "make_doublets", "make_triplets"]

PIECE = 1 << 20  # pairs that are looked at together
COVERED = 0.998  # of the true doublets: the pairs of layers that the map keeps
KEPT, MARGIN = 0.999, 1.3  # of what is true, inside a window, and how much wider it is made
WIDEST = 3.0  # radian: a step turns by less than half a circle
BENDS = 6  # bins of curvature in which the windows of triplets are learned
FARTHEST = 60.0  # standard deviations that a window may have
SHORT = 5.0  # mm of a step whose direction says little
LENGTHS = (SHORT, 25.0)  # mm of outer steps, between the kinds that are looked for apart
DENSEST = 80_000_000  # pairs of hits near in azimuth, of which some third are doublets
FEWEST = 20  # true triplets that a window is learned from


@dataclass(frozen=True)
class LayerMap:
    """Say where a track may go from each layer, as true tracks of a training went.

    - `inner`, `outer` (M,) int64: pairs of surfaces (`TrackerHits.surface`), of one another or of
      one; `turn` (M,): the largest step in azimuth between them, in radian;
    - `curvature`: the largest 1/R in 1/mm; `vertex` (2,): where along the beam tracks begin, in mm;
    - `bends` (B,): curvatures at which `across` and `along` (B,) hold, the widths in mm of the
      residuals of triplets (one standard deviation), `factor` (M, 2): how much wider they are where
      the outer step is of that pair of layers (strips), and `widest` (2,): the windows in units of
      the product.
    """

    inner: Ints
    outer: Ints
    turn: Floats
    curvature: float
    vertex: Floats
    bends: Floats
    across: Floats
    along: Floats
    factor: Floats
    widest: Floats


@dataclass(frozen=True)
class Doublets:
    """Steps from an `inner` to an `outer` hit (E,) int64, each a helix through the beam.

    With azimuths phi, radii r and d the distance across the beam of the two hits,

        1/R = 2 sin(phi_b - phi_a) / d,  s(r) = 2R arcsin(r / 2R),
        cot = (z_b - z_a) / (s_b - s_a),  z0 = z_a - cot s_a,  phi0 = phi_a - arcsin(r_a / 2R):

    `curvature` in 1/mm, signed, `cot`, `z0` in mm, `phi0` in radian, `length` s_b - s_a and
    `radius` r_b in mm. `pair` (E,) int64 is the pair of layers, a row of the map.
    """

    inner: Ints
    outer: Ints
    pair: Ints
    curvature: Floats
    cot: Floats
    z0: Floats
    phi0: Floats
    length: Floats
    radius: Floats

    def __len__(self) -> int:
        return len(self.inner)

    def at(self, rows: NDArray[np.bool_] | Ints) -> "Doublets":
        """Return some of the doublets."""
        return Doublets(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Triplets:
    """Pairs of doublets that meet in a hit: `before` and `after` (T,) int64, and their residuals.

    `across` and `along` are how far the middle hit is from the helix of the outer two, in units of
    what true triplets of that curvature have: about normal for those.
    """

    before: Ints
    after: Ints
    across: Floats
    along: Floats

    def __len__(self) -> int:
        return len(self.before)


def learn_map(hits: TrackerHits, *, pt: float) -> LayerMap:
    """Learn the steps of true tracks from layer to layer, of primary particles above `pt` GeV.

    Raises `InputError` where no particle has three hits, and for hits of one layer alone, which is
    what files without layers look like.
    """
    particle, made = hits.truth("fit"), hits.particles
    rows = hits.particle_rows() if made is not None else np.where(particle != NOISE, 0, -1)
    good = rows >= 0
    if made is not None:
        good &= (made.primary & (made.pt > pt))[np.maximum(rows, 0)] if len(made.id) else False
    if len(np.unique(hits.surface)) < 2 and len(hits.x):
        raise InputError(
            f"all hits are on layer {hits.layer[0]} of volume {hits.volume[0]}: where a track goes"
            " cannot be learned; give hits with volume and layer."
        )
    first, second = consecutive(hits, good)
    if len(first) < FEWEST:
        raise InputError(
            f"the events have {len(first)} steps of true tracks above {pt:g} GeV from hit to hit;"
            f" give events with {FEWEST} or more."
        )
    pairs = np.stack([hits.surface[first], hits.surface[second]], axis=1)
    found, which, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    order = np.argsort(-counts, kind="stable")
    many = int(np.searchsorted(np.cumsum(counts[order]), COVERED * len(first))) + 1
    kept = np.sort(order[:many])
    phi = np.arctan2(hits.y, hits.x)
    turn = np.abs(turned(phi[second] - phi[first]))
    turns = np.array([np.quantile(turn[which == k], KEPT) for k in kept])
    inside = np.isin(which, kept)
    true = helices(hits, first, second, np.minimum(np.searchsorted(kept, which), len(kept) - 1))
    # Of steps between modules that overlap the curvature says little.
    long = true.length > np.quantile(true.length, 0.2)
    curvature = float(np.quantile(np.abs(true.curvature[long]), KEPT)) * MARGIN
    low, high = np.quantile(true.z0[long], [1 - KEPT, KEPT])
    middle, half = (low + high) / 2, (high - low) / 2 * MARGIN
    rough = LayerMap(
        *(found[kept, 0], found[kept, 1], np.minimum(turns * MARGIN + 1e-3, WIDEST), curvature),
        np.array([middle - half, middle + half]),
        *(np.zeros(1), np.ones(1), np.ones(1), np.ones((len(kept), 2)), np.full(2, np.inf)),
    )
    pieces = make_triplets(true.at(inside), rough, len(hits.x))
    if len(pieces) < FEWEST:
        raise InputError(
            f"the events have {len(pieces)} triplets of hits of true tracks above {pt:g} GeV; give"
            f" events with {FEWEST} or more, of particles with three hits."
        )
    return units(rough, true.at(inside), pieces)


def units(known: LayerMap, made: Doublets, triplets: Triplets) -> LayerMap:
    """Return a map with its units of residuals, from those of true triplets in mm."""
    pairs = len(known.inner)
    before, after = triplets.before, triplets.after
    bend = np.abs(made.curvature[before] + made.curvature[after]) / 2
    edges = np.quantile(bend, np.linspace(0, 1, min(BENDS, len(bend) // FEWEST) + 1))
    bins = np.clip(np.searchsorted(edges, bend, "right") - 1, 0, len(edges) - 2)
    bends = np.array([np.median(bend[bins == k]) for k in range(len(edges) - 1)])
    factor, of = np.ones((pairs, 2)), made.pair[after]
    enough = np.flatnonzero(np.bincount(of, minlength=pairs) >= FEWEST)
    widths, widest = [], []
    for i, residual in enumerate((triplets.across, triplets.along)):
        widths.append(np.array([spread(residual[bins == k]) for k in range(len(bends))]))
        scaled = residual / np.interp(bend, bends, widths[i])
        factor[enough, i] = [spread(scaled[of == k]) for k in enough]
        widest.append(np.quantile(np.abs(scaled) / factor[of, i], KEPT) * MARGIN)
    return replace(
        known,
        bends=bends,
        across=widths[0],
        along=widths[1],
        factor=factor,
        widest=np.minimum(widest, FARTHEST),
    )


def consecutive(hits: TrackerHits, good: NDArray[np.bool_] | None = None) -> tuple[Ints, Ints]:
    """Return the hits before and after (n,) each step of a true track, in order of the radius."""
    particle = hits.truth("fit")
    made = particle != NOISE
    rows = np.flatnonzero(made if good is None else made & good)
    order = rows[np.lexsort((hits.r[rows], particle[rows], hits.event[rows]))]
    same = np.diff(particle[order]) == 0
    same &= np.diff(hits.event[order]) == 0
    return order[:-1][same], order[1:][same]


def helices(hits: TrackerHits, inner: Ints, outer: Ints, pair: Ints) -> Doublets:
    """Return the helices through the beam of pairs of hits (E,), on the pairs of layers `pair`."""
    xa, ya, za, xb, yb, zb = (
        column[rows] for rows in (inner, outer) for column in (hits.x, hits.y, hits.z)
    )
    ra, rb = np.hypot(xa, ya), np.hypot(xb, yb)
    distance = np.maximum(np.hypot(xb - xa, yb - ya), 1e-6)
    sine = (xa * yb - ya * xb) / np.maximum(ra * rb, 1e-12)
    curvature = 2 * sine / distance
    sa, turned = arcs(ra, curvature)
    sb, _ = arcs(rb, curvature)
    length = np.maximum(np.abs(sb - sa), 0.1)
    cot = (zb - za) / length
    phi0 = np.arctan2(ya, xa) - turned
    return Doublets(inner, outer, pair, curvature, cot, za - cot * sa, phi0, length, rb)


def arcs(r: Floats, curvature: Floats) -> tuple[Floats, Floats]:
    """Return the length of the arc from the beam to a radius, and the turn in azimuth there."""
    turn = np.arcsin(np.clip(curvature * r / 2, -1.0, 1.0))
    straight = np.abs(curvature) < 1e-9
    length = np.where(straight, r, 2 * turn / np.where(straight, 1.0, curvature))
    return length, turn


def make_doublets(hits: TrackerHits, known: LayerMap) -> Doublets:
    """Return the doublets in the windows of a map.

    Hits are looked for among those of the layers that the map names, sorted by azimuth: time and
    memory grow as the number of doublets, in an event as the square of its hits.

    Raises `InputError` for an event so dense that they would not fit into some 4 GB.
    """
    nothing = helices(hits, *(np.zeros(0, dtype=np.int64) for _ in range(3)))
    parts = {name: [column] for name, column in vars(nothing).items()}
    for inner, outer, pair in candidates(hits, known):
        made = helices(hits, inner, outer, pair)
        good = np.abs(made.curvature) < known.curvature
        good |= made.length < SHORT  # overlaps of modules: two hits at one place
        good &= ((made.z0 > known.vertex[0]) & (made.z0 < known.vertex[1])) | (made.length < SHORT)
        for name, column in vars(made).items():
            parts[name].append(column[good])
    # Column by column, the pieces dropped: a dense event has some twenty million doublets.
    return Doublets(**{name: np.concatenate(parts.pop(name)) for name in list(parts)})


def candidates(hits: TrackerHits, known: LayerMap) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield inner and outer hits near in azimuth, and their pairs of layers.

    Those of one inner hit come together.
    """
    surfaces = np.unique(np.concatenate([known.inner, known.outer]))
    place = np.searchsorted(surfaces, hits.surface)
    place = np.minimum(place, len(surfaces) - 1)
    on_map = np.flatnonzero(surfaces[place] == hits.surface)
    if not len(on_map):
        return
    phi, r = np.arctan2(hits.y, hits.x), hits.r
    event = hits.event
    # One sorted axis for all events and layers; hits near +-pi are there twice.
    width = 16.0
    group = (event[on_map] * len(surfaces) + place[on_map]) * width
    reach = float(min(known.turn.max(), np.pi))
    around = [(on_map, phi[on_map])]
    for sign in (-1, 1):
        near = sign * phi[on_map] > np.pi - reach
        around.append((on_map[near], phi[on_map[near]] - sign * 2 * np.pi))
    groups = np.concatenate([group, *(group[s * phi[on_map] > np.pi - reach] for s in (-1, 1))])
    rows = np.concatenate([rows for rows, _ in around])
    axis = groups + np.concatenate([angle for _, angle in around])
    order = np.argsort(axis, kind="stable")
    axis, rows = axis[order], rows[order]
    # The pairs of layers that begin on each surface.
    begin = np.searchsorted(surfaces, known.inner)
    target = np.searchsorted(surfaces, known.outer)
    by = np.argsort(begin, kind="stable")
    many = np.bincount(begin, minlength=len(surfaces))
    starts = np.cumsum(many) - many
    each = many[place[on_map]]
    hit = np.repeat(on_map, each)
    step = by[np.repeat(starts[place[on_map]], each) + ranks(each)]
    centre = (event[hit] * len(surfaces) + target[step]) * width + phi[hit]
    low = np.searchsorted(axis, centre - known.turn[step], "left")
    high = np.searchsorted(axis, centre + known.turn[step], "right")
    sizes = high - low
    if sizes.sum() > DENSEST:
        most = int(np.diff(hits.offsets).max())
        raise InputError(
            f"an event of {most} hits has {sizes.sum():.2g} pairs of them within the windows, and"
            f" {DENSEST:.2g} fit into memory; find tracks in fewer volumes, or fit with a larger"
            " pt, which makes the windows smaller."
        )
    for part in cut(sizes, hit):
        inner = np.repeat(hit[part], sizes[part])
        outer = rows[np.repeat(low[part], sizes[part]) + ranks(sizes[part])]
        # Of two at the same radius the one that is first in the file.
        outward = (r[outer] > r[inner]) | ((r[outer] == r[inner]) & (outer > inner))
        yield inner[outward], outer[outward], np.repeat(step[part], sizes[part])[outward]


def make_triplets(made: Doublets, known: LayerMap, hits: int) -> Triplets:
    """Return triplets within the windows; their residuals are in units of the map's widths.

    The middle hit is away from the helix of the others by, with l and l' the lengths of the two,

        across = r_b (1/R' - 1/R) / 2 * l l' / (l + l'),
        along = (cot' - cot) / sqrt(1 + cot^2) * l l' / (l + l').
    """
    parts: dict[str, list[NDArray[Any]]] = {
        name: [np.zeros(0, dtype=np.float64 if name in ("across", "along") else np.int64)]
        for name in Triplets.__dataclass_fields__
    }
    for before, after in meetings(made, known, hits):
        one, other = made.length[before], made.length[after]
        lever = one * other / (one + other)
        bend = np.abs(made.curvature[before] * one + made.curvature[after] * other) / (one + other)
        # Of the longer step, which knows the slope better.
        cot = np.where(one > other, made.cot[before], made.cot[after])
        across = made.radius[before] * (made.curvature[after] - made.curvature[before]) / 2 * lever
        along = (made.cot[after] - made.cot[before]) / np.sqrt(1 + cot**2) * lever
        factor = known.factor[made.pair[after]]
        across = across / (np.interp(bend, known.bends, known.across) * factor[:, 0])
        along = along / (np.interp(bend, known.bends, known.along) * factor[:, 1])
        good = (np.abs(across) < known.widest[0]) & (np.abs(along) < known.widest[1])
        found = {"before": before, "after": after, "across": across, "along": along}
        for name, column in found.items():
            parts[name].append(column[good])
    return Triplets(**{name: np.concatenate(parts.pop(name)) for name in list(parts)})


def meetings(made: Doublets, known: LayerMap, hits: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield pairs of doublets that meet in a hit and whose slopes may be within the windows.

    Of the doublets of a hit those are looked at whose slope is near, among them sorted by slope.
    With w = window / lever a triplet has |cot' - cot| < w sqrt(1 + cot^2) of the longer step, which
    is below w sqrt(1 + cot^2) / (1 - w) of the inner one: nothing inside the windows is lost.
    """
    if not len(made):
        return
    inside = known.widest[1] * known.along.max() * known.factor[:, 1].max()
    # Those that arrive are asked for in the order of those that leave, which is fast.
    goes_on = np.zeros(hits, dtype=bool)
    goes_on[made.inner] = True
    arriving = np.flatnonzero(goes_on[made.outer])
    arriving = arriving[np.lexsort((made.cot[arriving], made.outer[arriving]))]
    slope, middle = made.cot[arriving], made.outer[arriving]
    length, root = made.length[arriving], np.sqrt(1 + slope**2)
    width = 4 * (float(np.abs(made.cot).max()) + 1)
    begin = 0.0
    # The longer the outer step the narrower the window: three kinds, each with its least length.
    for end in (*LENGTHS, np.inf):
        some = np.flatnonzero((made.length >= begin) & (made.length < end))
        key = made.inner[some] * width + made.cot[some]
        order = np.argsort(key, kind="stable")
        key, some = key[order], some[order]
        least = np.maximum(begin, 0.1)
        share = inside * (length + least) / (length * least)
        with np.errstate(divide="ignore"):
            reach = np.where(share < 1, share * root / np.maximum(1 - share, 1e-12), width / 4)
        # A little wider, for what the sum with the hit has rounded.
        reach = np.minimum(reach + 1e-15 * width * (hits + 1), width / 4)
        low = np.searchsorted(key, middle * width + slope - reach, "left")
        high = np.searchsorted(key, middle * width + slope + reach, "right")
        sizes = high - low
        for part in cut(sizes, np.arange(len(sizes))):
            before = np.repeat(arriving[part], sizes[part])
            yield before, some[np.repeat(low[part], sizes[part]) + ranks(sizes[part])]
        begin = end


def ranks(sizes: Ints) -> Ints:
    """Return 0, 1, ..., n - 1 for each n of `sizes`, one after another."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - sizes, sizes)


def cut(sizes: Ints, together: Ints) -> Iterator[slice]:
    """Yield slices of rows with `sizes` of some `PIECE` in all; equal `together` stay together."""
    total = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        done = total[begin - 1] if begin else 0
        end = max(int(np.searchsorted(total, done + PIECE, "right")), begin + 1)
        while end < len(sizes) and together[end] == together[end - 1]:
            end += 1
        yield slice(begin, end)
        begin = end


def spread(values: Floats) -> float:
    """Return the half width of the central 68%, which a few wrong ones do not move."""
    low, high = np.quantile(values, [0.16, 0.84])
    return float(max((high - low) / 2, 1e-4))
