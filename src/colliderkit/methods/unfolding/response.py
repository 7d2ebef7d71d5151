"""Response matrix of a detector in bins, with efficiency, fakes and Poisson replicas."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import bins_of, rising
from colliderkit.events.tables import as_weight
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.seeds import derive

__all__ = ["Response", "over", "real_share"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """Response matrix of a simulated detector: sums of weights and of their squares.

    `counts` (T, R) are the events seen and true, `missed` (T,) those true and not seen, `fakes`
    (R,) those seen and not true; `..._squares` are the sums of squared weights of each.
    """

    truth_edges: Floats
    reco_edges: Floats
    counts: Floats
    counts_squares: Floats
    missed: Floats
    missed_squares: Floats
    fakes: Floats
    fakes_squares: Floats

    @classmethod
    def of(cls, sample: UnfoldingSample, truth_edges: ArrayLike, reco_edges: ArrayLike) -> Self:
        """Count the simulation of a sample; raise `InputError` where it cannot be unfolded."""
        return cls.counted(
            sample.reco,
            sample.truth,
            truth_edges,
            reco_edges,
            pass_reco=sample.pass_reco,
            pass_truth=sample.pass_truth,
            weight=sample.weight,
        )

    @classmethod
    def counted(
        cls,
        reco: ArrayLike,
        truth: ArrayLike,
        truth_edges: ArrayLike,
        reco_edges: ArrayLike,
        *,
        pass_reco: NDArray[np.bool_] | bool = True,
        pass_truth: NDArray[np.bool_] | bool = True,
        weight: ArrayLike | None = None,
    ) -> Self:
        """Count a simulation of one observable, `reco` and `truth` (N,) or (N, 1).

        Raises `InputError` where it cannot be unfolded. What does not pass may be anything.
        """
        true_edges, seen_edges = (
            rising(truth_edges, "truth_edges"),
            rising(reco_edges, "reco_edges"),
        )
        true, seen = (np.asarray(values, dtype=np.float64) for values in (truth, reco))
        columns = [1 if values.ndim == 1 else values.shape[1] for values in (true, seen)]
        if columns != [1, 1]:
            raise InputError(
                f"{columns[0]} true and {columns[1]} measured observables are given; unfold one at"
                " a time in bins, or all at once by OmniFold."
            )
        weights = as_weight(weight, len(true), "simulation")
        t, is_true = bins_of(true.ravel(), true_edges)
        r, is_seen = bins_of(seen.ravel(), seen_edges)
        is_true &= pass_truth
        is_seen &= pass_reco
        both, missed, fakes = is_true & is_seen, is_true & ~is_seen, is_seen & ~is_true
        size_t, size_r = len(true_edges) - 1, len(seen_edges) - 1
        sums = []
        for w in (weights, weights**2):
            cells = np.bincount(t[both] * size_r + r[both], w[both], size_t * size_r)
            sums.append(cells.reshape(size_t, size_r))
            sums.append(np.bincount(t[missed], w[missed], size_t))
            sums.append(np.bincount(r[fakes], w[fakes], size_r))
        ordered = (sums[i].astype(np.float64) for i in (0, 3, 1, 4, 2, 5))
        return cls(true_edges, seen_edges, *ordered).checked()

    def checked(self) -> Self:
        """Return self; raise `InputError` naming the bins that have no response."""
        # Cells fluctuate below zero under negative weights; what they add up to must not.
        seen = self.counts.sum(0)
        for values, edges, what in (
            (self.counts.sum(1), self.truth_edges, "the events that are seen of truth"),
            (self.truth, self.truth_edges, "the events of truth"),
            (seen, self.reco_edges, "the true events in detector"),
            (seen + self.fakes, self.reco_edges, "the events in detector"),
        ):
            if (values < 0).any():
                raise InputError(
                    f"the weights of {what} bins {named(edges, values < 0)} sum to less than"
                    " zero; merge bins or simulate more."
                )
        if (empty := self.truth <= 0).any():
            raise InputError(
                f"the response matrix has empty rows: no simulated event is true in bins"
                f" {named(self.truth_edges, empty)}; merge or drop them, or simulate more."
            )
        if (blind := self.efficiency <= 0).any():
            raise InputError(
                f"the efficiency is zero in truth bins {named(self.truth_edges, blind)}: no event"
                " there is seen, and data say nothing of it; merge or drop them."
            )
        return self

    @property
    def truth(self) -> Floats:
        """The simulated spectrum (T,)."""
        return self.counts.sum(1) + self.missed

    @property
    def matrix(self) -> Floats:
        """P[t, r] (T, R)."""
        return over(self.counts, self.truth[:, None])

    @property
    def efficiency(self) -> Floats:
        """p(seen | true in t) (T,)."""
        return over(self.counts.sum(1), self.truth)

    @property
    def real(self) -> Floats:
        """The share of events seen in r that are no fakes (R,); 1 where nothing is seen."""
        return real_share(self.counts, self.fakes)

    def measured(self, contents: ArrayLike) -> Floats:
        """Return measured contents (R,), checked: there are none where nothing is simulated."""
        data = np.asarray(contents, dtype=np.float64)
        if data.shape != self.fakes.shape:
            raise InputError(
                f"the data have {data.size} bins, the response {self.fakes.size} at detector"
                " level; give equal ones."
            )
        reached = self.counts.sum(0) + self.fakes > 0
        if (lost := ~reached & (data != 0)).any():
            raise InputError(
                f"there are data in detector bins {named(self.reco_edges, lost)} but no simulated"
                " event; merge bins or simulate more."
            )
        return data

    def count(self, sample: UnfoldingSample) -> tuple[Floats, Floats]:
        """Return the measured contents of the detector bins (R,) and their variances (R,)."""
        bin_of, inside = bins_of(sample.data[:, 0], self.reco_edges)
        size, w = len(self.reco_edges) - 1, sample.data_weight[inside]
        contents, variance = (np.bincount(bin_of[inside], v, size) for v in (w, w**2))
        return contents.astype(np.float64), variance.astype(np.float64)

    def replicas(self, count: int, seed: int) -> tuple[Floats, Floats, Floats]:
        """Draw counts (B, T, R), missed (B, T) and fakes (B, R) of simulations like this one.

        A sum of weights S with squares S2 becomes (S2 / S) Poisson(S^2 / S2), which has its mean
        and variance, of either sign; one that cancels to less than a tenth of its error is
        normal, for its unit would be larger than ten errors.
        """
        random = np.random.default_rng(derive(seed, "response"))

        def draw(sums: Floats, squares: Floats) -> Floats:
            cancelled = np.abs(sums) < 0.1 * np.sqrt(squares)
            unit = over(squares, np.where(cancelled, 0.0, sums))
            drawn = random.poisson(over(sums, unit), (count, *sums.shape)) * unit
            if not cancelled.any():
                return drawn
            normal = sums + np.sqrt(squares) * random.normal(size=drawn.shape)
            return np.where(cancelled, normal, drawn)

        return (
            draw(self.counts, self.counts_squares),
            draw(self.missed, self.missed_squares),
            draw(self.fakes, self.fakes_squares),
        )


def over(a: Floats, b: Floats) -> Floats:
    """Return a / b, and 0 where b is 0."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    return np.divide(a, b, out=np.zeros(shape), where=np.broadcast_to(b != 0, shape))


def real_share(counts: Floats, fakes: Floats) -> Floats:
    """Return the share of no fakes in each detector bin (..., R), 1 where nothing is seen."""
    seen = counts.sum(-2)
    return np.where(seen + fakes > 0, over(seen, seen + fakes), 1.0)


def named(edges: Floats, bad: NDArray[np.bool_]) -> str:
    """List the bins that are `bad`, no more than five."""
    bins = [f"[{edges[i]:g}, {edges[i + 1]:g})" for i in np.flatnonzero(bad)]
    return ", ".join(bins[:5]) + (f" and {len(bins) - 5} more" if len(bins) > 5 else "")
