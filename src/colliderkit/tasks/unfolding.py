"""The task of an unfolding: fit, page and export, without bins (OmniFold, a flow) or in them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events import observables
from colliderkit.methods.method import DESCRIPTION, Method, load
from colliderkit.methods.unfolding.binned import BinnedUnfolding
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.result import BinnedSpectrum, UnfoldedEvents
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.uncertainty import Replicas, replicate
from colliderkit.methods.unfolding.unfolding import Unfolding
from colliderkit.metrics.closure import effective_size
from colliderkit.metrics.value import number
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.report.unfolding import add_spectrum
from colliderkit.serve.hepdata import write_hepdata
from colliderkit.serve.unfolded_events import read_unfolded, write_unfolded
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.formats import open_table, paths_of
from colliderkit.sources.files.pairs import read_pairs
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.reading import OfSamples, Reading, of_sample
from colliderkit.tasks.task import Inputs, Task

__all__ = ["UnfoldingTask"]

Floats = NDArray[np.float64]
Files = list[str] | str
Texts = list[str] | str | None
Edges = dict[str, list[float]]
SAMPLES = ("data", "simulation", "background")
RESULT = "unfolded.h5"
# Of jets the six observables of 1911.09107 are kept beside the weights.
OBSERVABLES = "unfolding"
UNITS = {"mass": "GeV"}


@dataclass
class Unfolded:
    """What is unfolded, the true observables that are published, and the replicas once made."""

    sample: UnfoldingSample
    table: NDArray[Any]
    names: list[str]
    replicas: Replicas | None = None

    def events(self, method: Unfolding, **about: Any) -> UnfoldedEvents:
        """Return the true events with the weights of a fitted method, to be binned."""
        about |= {"units": [UNITS.get(name, "") for name in self.names], "seed": method.seed_}
        if self.replicas is not None:
            return self.replicas.unfolded_events(self.sample, self.table, self.names, **about)
        true = self.sample.pass_truth
        push = (
            method.weights(self.sample.truth[true])
            if isinstance(method, BinnedUnfolding)
            else method.weights()[true]
        )
        return UnfoldedEvents(self.table, self.names, self.sample.weight[true] * push, **about)


class UnfoldingTask(Task):
    """Unfold measured events with a simulation of the detector."""

    methods = ("omnifold", "generative-unfolding", "iterative-bayes", "matrix-inversion")

    def read(
        self,
        method: Unfolding,
        reading: Reading,
        *,
        data: Files,
        simulation: Files,
        reco: Texts = None,
        truth: Texts = None,
        pass_reco: str | None = None,
        pass_truth: str | None = None,
        background: Files | None = None,
        weight: OfSamples = None,
        event: OfSamples = None,
        members: int = 1,
        bootstraps: int = 0,
        workers: int = 1,
    ) -> Inputs:
        r"""Unfold measured events with a simulation: its truth with weights, or a spectrum in bins.

        Args:
            data: ROOT, HDF5 or Parquet files of what was measured.
            simulation: files with an event at both levels in each row. Without `reco` and `truth`
                they are paired jets, as generate --paired writes them, and all particles are taken.
            reco: observables of the detector, by name or expression, in data and simulation.
            truth: observables of the particles, in the simulation.
            pass_reco: an expression of what the detector sees, all if not given. It also selects
                the data and the background where they have its columns.
            pass_truth: an expression of what is to be unfolded, all if not given.
            background: files of events to be subtracted; their weights sum to how many are
                expected.
            weight: an expression for simulation and background, or one a sample: ``{data: w}``.
            event: an expression for data and simulation of the number by which events are split,
                or one a sample; rows if not given.
            members: of OmniFold, unfoldings with other initial networks, whose mean is the result.
            bootstraps: of OmniFold, unfoldings of data and simulation drawn again, for the
                uncertainty.
            workers: processes side by side.

        Examples:
            colliderkit fit unfolding --data data.root --simulation mc.root --reco reco_m \
              --truth true_m --out unfolded
            colliderkit fit unfolding --method iterative-bayes --data data.root \
              --simulation mc.root --reco reco_m --truth true_m --truth_edges [0,10,20,40] \
              --reco_edges [0,5,10,15,20,30,40] --out ibu
        """
        if bootstraps == 1:
            raise InputError("bootstraps is 1, which has no spread; give 0, or 2 and more.")
        if not isinstance(method, OmniFold):
            for name, number, none in (("members", members, 1), ("bootstraps", bootstraps, 0)):
                if number != none:
                    raise InputError(
                        f"{name} is {number}, and {method.name} has no replicas; leave it out or"
                        " take omnifold."
                    )
        levels = split_expressions(reco), split_expressions(truth)
        if bool(levels[0]) != bool(levels[1]):
            raise InputError(
                "reco and truth are one without the other; give both, or neither for all particles"
                " of jets."
            )
        passes = pass_reco, pass_truth
        if levels[0]:
            unfolded = _tables(reading, data, simulation, background, levels, passes, weight, event)
        else:
            given = {"pass_reco": pass_reco, "pass_truth": pass_truth}
            for name, value in (given | {"weight": weight, "event": event}).items():
                if value is not None:
                    raise InputError(
                        f"{name} is {value}, and paired jets hold their own passes, weights and"
                        " numbers; leave it out, or name observables by reco and truth."
                    )
            unfolded = _particles(reading, data, simulation, background)
        arguments = {"members": members, "bootstraps": bootstraps, "workers": workers}
        return Inputs(method, arguments, unfolded)

    def fit(self, inputs: Inputs, *, seed: int, folder: Path, resume: bool) -> Method:
        """Unfold, by OmniFold with all replicas."""
        method, unfolded = inputs.method, inputs.beside
        if isinstance(method, OmniFold):
            unfolded.replicas = replicate(
                method, unfolded.sample, seed=seed, folder=folder, resume=resume, **inputs.arguments
            )
            fitted: Method = unfolded.replicas.method
            return fitted
        assert isinstance(method, Unfolding)
        return method.fit_sample(unfolded.sample, seed=seed)

    def keep(self, method: Method, inputs: Inputs, folder: Path) -> None:
        """Write the unfolded events, to be binned by anyone."""
        assert isinstance(method, Unfolding)
        parameters = json.loads((folder / DESCRIPTION).read_text())["parameters"]
        events = inputs.beside.events(
            method,
            description=_title(method),
            command=f"colliderkit fit unfolding --config {runs.CONFIGURATION}",
            metadata={
                "method": parameters,
                "measured": float(inputs.beside.sample.data_weight.sum()),
            },
        )
        write_unfolded(events, folder / RESULT)

    def page(self, model: Path, *, edges: Edges | None = None, bins: int = 20) -> Report:
        """Draw the unfolded spectra with their covariances.

        Args:
            edges: of the bins of an observable: ``{mass: [0, 10, 20, 40]}``; the others get `bins`
                of equal width between their 0.5% and 99.5% quantiles. A method that unfolds in
                bins has its own.
            bins: about how many.

        Examples:
            colliderkit report unfolded
            colliderkit report unfolded --edges '{true_m: [0, 10, 20, 40, 80]}'
        """
        method: Unfolding = load(model)
        events = read_unfolded(model / RESULT)
        note = {
            "configuration": (model / runs.CONFIGURATION).read_text(),
            "command": events.command,
            "seeds": [method.seed_],
        }
        limits = edges or {}
        for name in limits:
            if name not in events.names:
                raise InputError(f"edges names '{name}'; there are {', '.join(events.names)}.")
        if isinstance(method, BinnedUnfolding):
            binned = _of_bins(method, events, limits)
            page = runs.page(f"Unfolded {binned.observable}", f"By {_title(method)}.", model, note)
            total = method.response_.truth.sum(), method.spectrum_.sum()
            rows: list[list[Any]] = [["events expected in the bins", *map(float, total)]]
            add_spectrum(page, binned, method.response_.truth, "", _submission(binned))
            page.add_table(["", "simulation", "unfolded"], rows, "Events in all bins together.")
            return page
        push = method.weights()[method.weights() > 0]
        if len(push) != len(events.weights):
            raise InputError(f"{model}: method and {RESULT} are of different runs; fit again.")
        before = replace(events, weights=events.weights / push, replicas=None, kinds=())
        kinds = {kind: events.kinds.count(kind) for kind in dict.fromkeys(events.kinds)}
        counted = ", ".join(f"{count} of kind {kind}" for kind, count in kinds.items())
        page = runs.page(
            f"Unfolded {', '.join(events.names)}",
            f"By {_title(method)}: weights of {number(len(push))} simulated events.",
            model,
            note,
        )
        page.facts.append(f"replicas: {counted or 'none, hence no uncertainties'}")
        for i, name in enumerate(events.names):
            x = np.asarray(events.observables[:, i], dtype=np.float64)
            borders = np.asarray(limits.get(name, _edges(x, events.weights, bins)))
            binned = events.binned(name, borders)
            outside = 1 - binned.values.sum() / events.weights.sum()
            add_spectrum(
                page,
                binned,
                before.binned(name, borders).values,
                f" {outside:.1%} of the events lie outside of the bins.",
                _submission(binned),
            )
        weights = before.weights, events.weights
        page.add_heading("Weights")
        page.add_table(
            ["", "simulation", "unfolded"],
            [
                ["events expected", *(float(w.sum()) for w in weights)],
                ["effective sample size", *(round(effective_size(w)) for w in weights)],
                ["largest weight / mean", *(float(w.max() / w.mean()) for w in weights)],
            ],
            "Of all events: a small effective size says that few of them carry the answer.",
        )
        return page

    def export(
        self,
        method: Unfolding,
        model: Path,
        *,
        out: Path,
        edges: Edges | None = None,
        force: bool = False,
    ) -> str:
        """Write an unfolded spectrum with its covariance as a submission to HEPData (YAML).

        Args:
            edges: of the bins of one observable: ``{mass: [0, 10, 20, 40]}``. A method that unfolds
                in bins has its own.

        Examples:
            colliderkit export unfolded --out submission
        """
        events = read_unfolded(model / RESULT)
        limits = edges or {}
        if isinstance(method, BinnedUnfolding):
            binned = _of_bins(method, events, limits)
        elif len(limits) != 1:
            raise InputError(
                f"edges are of {len(limits)} observables; a submission is of one:"
                f" {{{events.names[0]}: [0, 1, 2]}}."
            )
        else:
            binned = events.binned(*next(iter(limits.items())))
        write_hepdata(binned, out, description=events.description, force=force)
        return f"{binned.observable} in {len(binned.values)} bins, against HEPData's schema"

    def summary(self, method: Method) -> str:
        """Name the method and how far it went."""
        assert isinstance(method, Unfolding)
        return f"unfolded by {_title(method)}"


def _title(method: Unfolding) -> str:
    """Name a method with its paper and how far it went."""
    if isinstance(method, BinnedUnfolding):
        iterations = getattr(method, "iterations", None)
        after = "" if iterations is None else f" after {iterations} iterations"
        return f"{method.name} in {len(method.spectrum_)} bins{after}"
    names = {"omnifold": "OmniFold (1911.09107)", "generative-unfolding": "a flow (2212.08674)"}
    return f"{names[method.name]} after {len(method.pushes_) - 1} iterations"


def _of_bins(method: BinnedUnfolding, events: UnfoldedEvents, edges: Edges) -> BinnedSpectrum:
    """Return the spectrum of a method that has bins; refuse others."""
    if edges:
        raise InputError(f"edges are those of the fit, of {method.name}; leave them out.")
    return method.spectrum(events.names[0], events.units[0])


def _submission(binned: BinnedSpectrum) -> dict[str, Callable[[Path], Any]]:
    """Return what writes HEPData's YAML of a spectrum with its covariance beside its figure."""
    closed = bool(np.isfinite(binned.edges).all())
    if not binned.covariances or not closed or find_spec("hepdata_lib") is None:
        return {}
    return {"HEPData": partial(write_hepdata, binned)}


