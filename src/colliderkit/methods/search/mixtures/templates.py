"""Templates of two classes from mixed samples: efficiencies in data, and scale factors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from colliderkit.errors import InputError
from colliderkit.events.tables import as_column, as_weight
from colliderkit.methods.method import Method
from colliderkit.methods.search.mixtures.mixed_samples import check_fractions
from colliderkit.metrics.value import Value, binomial_variance

__all__ = ["Demixed", "MixtureEfficiencies", "demixed"]

Floats = NDArray[np.float64]

TINY = 1e-9  # of the largest variance of a quantity: no sample weighs more for a smaller one
ITERATIONS = 3  # of the weights, which depend on what they give


@dataclass(frozen=True)
class Demixed:
    """Hold what each class contributes to B quantities: `values` (2, B), background and signal.

    `covariance` (B, 2, 2) has both errors, of counting and of the fractions; `counting` (2, B) is
    the standard deviation of counting alone. `chi2` (B,) of A samples has A - 2 degrees of freedom.
    """

    values: Floats
    covariance: Floats
    counting: Floats
    chi2: Floats


def demixed(
    observed: ArrayLike,
    variance: ArrayLike,
    fractions: ArrayLike,
    errors: ArrayLike | None = None,
) -> Demixed:
    """Solve o_a = f_a S + (1 - f_a) B for S and B in each of B quantities of A mixed samples.

    `observed` (A, B) are shares of the sample's events: efficiencies, or bins of a normalised
    histogram; `variance` (A, B) that of counting; `fractions` (A,) of signal, and their standard
    deviations `errors` (A,), independent of each other. Least squares, the error of a fraction
    entering as |S - B| times it: of two samples that is the exact solution.
    """
    o, counting = np.asarray(observed, np.float64), np.asarray(variance, np.float64)
    f = np.asarray(fractions, np.float64)
    spread = np.zeros(len(f)) if errors is None else np.asarray(errors, np.float64)
    design = np.column_stack([1 - f, f])
    both = np.linalg.lstsq(design, o, rcond=None)[0]
    for _ in range(ITERATIONS):
        of_fractions = (spread[:, None] * (both[1] - both[0])) ** 2
        total = counting + of_fractions
        # What has no error at all (an empty bin) is given one, so that the weights stay finite.
        largest = total.max(0)
        weight = 1 / np.maximum(total, np.where(largest > 0, TINY * largest, 1.0)).T
        hessian = np.einsum("ai,ba,aj->bij", design, weight, design)
        gain = np.linalg.solve(hessian, np.einsum("ai,ba->bia", design, weight))
        both = np.einsum("bia,ab->ib", gain, o)
    residual = o - design @ both
    return Demixed(
        np.asarray(both, np.float64),
        np.einsum("bia,ab,bja->bij", gain, total, gain),
        np.sqrt(np.einsum("bia,ab->ib", gain**2, counting)),
        (residual**2 * weight.T).sum(0),
    )


class MixtureEfficiencies(Method):
    """Measure the efficiencies of working points for both classes in mixed samples of data.

    With f_a the share of signal in sample a, an event passing where its score is at least the cut,

        e_a = f_a eps_S + (1 - f_a) eps_B

    for two samples or more; two have two unknowns, and more are fitted by least squares, whose
    chi2 tests that the classes are the same in all samples. Nothing here depends on how the score
    was made: a tagger that guesses is calibrated as exactly as the best one.

    With labelled simulation the ratio of the efficiencies is the scale factor, and `correction`
    weights simulated events so that they have those of the data.

    Args:
        fractions: of signal, by the name of the sample: two or more, not all equal.
        errors: the standard deviations of these, by the name of the sample; 0 where not named.
        cuts: on the score, rising.

    After `fit`: `efficiency_` (W, 2) of background and signal at each cut, `covariance_` (W, 2, 2),
    `counting_` (W, 2), the part of the errors that is of counting, `chi2_` (W,) and, of more than
    two samples, its p-value `p_value_` (W,), else 1; with simulation `simulated_` (W, 2), and
    `scale_factor_` and `scale_error_` (W, 2), else empty.
    """

    name: ClassVar[str] = "mixture-efficiencies"

    efficiency_: Floats
    covariance_: Floats
    counting_: Floats
    chi2_: Floats
    p_value_: Floats
    passing_: Floats
    passing_error_: Floats
    simulated_: Floats
    scale_factor_: Floats
    scale_error_: Floats

    def __init__(
        self,
        *,
        fractions: Mapping[str, float],
        errors: Mapping[str, float] | None = None,
        cuts: Sequence[float] = (0.5,),
    ) -> None:
        self.fractions = fractions
        self.errors = errors
        self.cuts = cuts

    def fit(
        self,
        score: ArrayLike,
        sample: ArrayLike,
        *,
        simulation: tuple[ArrayLike, ArrayLike]
        | tuple[ArrayLike, ArrayLike, ArrayLike]
        | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Measure the efficiencies of events with a `score` (N,), of the `sample` (N,) by number.

        `sample` counts in the order of `fractions`. `simulation` is the score and the class, 0 or
        1, of simulated events, and their weights if they have any.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        self._check()
        values = as_column(score, np.size(score), "score")
        number = _whole(sample, len(values), list(self.fractions))
        w = as_weight(weight, len(values))
        passing, variance = self._passing(values, number, w, list(self.fractions))
        self.passing_, self.passing_error_ = passing.T, np.sqrt(variance.T)
        errors = [(self.errors or {}).get(name, 0.0) for name in self.fractions]
        found = demixed(passing, variance, list(self.fractions.values()), errors)
        self.efficiency_, self.counting_ = found.values.T, found.counting.T
        self.covariance_, self.chi2_ = found.covariance, found.chi2
        freedom = len(self.fractions) - 2
        self.p_value_ = chdtrc(freedom, found.chi2) if freedom else np.ones(len(self.cuts))
        self._compare(simulation)
        return self

    def efficiency(self, cut: int = 0) -> tuple[Value, Value]:
        """Return the efficiencies of background and signal at the working point number `cut`."""
        error = np.sqrt(np.diagonal(self.covariance_[cut]))
        background, signal = map(Value, self.efficiency_[cut].tolist(), error.tolist())
        return background, signal

    def scale_factor(self, cut: int = 0) -> tuple[Value, Value]:
        """Return data over simulation, of background and signal, at the point number `cut`."""
        if len(self.scale_factor_) == 0:
            raise InputError("scale factors need simulation; fit with labelled simulated events.")
        pairs = zip(self.scale_factor_[cut].tolist(), self.scale_error_[cut].tolist(), strict=True)
        background, signal = (Value(*pair) for pair in pairs)
        return background, signal

    def correction(self, score: ArrayLike, label: ArrayLike) -> Floats:
        """Return weights (N,) that give simulated events of class `label` data's efficiencies.

        Between two neighbouring cuts it is the share of the class there in data over that in
        simulation; where data have a negative one, by a fluctuation, 0.
        """
        if len(self.scale_factor_) == 0:
            raise InputError("a correction needs simulation; fit with labelled simulated events.")
        values = as_column(score, np.size(score), "score")
        classes = _whole(label, len(values), ["background", "signal"])
        data, simulated = (
            -np.diff(np.vstack([np.ones(2), e, np.zeros(2)]), axis=0)
            for e in (self.efficiency_, self.simulated_)
        )
        ratio = np.maximum(data, 0) / np.where(simulated > 0, simulated, np.inf)
        weights: Floats = ratio[np.searchsorted(self.cuts, values, side="right"), classes]
        return weights

    def _check(self) -> None:
        check_fractions(self.fractions)
        for name in self.errors or {}:
            if name not in self.fractions:
                raise InputError(
                    f"errors names the sample '{name}'; there are {', '.join(self.fractions)}."
                )
        if not len(self.cuts) or (np.diff(self.cuts) <= 0).any():
            raise InputError(f"cuts are {list(self.cuts)}; give one or more, rising.")

    def _passing(
        self, score: Floats, number: NDArray[np.int64], weight: Floats, names: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Return the share of each sample that passes each cut, and its variance, (A, W)."""
        shares, variances = [], []
        for k, name in enumerate(names):
            own, w = score[number == k], weight[number == k]
            if not w.sum() > 0:
                raise InputError(f"the sample '{name}' has no events; check its selection.")
            passes = own[:, None] >= np.asarray(self.cuts)
            share = w @ passes / w.sum()
            total = (w**2).sum() / w.sum() ** 2
            # Where all or none pass, half an event less: no efficiency is known exactly.
            near = np.clip(share, 0.5 * total, 1 - 0.5 * total)
            squares = w**2 @ passes / w.sum() ** 2
            squares = np.where(share == near, squares, near * total)
            shares.append(share)
            variances.append(binomial_variance(near, squares, total))
        return np.array(shares), np.array(variances)

    def _compare(self, simulation: Sequence[ArrayLike] | None) -> None:
        """Set what is known of simulation."""
        self.simulated_ = self.scale_factor_ = self.scale_error_ = np.empty((0, 2))
        if simulation is None:
            return
        score = as_column(simulation[0], np.size(simulation[0]), "the score of the simulation")
        classes = ["background", "signal"]
        label = _whole(simulation[1], len(score), classes)
        weight = as_weight(simulation[2] if len(simulation) > 2 else None, len(score), "simulation")
        passing, variance = self._passing(score, label, weight, classes)
        self.simulated_ = passing.T
        if (passing <= 0).any():
            cut = np.asarray(self.cuts)[(passing <= 0).any(0)][0]
            raise InputError(
                f"no simulated event of a class passes the cut {cut:g}, so that nothing can be"
                " scaled; lower the cut or simulate more."
            )
        self.scale_factor_ = self.efficiency_ / self.simulated_
        error = np.sqrt(np.diagonal(self.covariance_, axis1=1, axis2=2))
        relative = np.sqrt(variance.T) / self.simulated_
        self.scale_error_ = np.hypot(error / self.simulated_, self.scale_factor_ * relative)


def _whole(numbers: ArrayLike, count: int, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the numbers (N,) of samples or classes, or raise `InputError`."""
    column = as_column(numbers, count, "the number of the sample or class")
    if not np.isin(column, range(len(names))).all():
        found = ", ".join(f"{value:g}" for value in np.unique(column)[:5])
        raise InputError(
            f"samples or classes are numbered {found}; {', '.join(names)} are 0 to"
            f" {len(names) - 1}."
        )
    return column.astype(np.int64)
