"""What an unfolding leaves behind: weighted events in one file, to be binned by anyone later.

After 2109.13243. One HDF5 file holds, for each of N particle-level events,

- `weights` (N,): the nominal weights;
- `replicas` (N, R): as many other weights, each with its kind in the attribute `kinds`;
- `observables` (N, K), with their names in the attribute `names`;

and in the attributes of the file what made it. It is read without ColliderKit:

    with h5py.File("unfolded.h5") as file:
        weights, column = file["weights"][:], list(file["observables"].attrs["names"]).index("mass")
        counts, edges = np.histogram(file["observables"][:, column], 20, weights=weights)
"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, atomic_folder, existing_file
from colliderkit.methods.method import versions
from colliderkit.methods.unfolding.response import bins_of, rising

__all__ = ["BOOTSTRAP", "MEMBER", "SYSTEMATIC", "BinnedSpectrum", "UnfoldedEvents"]

Floats = NDArray[np.float64]
FORMAT = "colliderkit unfolded events, 1"
BOOTSTRAP, MEMBER, SYSTEMATIC = "bootstrap", "member", "systematic"
ROWS = 1 << 16  # events in a chunk of the file
DIGITS = 10  # in YAML: enough for a covariance that is to be inverted

DESCRIPTIONS = {
    "weights": "nominal weight of each particle-level event; a histogram of the events with these"
    " weights is the unfolded spectrum",
    "replicas": "the same, had the unfolding been repeated: column i as kinds[i] says. bootstrap:"
    " data and simulation resampled; member: one network of an ensemble whose mean is nominal;"
    " systematic:NAME: under that variation",
    "observables": "particle-level observables, column i is names[i] in units[i]",
}


@dataclass(frozen=True)
class BinnedSpectrum:
    """Hold an unfolded spectrum in K bins with each part of its covariance.

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

    def to_hepdata(self, folder: str | Path, *, description: str = "", force: bool = False) -> Path:
        """Write a HEPData submission to `folder`: YAML, checked against its schema, and tarball.

        One table holds the spectrum with an uncertainty for each source, another the covariance
        (K^2 rows) in total and by source. Needs the extra `hepdata`.
        """
        try:
            from hepdata_lib import (  # type: ignore[import-untyped]
                Submission,
                Table,
                Uncertainty,
                Variable,
            )
        except ImportError as error:
            raise InputError(
                "hepdata-lib is not installed; pip install 'colliderkit[hepdata]'."
            ) from error
        if not np.isfinite(self.edges).all():
            raise InputError("HEPData has no infinite bins; give finite edges.")
        bins = [(float(a), float(b)) for a, b in zip(self.edges, self.edges[1:], strict=False)]
        spectrum = Table(f"{self.observable} spectrum")
        spectrum.description = description or f"Unfolded spectrum of {self.observable}."
        x = Variable(self.observable, is_independent=True, is_binned=True, units=self.unit)
        x.values = bins
        y = Variable(self.kind, is_independent=False, is_binned=False)
        y.digits = DIGITS
        y.values = self.values.tolist()
        for source, part in self.covariances.items():
            uncertainty = Uncertainty(source, is_symmetric=True)
            uncertainty.values = np.sqrt(np.diag(part)).tolist()
            y.add_uncertainty(uncertainty)
        spectrum.add_variable(x)
        spectrum.add_variable(y)
        covariance = Table(f"{self.observable} covariance")
        covariance.description = f"Covariance of the spectrum of {self.observable} between bins."
        size = len(bins)
        for axis, places in (
            ("first", np.repeat(np.arange(size), size)),
            ("second", np.tile(np.arange(size), size)),
        ):
            name = f"{self.observable}, {axis} bin"
            variable = Variable(name, is_independent=True, is_binned=True, units=self.unit)
            variable.values = [bins[i] for i in places]
            covariance.add_variable(variable)
        for source, part in {"total": self.covariance, **self.covariances}.items():
            variable = Variable(f"covariance, {source}", is_independent=False, is_binned=False)
            variable.digits = DIGITS
            variable.values = part.ravel().tolist()
            covariance.add_variable(variable)
        submission = Submission()
        submission.comment = description or f"Unfolded spectrum of {self.observable}."
        submission.add_table(spectrum)
        submission.add_table(covariance)
        # hepdata-lib leaves its tarball in the working folder: so it stands with the rest.
        with atomic_folder(folder, force) as part_folder, chdir(part_folder):
            submission.create_files(".", validate=True)
        return Path(folder)