def _tables(
    reading: Reading,
    data: Files,
    simulation: Files,
    background: Files | None,
    levels: tuple[list[str], list[str]],
    passes: tuple[str | None, str | None],
    weight: OfSamples,
    event: OfSamples,
) -> Unfolded:
    """Read observables of both levels, and the truth (N, T) with its names."""
    if reading.columns is not None:
        raise InputError("columns is given, and reco and truth name observables; leave it out.")
    reco, truth = levels
    weights = {name: of_sample(weight, "weight", name, SAMPLES) for name in SAMPLES}
    if not isinstance(weight, dict):
        weights["data"] = None
    numbers = {name: of_sample(event, "event", name, SAMPLES[:2]) for name in SAMPLES[:2]}
    wanted = [*reco, *truth, *passes, weights["simulation"], numbers["simulation"]]
    rows = reading.rows(simulation, [text for text in wanted if text is not None])
    every = np.ones(len(rows), dtype=bool)
    seen, true = (every if p is None else rows.columns[p].astype(bool) for p in passes)
    measured = _measured(reading, data, reco, passes[0], weights["data"], numbers["data"])
    other = None
    if background is not None:
        other = _measured(reading, background, reco, passes[0], weights["background"], None)
    for level, names, where in (("reco", reco, seen), ("truth", truth, true)):
        _refuse_filled(rows, names, where, f"pass_{level}")
    _refuse_filled(measured, reco, None, "pass_reco")
    table = rows.table(truth, true)
    sample = UnfoldingSample.checked(
        measured.table(reco),
        rows.table(reco, seen),
        table,
        pass_reco=seen,
        pass_truth=true,
        weight=_column(rows, weights["simulation"]),
        data_weight=_column(measured, weights["data"]),
        background=None if other is None else other.table(reco),
        background_weight=None if other is None else _column(other, weights["background"]),
        event=_number(rows, numbers["simulation"]),
        data_event=_number(measured, numbers["data"]),
    )
    return Unfolded(sample, table[true], truth)


