"""Topologies: which objects an event has, and how far in the tail of its own kind it lies.

Scores of different topologies cannot be compared: a busy event is reproduced badly because it is
busy. The tail probability in the event's own topology can, and a prior says how a rate is shared
out among topologies.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints

__all__ = ["RARE", "Groups", "Prior", "Tails", "Topologies"]

Prior = Literal["stream", "even"] | dict[str, float]
RARE = "rare topologies"
TAIL = 50  # events, whose mean excess is the slope of the tail beyond the last one


def adc_objects() -> dict[str, list[str]]:
    """Return the kinds of objects of the anomaly detection challenge 2021."""
    return {"leptons": ["e?_pt", "mu?_pt"], "jets": ["j?_pt", "j10_pt"]}


@dataclass(frozen=True)
class Groups:
    """Topologies that are told apart: `names` (T,), and the group `of` each topology."""

    names: list[str]
    of: Ints


@dataclass(frozen=True)
class Topologies:
    """Label events by how many objects of each kind they have.

    An object is there where its column is above `above`. The number of a kind falls into classes
    that begin at 0 and at each of the kind's `edges`: [1, 2] are none, one, and two or more. The
    label is no truth: a lost lepton changes it.

    - `objects`: {kind: patterns of the names of its columns, one column an object}; of a feature
      that is an expression, ``log(1 + e1_pt)``, each name in it is looked at;
    - `edges`: {kind: rising counts}; `above`: what an absent object does not exceed;
    - `smallest`: events of the training that make a topology; rarer ones are taken together.
    """

    objects: dict[str, list[str]] = field(default_factory=adc_objects)
    edges: dict[str, list[int]] = field(default_factory=lambda: {"leptons": [1, 2], "jets": [2, 4]})
    above: float = 0.0
    smallest: int = 500

    def labels(self, table: NDArray[np.floating], columns: Sequence[str]) -> Ints:
        """Return the topology of each event of a table (N, C) with these columns, (N,).

        It is the place of its name in `names`. Raises `InputError` for a kind without columns or
        without edges.
        """
        label = np.zeros(len(table), dtype=np.int64)
        for places, edges in self.counted(columns):
            number = (table[:, places] > self.above).sum(1)
            label = label * (len(edges) + 1) + np.searchsorted(edges, number, side="right")
        return label

    def counted(self, columns: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """Return the places of the columns of each kind, and its edges."""
        if not self.objects or set(self.objects) != set(self.edges):
            raise InputError(
                f"topologies have objects {', '.join(self.objects) or 'of no kind'} and edges of"
                f" {', '.join(self.edges) or 'no kind'}; give both for the same kinds."
            )
        words = [[name, *re.findall(r"[\w.]+", name)] for name in columns]
        found = []
        for kind, patterns in self.objects.items():
            edges = self.edges[kind]
            if not edges or edges[0] < 1 or (np.diff(edges) < 1).any():
                raise InputError(
                    f"topologies.edges of {kind} are {list(edges)}; give rising counts from 1 on."
                )
            places = [
                place
                for place, names in enumerate(words)
                if any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
            ]
            if not places:
                raise InputError(
                    f"topologies.objects: no column is one of the {kind} ({', '.join(patterns)});"
                    f" the columns are {', '.join(columns[:6])}{', ...' * (len(columns) > 6)}."
                )
            found.append((places, list(edges)))
        return found

    @property
    def names(self) -> list[str]:
        """The names of all topologies, such as "1 lepton, 2-3 jets"."""
        names = [""]
        for kind in self.objects:
            ends = [0, *self.edges[kind]]
            classes = [
                f"{low} {kind.removesuffix('s') if low == 1 else kind}"
                if high == low + 1
                else f"{low}-{high - 1} {kind}"
                for low, high in zip(ends, ends[1:], strict=False)
            ]
            classes.append(f"{ends[-1]}+ {kind}")
            names = [f"{name}, {one}" if name else one for name in names for one in classes]
        return names

    def grouped(self, labels: Ints) -> Groups:
        """Return the groups that enough events are of.

        A group is a topology of at least `smallest` of the events `labels` (N,), or all rarer ones
        together, to which the next ones are added until they are as many. What no event was of
        belongs to these too, or, where there are none, to the smallest topology. Raises
        `InputError` for fewer events than make one topology.
        """
        names = self.names
        if len(labels) < self.smallest:
            raise InputError(
                f"{len(labels)} events are trained on, and a topology takes topologies.smallest ="
                f" {self.smallest}; give more, or lower it."
            )
        counts = np.bincount(labels, minlength=len(names))
        order = np.argsort(counts, kind="stable")
        reached = np.cumsum(counts[order])
        small = counts[order] < self.smallest
        rare = 0 if reached[small].sum() == 0 else int(small.sum())
        while 0 < rare < len(order) and reached[rare - 1] < self.smallest:
            rare += 1
        # Topologies without any event alone make no group.
        first = max(rare, int((counts == 0).sum()))
        large = sorted(order[first:])
        group = np.zeros(len(names), dtype=np.int64)
        group[large] = np.arange(len(large))
        group[order[:first]] = len(large) if rare else group[order[first]]
        return Groups([names[i] for i in large] + [RARE] * bool(rare), group)


@dataclass(frozen=True)
class Tails:
    """Know the tail of the score in each topology, from held-out events of the stream.

    With k(s) the number of held-out events of topology t at or above the score s (between two of
    them on a straight line, beyond the highest an exponential), of n_t there and n in all,

        p_t(s) = k / (n_t + 1),        q(s) = k / ((n + 1) pi_t) = p_t f_t / pi_t,

    where f_t is the share of t in the stream and pi_t its prior. Of a new event p_t <= i / (n_t +
    1) with just this probability, whatever the score. A cut q < r keeps pi_t r of the stream in
    each topology, r in all: with the prior pi_t = f_t ("stream") the same tail of each, and with
    equal pi_t ("even") the same rate of each. For a signal that has topology t with probability
    pi_t and p-values that are even in ln p, q orders events as the likelihood ratio does.

    - `scores`, `above`: for each group rising scores, and the k at each;
    - `slopes` (T,): in units of the score, of -1 / ln k beyond the highest; infinite where it is
      not known;
    - `total`: n + 1; `prior` (T,), 1 in all.
    """

    scores: list[Floats]
    above: list[Floats]
    slopes: Floats
    total: float
    prior: Floats

    @classmethod
    def measured(
        cls,
        score: Floats,
        of: Ints,
        weight: Floats,
        *,
        names: Sequence[str],
        prior: Prior = "stream",
    ) -> "Tails":
        """Return the tails of scores (N,) of the groups `names`, `of` (N,), with weights (N,).

        Raises `InputError` for a prior of topologies that are not among `names`, or of none.
        """
        scores, above, slopes = [], [], np.zeros(len(names))
        # Weights in units in which one more event has weight one.
        unit = weight * weight.sum() / (weight**2).sum()
        for i in range(len(names)):
            mine = (of == i) & (weight > 0)
            order = np.argsort(score[mine], kind="stable")
            rising, part = score[mine][order], unit[mine][order]
            at, first = np.unique(rising, return_index=True)
            reached = np.cumsum(part[::-1])[::-1]
            scores.append(at)
            above.append(reached[first])
            top = rising[-TAIL - 1 :]
            slopes[i] = (top[1:] - top[0]).mean() if len(top) > 1 and top[-1] > top[0] else np.inf
        shares = np.array([k[0] if len(k) else 0.0 for k in above])
        return cls(scores, above, slopes, float(unit.sum() + 1), prior_of(prior, names, shares))

    @property
    def shares(self) -> Floats:
        """The share of the stream in each group, k / (n + 1) of all its events."""
        counts = np.array([k[0] if len(k) else 0.0 for k in self.above])
        shares: Floats = counts / self.total
        return shares

    def counts(self, score: Floats, of: Ints) -> Floats:
        """Return k (N,) of scores (N,) in groups (N,)."""
        k = np.ones(len(score))
        for i, (at, above) in enumerate(zip(self.scores, self.above, strict=True)):
            mine = of == i
            if not mine.any() or not len(at):
                continue
            inside = np.interp(score[mine], at, above, left=above[0] + 1)
            k[mine] = inside * np.exp(-np.maximum(score[mine] - at[-1], 0) / self.slopes[i])
        return k

    def tail(self, score: Floats, of: Ints) -> Floats:
        """Return the tail probability p_t (N,) of each event in its own group."""
        room = np.array([k[0] if len(k) else 0.0 for k in self.above]) + 1
        tail: Floats = self.counts(score, of) / room[of]
        return tail

    def combined(self, score: Floats, of: Ints) -> Floats:
        """Return ln q (N,): the tail probability with the prior; infinite where that is none."""
        with np.errstate(divide="ignore"):
            log_q: Floats = np.log(self.counts(score, of)) - np.log(self.total * self.prior[of])
        return log_q

    def cut(self, share: float) -> float:
        """Return the u for which ``q < u`` keeps `share` of the stream.

        It is `share` itself, unless the prior gives a topology more than the topology has: then
        the others have the rest, in the ratio of their priors. Raises `InputError` where those
        that have a prior do not hold as much.
        """
        shares, left, weight = self.shares, share, float(self.prior.sum())
        has = np.flatnonzero(self.prior > 0)
        for i in has[np.argsort(shares[has] / self.prior[has])]:
            cut = left / weight
            if cut * self.prior[i] <= shares[i]:
                return cut
            left, weight = left - float(shares[i]), weight - float(self.prior[i])
        raise InputError(
            f"the topologies that have a prior hold {shares[has].sum():.2g} of the stream, and"
            f" {share:.2g} of it is to be kept; give more of them a prior, or lower the target."
        )

    def thresholds(self, cut: float) -> Floats:
        """Return the score (T,) in each group above which q is below `cut`."""
        found = np.full(len(self.scores), np.inf)
        for i, (at, above) in enumerate(zip(self.scores, self.above, strict=True)):
            k = cut * self.total * self.prior[i]
            if not len(at) or k == 0:
                found[i] = -np.inf if k > 1 else np.inf
            elif k > above[0]:
                found[i] = -np.inf if k > above[0] + 1 else np.nextafter(at[0], -np.inf)
            elif k < above[-1]:
                found[i] = at[-1] + self.slopes[i] * np.log(above[-1] / k)
            else:
                found[i] = np.interp(k, above[::-1], at[::-1])
        return found


def prior_of(prior: Prior, names: Sequence[str], shares: Floats) -> Floats:
    """Return the prior of each group, 1 in all.

    Raises `InputError` for one of topologies that are not among `names`, or of none.
    """
    if prior == "stream":
        return shares / shares.sum()
    if prior == "even":
        return np.full(len(names), 1 / len(names))
    if not isinstance(prior, dict):
        raise InputError(
            f"prior is '{prior}'; choose stream, even, or a number for each topology by name."
        )
    unknown = [name for name in prior if name not in names]
    if unknown:
        raise InputError(
            f"prior: '{unknown[0]}' is no topology of this stream; those that are: "
            f"{'; '.join(names)}."
        )
    given = np.array([prior.get(name, 0.0) for name in names])
    if not given.sum() > 0:
        raise InputError("prior: no topology has one above 0; give one to those that may be kept.")
    whole: Floats = given / given.sum()
    return whole