@dataclass(frozen=True)
class UnfoldedEvents:
    """Hold weighted particle-level events: the result of an unfolding.

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
        place, inside = bins_of(x, limits)
        size, chosen = len(limits) - 1, np.flatnonzero(inside)
        place = place[chosen]

        def spectrum(weights: NDArray[Any]) -> Floats:
            values = np.bincount(place, weights[chosen], size).astype(np.float64)
            if normalise and not values.sum() > 0:
                raise InputError(f"the weights in the bins of {observable} sum to nothing.")
            values = values / values.sum() if normalise else values
            return values / np.diff(limits) if density else values

        nominal = spectrum(self.weights)
        again: dict[str, list[Floats]] = {}
        for r, kind in enumerate(self.kinds):
            assert self.replicas is not None
            again.setdefault(kind, []).append(spectrum(self.replicas[:, r]))
        covariances = {
            kind.removeprefix(f"{SYSTEMATIC}:"): _covariance(kind, np.array(spectra), nominal)
            for kind, spectra in again.items()
        }
        what = ("share" if normalise else "events") + ("/width" if density else "")
        unit = self.units[i] if self.units else ""
        return BinnedSpectrum(observable, unit, limits, nominal, covariances, what)

    def write(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the events to one HDF5 file, whole or not at all.

        Values keep their type; columns are compressed in chunks of 65,536 events, so that one
        replica or observable is read alone.
        """
        replicas = np.empty((len(self.weights), 0), np.float32)
        tables = {
            "weights": self.weights,
            "replicas": replicas if self.replicas is None else self.replicas,
            "observables": self.observables,
        }
        with atomic_file(path, force) as part, h5py.File(part, "w") as file:
            for name, values in tables.items():
                rows = max(1, min(ROWS, len(values)))
                stored: dict[str, Any] = {"data": values}
                if values.size:
                    chunks = (rows,) if values.ndim == 1 else (rows, 1)
                    stored |= {"chunks": chunks, "compression": "gzip", "shuffle": True}
                dataset = file.create_dataset(name, **stored)
                dataset.attrs["description"] = DESCRIPTIONS[name]
            text = h5py.string_dtype()
            units = self.units or [""] * len(self.names)
            file["replicas"].attrs["kinds"] = np.array(list(self.kinds), dtype=text)
            file["observables"].attrs["names"] = np.array(list(self.names), dtype=text)
            file["observables"].attrs["units"] = np.array(list(units), dtype=text)
            file.attrs["format"] = FORMAT
            file.attrs["description"] = self.description
            file.attrs["command"] = self.command or shlex.join(sys.argv)
            file.attrs["versions"] = json.dumps(dict(self.versions))
            file.attrs["metadata"] = json.dumps(dict(self.metadata))
            if self.seed is not None:
                file.attrs["seed"] = self.seed
        return Path(path)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file of `write`; raise `InputError` where it is none."""
        path = existing_file(path)
        try:
            with h5py.File(path) as file:
                if file.attrs.get("format") != FORMAT:
                    raise InputError(
                        f"{path}: is not a file of unfolded events of this version (format"
                        f" {file.attrs.get('format')!r}); give one written by an unfolding."
                    )
                columns, replicas = file["observables"], file["replicas"]
                return cls(
                    observables=columns[()],
                    names=tuple(columns.attrs["names"]),
                    weights=file["weights"][()],
                    replicas=replicas[()] if replicas.shape[1] else None,
                    kinds=tuple(replicas.attrs["kinds"]),
                    units=tuple(columns.attrs["units"]),
                    seed=int(file.attrs["seed"]) if "seed" in file.attrs else None,
                    description=file.attrs["description"],
                    command=file.attrs["command"],
                    metadata=json.loads(file.attrs["metadata"]),
                    versions=json.loads(file.attrs["versions"]),
                )
        except InputError:
            raise
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: not a readable HDF5 file of unfolded events.") from error


def _covariance(kind: str, spectra: Floats, nominal: Floats) -> Floats:
    if kind.startswith(SYSTEMATIC):
        shift = spectra - nominal
        return np.asarray(shift.T @ shift / len(shift))
    if len(spectra) < 2:
        raise InputError(f"one replica of kind '{kind}' has no covariance; give two or more.")
    covariance = np.atleast_2d(np.cov(spectra.T))
    return covariance / len(spectra) if kind == MEMBER else covariance