def _measured(
    reading: Reading,
    files: Files,
    reco: list[str],
    passed: str | None,
    weight: str | None,
    event: str | None,
) -> Rows:
    """Read events that were measured, or are to be subtracted from those."""
    wanted = [*reco, *(text for text in (weight, event) if text is not None)]
    rows = reading.rows(files, wanted, optional=[] if passed is None else [passed])
    if passed is None or passed not in rows.columns:
        return rows
    keep = rows.columns[passed].astype(bool)
    if not keep.any():
        raise InputError(
            f"pass_reco is {passed}, which no event of {files} fulfils; nothing is measured."
        )
    return rows.at(keep)


def _refuse_filled(
    rows: Rows, names: list[str], where: NDArray[np.bool_] | None, flag: str
) -> None:
    """Raise `InputError` for misses and fakes at a number like -999 that no flag marks."""
    if (found := rows.filled(names, where)) is not None:
        name, number, text = found
        raise InputError(
            f"{text}; if these are events that do not pass, say which do with {flag} (as"
            f" {flag} '{name} > {number:g}'), else drop them with a selection."
        )


def _column(rows: Rows, text: str | None) -> Floats | None:
    return None if text is None else rows.table([text])[:, 0]


def _number(rows: Rows, text: str | None) -> NDArray[np.int64] | None:
    return None if text is None else rows.columns[text].astype(np.int64)


