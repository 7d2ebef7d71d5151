"""Unfolded events: nominal and replica weights of each, binned with covariance by anyone later.

After 2109.13243. They are written to HDF5 by `colliderkit.serve.unfolded_events`, their spectra to
HEPData by `colliderkit.serve.hepdata`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import bins_of, rising
from colliderkit.methods.method import versions

__all__ = ["BOOTSTRAP", "MEMBER", "SYSTEMATIC", "BinnedSpectrum", "UnfoldedEvents"]

Floats = NDArray[np.float64]
BOOTSTRAP, MEMBER, SYSTEMATIC = "bootstrap", "member", "systematic"


@dataclass(frozen=True)
class BinnedSpectrum:
    """Unfolded spectrum in K bins with each part of its covariance.

    `values` (K,) stand in the bins of `edges` (K + 1,); `covariances` are (K, K) by source:
    "bootstrap", "member", and each systematic by its name. `kind` is "events", or, divided by
    the total or the widths of the bins, "share", "events/width" or "share/width".
    """

    observable: str
    unit: str
    edges: Floats
    values: Floats
    covariances: dict[str, Floats]
    kind: str

    @property
    def covariance(self) -> Floats:
        """The sum of all parts (K, K)."""
        return np.asarray(sum(self.covariances.values(), np.zeros((len(self.values),) * 2)))

    @property
    def error(self) -> Floats:
        """The square root of the covariance's diagonal (K,)."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True)
class UnfoldedEvents:
    """Weighted particle-level events: the result of an unfolding.

    - `observables` (N, K) with `names` (K,) and `units` (K,);
    - `weights` (N,), nominal;
    - `replicas` (N, R) with `kinds` (R,): "bootstrap" (data and simulation resampled), "member"
      (a network of an ensemble, the mean of which is nominal) or "systematic:NAME" (under one
      variation; several of one name, such as up and down, share the name);
    - `seed`, `description`, `command`; `versions` and further `metadata` are JSON values.
    """

    observables: NDArray[Any]
    names: Sequence[str]
    weights: NDArray[Any]
    replicas: NDArray[Any] | None = None
    kinds: Sequence[str] = ()
    units: Sequence[str] = ()
    seed: int | None = None
    description: str = ""
    command: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    def __post_init__(self) -> None:
        n = len(self.weights)
        if self.weights.ndim != 1 or self.observables.ndim != 2 or len(self.observables) != n:
            raise InputError(
                f"weights have shape {self.weights.shape}, observables {self.observables.shape};"
                " give (events,) and (events, observables)."
            )
        if len(self.names) != self.observables.shape[1] or len(set(self.names)) != len(self.names):
            raise InputError(
                f"{self.observables.shape[1]} observables have the names {list(self.names)};"
                " give each one of its own."
            )
        if self.units and len(self.units) != len(self.names):
            raise InputError(f"{len(self.names)} observables have {len(self.units)} units.")
        shape = (n, 0) if self.replicas is None else self.replicas.shape
        if shape != (n, len(self.kinds)):
            raise InputError(
                f"replicas have shape {shape} with {len(self.kinds)} kinds; give (events, kinds)."
            )
        for kind in self.kinds:
            if kind not in (BOOTSTRAP, MEMBER) and not kind.startswith(f"{SYSTEMATIC}:"):
                raise InputError(
                    f"a replica is of kind '{kind}'; give bootstrap, member or systematic:NAME."
                )
        if not np.isfinite(self.weights).all():
            event = int(np.argmin(np.isfinite(self.weights)))
            raise InputError(f"the weight of event {event} is {self.weights[event]}.")

    def binned(
        self,
        observable: str,
        edges: ArrayLike,
        *,
        normalise: bool = False,
        density: bool = False,
    ) -> BinnedSpectrum:
        """Return the spectrum of one observable in the bins `edges` with its covariance.

        With `normalise` it is divided by its sum inside the bins, and so is each replica: the
        covariance then knows of it. `density` divides by the widths of the bins. The parts of the
        covariance, from the spectra s of the replicas of a kind and the nominal spectrum n:

        - bootstrap: the sample covariance of s;
        - member: that divided by their number, the error of the ensemble's mean;
        - a systematic: the mean of (s - n)(s - n)^T over its variations.
        """
        if observable not in self.names:
            raise InputError(f"no observable '{observable}'; there are {', '.join(self.names)}.")
        limits = rising(edges, "the edges of the bins")
        i = list(self.names).index(observable)
        x = np.asarray(self.observables[:, i], dtype=np.float64)
        bin_of, inside = bins_of(x, limits)
        size, rows = len(limits) - 1, np.flatnonzero(inside)
        bin_of = bin_of[rows]

        def spectrum(weights: NDArray[Any]) -> Floats:
            values = np.bincount(bin_of, weights[rows], size).astype(np.float64)
            if normalise and not values.sum() > 0:
                raise InputError(f"the weights in the bins of {observable} sum to nothing.")
            values = values / values.sum() if normalise else values
            return values / np.diff(limits) if density else values

        nominal = spectrum(self.weights)
        by_kind: dict[str, list[Floats]] = {}
        for r, kind in enumerate(self.kinds):
            assert self.replicas is not None
            by_kind.setdefault(kind, []).append(spectrum(self.replicas[:, r]))
        covariances = {
            kind.removeprefix(f"{SYSTEMATIC}:"): _covariance(kind, np.array(spectra), nominal)
            for kind, spectra in by_kind.items()
        }
        what = ("share" if normalise else "events") + ("/width" if density else "")
        unit = self.units[i] if self.units else ""
        return BinnedSpectrum(observable, unit, limits, nominal, covariances, what)

    def joint_covariance(self, edges: Mapping[str, ArrayLike]) -> Floats:
        """Return the covariance of all bins of several observables over the bootstraps, (K, K).

        `edges` are those of each, whose bins stand one after the other: unfolded together, their
        covariance is known between observables as well.
        """
        spectra = [
            np.concatenate(
                [
                    replace(self, weights=each, replicas=None, kinds=()).binned(*one).values
                    for one in edges.items()
                ]
            )
            for each in (
                self.replicas[:, r]
                for r, kind in enumerate(self.kinds)
                if self.replicas is not None and kind == BOOTSTRAP
            )
        ]
        if len(spectra) < 2:
            raise InputError("fewer than two bootstraps have no covariance; give two or more.")
        return np.asarray(np.cov(np.array(spectra).T))


def _covariance(kind: str, spectra: Floats, nominal: Floats) -> Floats:
    if kind.startswith(SYSTEMATIC):
        shift = spectra - nominal
        return np.asarray(shift.T @ shift / len(shift))
    if len(spectra) < 2:
        raise InputError(f"one replica of kind '{kind}' has no covariance; give two or more.")
    covariance = np.atleast_2d(np.cov(spectra.T))
    return covariance / len(spectra) if kind == MEMBER else covariance
