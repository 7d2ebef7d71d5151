"""Templates: histograms of a summary, their likelihood with profiled nuisance parameters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.losses.inference import fisher_information, profiled_error
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.metrics.intervals import profile_path
from colliderkit.metrics.value import Value

__all__ = ["Templates", "expected_error", "fill"]

Floats = NDArray[np.float64]
Summary = Callable[[Floats], ArrayLike]
TINY = 1e-9


@dataclass(frozen=True)
class Templates:
    """Expected counts in K bins of background and signal, and their variations.

    - `counts` (2, K): background, signal; `variance` (2, K): of the simulation, sum of w^2;
    - `down`, `up` (R, 2, K): the same counts with one nuisance parameter a step off.

    Expected are n(s, theta) = b(theta) + s / s_0 S(theta), s_0 the sum of the signal's counts. The
    change of b and S with a nuisance parameter is a parabola through the three points within a
    step and straight beyond; changes by several are added.
    """

    counts: Floats
    down: Floats
    up: Floats
    variance: Floats
    nuisances: Sequence[Nuisance] = ()

    @property
    def nominal_signal(self) -> float:
        """The expected signal events s_0."""
        return float(self.counts[1].sum())

    @property
    def nominal(self) -> Floats:
        """The nuisance parameters' nominal values (R,)."""
        return np.array([nuisance.nominal for nuisance in self.nuisances])

    def processes(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return background and signal (2, K) at theta (R,), and derivatives (R, 2, K)."""
        if not self.nuisances:
            return self.counts, np.zeros((0, *self.counts.shape))
        step = np.array([nuisance.size for nuisance in self.nuisances])
        t = ((theta - self.nominal) / step)[:, None, None]
        straight = (self.up - self.down) / 2
        bent = (self.up + self.down) / 2 - self.counts
        inside = np.clip(t, -1, 1)
        slope = straight + 2 * bent * inside
        change = straight * inside + bent * inside**2 + slope * (t - inside)
        return self.counts + change.sum(0), slope / step[:, None, None]

    def expected(self, signal: float, theta: ArrayLike | None = None) -> Floats:
        """Return n(s, theta), (K,), of `signal` events and nuisance parameters (R,)."""
        both = self.processes(self.nominal if theta is None else np.asarray(theta))[0]
        total: Floats = both[0] + signal / self.nominal_signal * both[1]
        return np.maximum(total, TINY)

    def expected_error(self, floating: Sequence[str] | None = None) -> float:
        """Return the expected sigma(s) with the nuisance parameters `floating` (None: all).

        It is that of the Fisher information of the counts at their expectation; the others are
        known exactly.
        """
        names = [nuisance.name for nuisance in self.nuisances]
        profiled = names if floating is None else list(floating)
        if missing := set(profiled) - set(names):
            raise InputError(f"nuisance '{missing.pop()}' is unknown; there are {names}.")
        rows = [names.index(name) for name in profiled]
        slopes = self._slopes(self.nominal_signal, self.nominal)[[0, *(1 + i for i in rows)]]
        widths = [None, *(self.nuisances[i].width for i in rows)]
        information = fisher_information(
            torch.from_numpy(self.expected(self.nominal_signal)), torch.from_numpy(slopes), widths
        )
        return float(profiled_error(information))

    def log_likelihood(
        self, signal: float, theta: ArrayLike | None = None, observed: Floats | None = None
    ) -> float:
        """Return sum_k n_k^obs ln n_k - n_k less the constraints' (theta - nominal)^2 / 2 width^2.

        Without `observed` (K,) the data are the expectation itself (Asimov).
        """
        data = self.expected(self.nominal_signal) if observed is None else observed
        at = self.nominal if theta is None else np.asarray(theta)
        expected = self.expected(signal, at)
        return float((data * np.log(expected) - expected).sum() - self._penalty(at)[0])

    def profile(
        self, scan: ArrayLike, observed: Floats | None = None, floating: bool = True
    ) -> Floats:
        """Return the log-likelihood at each signal of `scan` (T,), its maximum over the others.

        Without `floating` the nuisance parameters stay nominal.
        """
        values = np.asarray(scan, dtype=np.float64)
        if not floating or not self.nuisances:
            return np.array([self.log_likelihood(s, None, observed) for s in values])
        data = self.expected(self.nominal_signal) if observed is None else observed
        step = np.array([nuisance.size for nuisance in self.nuisances])

        def minus(u: Floats, s: float) -> tuple[float, Floats]:
            theta = self.nominal + step * u
            expected = self.expected(s, theta)
            penalty, pull = self._penalty(theta)
            slope = self._slopes(s, theta)[1:] @ (1 - data / expected) + pull
            return float((expected - data * np.log(expected)).sum() + penalty), slope * step

        return profile_path(minus, values, np.zeros(len(step)), begin=self.nominal_signal)[0]

    def _slopes(self, signal: float, theta: Floats) -> Floats:
        """Return dn/ds and dn/dtheta, (1 + R, K)."""
        both, slopes = self.processes(theta)
        share = signal / self.nominal_signal
        of_signal = both[1] / self.nominal_signal
        return np.concatenate([of_signal[None], slopes[:, 0] + share * slopes[:, 1]])

    def _penalty(self, theta: Floats) -> tuple[float, Floats]:
        """Return the constraints' part of -ln L and its derivatives (R,)."""
        inverse = np.array([0.0 if n.width is None else n.width**-2 for n in self.nuisances])
        away = theta - self.nominal
        return float(0.5 * (inverse * away**2).sum()), inverse * away


def expected_error(
    templates: Callable[..., Templates],
    x: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    weight: Floats,
    *,
    floating: Sequence[str] | None = None,
    parts: int = 5,
) -> Value:
    """Return the expected sigma(s) of ``templates(x, label, weight)`` with its counting error.

    The error is the scatter over `parts` of the simulated events, over the root of their number.
    """
    pieces = [
        templates(x[i::parts], label[i::parts], parts * weight[i::parts]).expected_error(floating)
        for i in range(parts)
    ]
    counting = float(np.std(pieces, ddof=1) / np.sqrt(parts))
    return Value(templates(x, label, weight).expected_error(floating), counting)


def fill(
    summary: Summary,
    x: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    weight: Floats,
    edges: ArrayLike,
    nuisances: Sequence[Nuisance] = (),
) -> Templates:
    """Fill the histograms of a summary ``(N, C) -> (N,)`` of events, and their variations.

    `x` (N, C), `label` (N,) 1 for signal and 0 for background; the weights of a process sum to
    its expected yield. `edges` (K + 1,) are those of the bins; what lies outside counts in the
    first or last. The same events are used for nominal and varied histograms, so that most of
    their fluctuations cancel in the differences.
    """
    if not len(x) == len(label) == len(weight):
        raise InputError(
            f"{len(x)} events, {len(label)} labels and {len(weight)} weights; give as many of each."
        )
    bounds = np.asarray(edges, dtype=np.float64)
    events = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))
    kind = torch.from_numpy(np.asarray(label, dtype=np.int64))
    weights = torch.from_numpy(np.asarray(weight, dtype=np.float64))

    def histogram(values: Floats, weight: Floats) -> Floats:
        bins = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(bounds) - 2)
        flat = bins + (len(bounds) - 1) * kind.numpy()
        size = 2 * (len(bounds) - 1)
        filled: Floats = np.bincount(flat, weight, size).reshape(2, -1).astype(np.float64)
        return filled

    nominal = np.asarray(summary(events.numpy()), dtype=np.float64)
    if not np.isfinite(nominal).all():
        bad = int(np.flatnonzero(~np.isfinite(nominal))[0])
        raise InputError(f"the summary of event {bad} is {nominal[bad]}; check its columns.")
    counts = histogram(nominal, weights.numpy())
    if not (counts.sum(1) > 0).all():
        raise InputError("signal or background has no events or weights that sum to zero.")
    sides: dict[int, list[Floats]] = {-1: [], 1: []}
    for nuisance in nuisances:
        for side, histograms in sides.items():
            moved, scaled = nuisance.apply(
                events, weights, kind, nuisance.nominal + side * nuisance.size
            )
            same = torch.equal(moved, events)
            values = nominal if same else np.asarray(summary(moved.numpy()), dtype=np.float64)
            histograms.append(histogram(values, scaled.numpy()))
    down, up = (
        np.stack(varied) if varied else np.zeros((0, *counts.shape)) for varied in sides.values()
    )
    return Templates(counts, down, up, histogram(nominal, weights.numpy() ** 2), tuple(nuisances))