def _particles(
    reading: Reading, data: Files, simulation: Files, background: Files | None
) -> Unfolded:
    """Read jets of both levels, and the observables of the true ones with their names."""
    paths = paths_of(simulation)
    for path in paths:
        if not _paired(path):
            raise InputError(
                f"{path}: holds no paired jets, which generate --paired writes; name observables"
                " by reco and truth to unfold a table."
            )
    pairs = ak.concatenate([read_pairs(path) for path in paths])
    account(f"read {', '.join(map(str, paths[:3]))}: {len(pairs)} events at both levels")
    measured = _seen(reading, data)
    other = None if background is None else _seen(reading, background)
    true = np.asarray(pairs["pass_truth"])
    values, names = observables.table(pairs["truth"][true], OBSERVABLES)
    sample = UnfoldingSample.of_pairs(
        measured,
        pairs,
        data_weight=_field(measured, "weight"),
        data_event=_field(measured, "event"),
        background=other,
        background_weight=None if other is None else _field(other, "weight"),
    )
    return Unfolded(sample, values, list(names))


def _seen(reading: Reading, files: Files) -> ak.Array:
    """Read jets of the detector, from paired files or from others."""
    paths = paths_of(files)
    if not all(map(_paired, paths)):
        return reading.jets(files)
    pairs = ak.concatenate([read_pairs(path) for path in paths])
    jets = ak.with_field(pairs["reco"], pairs["weight"], "weight")
    return ak.with_field(jets, pairs["event"], "event")[pairs["pass_reco"]]


def _paired(path: Path) -> bool:
    return {"pass_reco", "pass_truth"} <= set(open_table(path).columns)


def _field(jets: ak.Array, name: str) -> Any:
    return np.asarray(jets[name]) if name in jets.fields else None


def _edges(x: Floats, weight: Floats, bins: int) -> Floats:
    """Return round edges about the 0.5% and 99.5% quantiles; of whole numbers between those."""
    order = np.argsort(x)
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = (float(x[order][np.searchsorted(share, q)]) for q in (0.005, 0.995))
    if (x == np.rint(x)).all():
        step = max(1, round((high - low) / bins))
        return np.arange(low - 0.5, high + step, step)
    return round_edges(low, high, bins)
