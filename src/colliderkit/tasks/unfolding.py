"""The verbs of an unfolding: fit, report and export."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import yaml
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from colliderkit.errors import InputError, Interrupted
from colliderkit.events import observables
from colliderkit.events.schema import CONSTITUENTS
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.methods.method import load
from colliderkit.methods.unfolding.omnifold import OmniFold, Sample
from colliderkit.methods.unfolding.result import UnfoldedEvents
from colliderkit.methods.unfolding.uncertainty import Replicas, replicate
from colliderkit.metrics.closure import effective_size
from colliderkit.metrics.value import Value, rounded
from colliderkit.report import spectra
from colliderkit.report.html import Report
from colliderkit.report.plots import round_edges
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.formats import open_table, paths_of
from colliderkit.sources.files.pairs import read_pairs
from colliderkit.sources.files.rows import Rows
from colliderkit.tasks import runs
from colliderkit.tasks.reading import OfSamples, Reading, of_sample

__all__ = ["export_unfolding", "fit_unfolding", "report_unfolding"]

Floats = NDArray[np.float64]
Files = list[str] | str
Texts = list[str] | str | None
SAMPLES = ("data", "simulation", "background")
RESULT = "unfolded.h5"
# Of jets the six observables of 1911.09107 are kept beside the weights.
OBSERVABLES = "unfolding"
UNITS = {"mass": "GeV"}


def fit_unfolding(
    *,
    out: Path,
    method: OmniFold,
    reading: Reading,
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
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    configuration: str = "",
) -> Path:
    """Unfold measured events with a simulation: weights of its truth (OmniFold).

    Args:
        out: the folder of the fitted method and of unfolded.h5.
        data: ROOT, HDF5 or Parquet files of what was measured.
        simulation: files with an event at both levels in each row. Without `reco` and `truth`
            they are paired jets, as generate --paired writes them, and all particles are taken.
        reco: observables of the detector, by name or expression, in data and simulation.
        truth: observables of the particles, in the simulation.
        pass_reco: an expression of what the detector sees, all if not given. It also selects the
            data and the background where they have its columns.
        pass_truth: an expression of what is to be unfolded, all if not given.
        background: files of events to be subtracted; their weights sum to how many are expected.
        weight: an expression for simulation and background, or one a sample: ``{data: w}``.
        event: an expression for data and simulation of the number by which events are split, or
            one a sample; rows if not given.
        members: unfoldings with other initial networks, whose mean is the result.
        bootstraps: unfoldings of data and simulation drawn again, for the uncertainty.
        workers: processes side by side.
        seed: of initial weights, batches, splits and draws.
        resume: go on from the finished iterations of an interrupted run.
        force: overwrite `out`, and drop what an interrupted run left.
    """
    work = runs.begin(out, resume, force)
    if bootstraps == 1:
        raise InputError("--bootstraps is 1, which has no spread; give 0, or 2 and more.")
    levels = split_expressions(reco), split_expressions(truth)
    if bool(levels[0]) != bool(levels[1]):
        raise InputError("give both --reco and --truth; or neither, for all particles of jets.")
    table: NDArray[Any]
    if levels[0]:
        sample, table, names = _tables(
            reading, data, simulation, background, levels, (pass_reco, pass_truth), weight, event
        )
    else:
        if (pass_reco, pass_truth, weight, event) != (None,) * 4:
            raise InputError(
                "paired jets hold their own passes, weights and numbers: leave out --pass_reco,"
                " --pass_truth, --weight and --event, or name observables by --reco and --truth."
            )
        sample, table, names = _particles(reading, data, simulation, background)
    with runs.kept(work, "*.npy"):
        replicas = _replicas(method, sample, members, bootstraps, seed, workers, work)
    method.pushes_, method.seed_, method.history_ = replicas.nominal, seed, []
    runs.finish(method, out, work, configuration, force)
    found = _result(method, sample, replicas, table, names, seed, out)
    found.write(out / RESULT, force=True)
    print(f"unfolded {', '.join(names)}: {out / RESULT}")
    return out


def report_unfolding(
    model: Path,
    *,
    edges: dict[str, list[float]] | None = None,
    bins: int = 20,
    force: bool = False,
) -> None:
    """Draw the unfolded spectra with their covariances into report.html of the run's folder.

    Args:
        model: a folder written by fit unfolding.
        edges: of the bins of an observable: ``{mass: [0, 10, 20, 40]}``; the others get `bins`
            of equal width between their 0.5% and 99.5% quantiles.
        bins: about how many.
        force: overwrite report.html.
    """
    path = refuse_existing(model / "report.html", force)
    method: OmniFold = load(model)
    found = UnfoldedEvents.read(model / RESULT)
    chosen = edges or {}
    for name in chosen:
        if name not in found.names:
            raise InputError(f"--edges names '{name}'; there are {', '.join(found.names)}.")
    push = method.weights()[method.weights() > 0]
    if len(push) != len(found.weights):
        raise InputError(f"{model}: method and {RESULT} are of different runs; fit again.")
    prior = found.weights / push
    kinds = {kind: found.kinds.count(kind) for kind in dict.fromkeys(found.kinds)}
    counted = ", ".join(f"{count} of kind {kind}" for kind, count in kinds.items())
    page = Report(
        f"Unfolded {', '.join(found.names)}",
        f"OmniFold after {method.iterations} iterations, in {model}: weights of {len(push)}"
        f" simulated events. Replicas: {counted or 'none, hence no uncertainties'}.",
        command=found.command,
        configuration=(model / "config.yaml").read_text(),
        seeds=[] if found.seed is None else [found.seed],
    )
    page.add_table(
        ["", "simulation", "unfolded"],
        [
            ["events expected", float(prior.sum()), float(found.weights.sum())],
            ["effective sample size", *(round(effective_size(w)) for w in (prior, found.weights))],
            ["largest weight / mean", *(float(w.max() / w.mean()) for w in (prior, found.weights))],
        ],
    )
    for i, name in enumerate(found.names):
        x = np.asarray(found.observables[:, i], dtype=np.float64)
        limits = np.asarray(chosen.get(name, _edges(x, found.weights, bins)), dtype=np.float64)
        binned = found.binned(name, limits)
        before = replace(found, weights=prior, replicas=None, kinds=()).binned(name, limits)
        page.add_heading(name)
        outside = 1 - binned.values.sum() / found.weights.sum()
        caption = (
            f"{name} of the particles: unfolded, and in the simulation. {outside:.1%} of the events"
            " lie outside of the bins."
        )
        page.add_figure(spectra.spectrum(binned, before.values), caption)
        if binned.covariances:
            page.add_figure(
                spectra.correlation(binned), f"Correlations between the bins of {name}."
            )
        sources = list(binned.covariances)
        parts = [np.sqrt(np.diag(binned.covariances[source])) for source in sources]
        page.add_table(
            ["bin", "unfolded", *sources],
            [
                [f"{low:.4g} to {high:.4g}", Value(v, e), *(rounded(p[k], p[k]) for p in parts)]
                for k, (low, high, v, e) in enumerate(
                    zip(limits, limits[1:], binned.values, binned.error, strict=False)
                )
            ],
            "Events in the bins with the total uncertainty, and its parts.",
        )
    with atomic_file(path, force) as part:
        part.write_text(page.html(), encoding="utf-8")
    print(f"report: {path}")


def export_unfolding(
    model: Path, *, out: Path, edges: dict[str, list[float]], force: bool = False
) -> None:
    """Write an unfolded spectrum with its covariance as a submission to HEPData (YAML).

    Args:
        model: a folder written by fit unfolding.
        out: the folder of the submission.
        edges: of the bins of one observable: ``{mass: [0, 10, 20, 40]}``.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    if len(edges) != 1:
        raise InputError(f"--edges are of {len(edges)} observables; a submission is of one.")
    found = UnfoldedEvents.read(model / RESULT)
    ((name, limits),) = edges.items()
    found.binned(name, limits).to_hepdata(out, description=found.description, force=force)
    print(f"exported: {out}")


def _tables(
    reading: Reading,
    data: Files,
    simulation: Files,
    background: Files | None,
    levels: tuple[list[str], list[str]],
    passes: tuple[str | None, str | None],
    weight: OfSamples,
    event: OfSamples,
) -> tuple[Sample, Floats, list[str]]:
    """Read observables of both levels; return them with the truth (N, T) and its names."""
    if reading.columns is not None:
        raise InputError("observables are named by --reco and --truth; leave out --columns.")
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
    table = rows.table(truth, true)
    sample = Sample.checked(
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
    return sample, table[true], truth


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
        raise InputError(f"{files}: no event fulfils --pass_reco {passed}; nothing is measured.")
    return rows.at(keep)


def _column(rows: Rows, text: str | None) -> Floats | None:
    return None if text is None else rows.table([text])[:, 0]


def _number(rows: Rows, text: str | None) -> NDArray[np.int64] | None:
    return None if text is None else rows.columns[text].astype(np.int64)


def _particles(
    reading: Reading, data: Files, simulation: Files, background: Files | None
) -> tuple[Sample, NDArray[Any], list[str]]:
    """Read jets of both levels; return them with observables of the true ones and their names."""
    paths = paths_of(simulation)
    for path in paths:
        if not _paired(path):
            raise InputError(
                f"{path}: holds no paired jets, which generate --paired writes; name observables"
                " by --reco and --truth to unfold a table."
            )
    pairs = ak.concatenate([read_pairs(path) for path in paths])
    measured = _seen(reading, data)
    other = None if background is None else _seen(reading, background)
    true = np.asarray(pairs["pass_truth"])
    values, names = observables.table(pairs["truth"][true], OBSERVABLES)
    sample = Sample.checked(
        measured[[CONSTITUENTS]],
        pairs["reco"][[CONSTITUENTS]],
        pairs["truth"][[CONSTITUENTS]],
        pass_reco=np.asarray(pairs["pass_reco"]),
        pass_truth=true,
        weight=np.asarray(pairs["weight"]),
        data_weight=_field(measured, "weight"),
        background=None if other is None else other[[CONSTITUENTS]],
        background_weight=None if other is None else _field(other, "weight"),
        event=np.asarray(pairs["event"]),
        data_event=_field(measured, "event"),
    )
    return sample, values, list(names)


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


def _replicas(
    method: OmniFold,
    sample: Sample,
    members: int,
    bootstraps: int,
    seed: int,
    workers: int,
    work: Path,
) -> Replicas:
    try:
        with _bar(work, (members + bootstraps) * method.iterations):
            return replicate(
                method,
                sample,
                bootstraps=bootstraps,
                members=members,
                seed=seed,
                workers=workers,
                folder=work,
            )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished iterations are kept in {work}, the same command with --resume"
            " goes on from there."
        ) from None


@contextmanager
def _bar(work: Path, total: int) -> Iterator[None]:
    """Show how many iterations are finished, of all replicas: other processes write them."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    ended = threading.Event()
    with Progress(*columns, TimeElapsedColumn(), refresh_per_second=2) as bar:
        task = bar.add_task("iterations", total=total)

        def watch() -> None:
            while not ended.wait(0.5):
                bar.update(task, completed=sum(1 for _ in work.glob("*.iterations/push-*.npy")))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
            bar.update(task, completed=total)
        finally:
            ended.set()
            watcher.join()


def _result(
    method: OmniFold,
    sample: Sample,
    replicas: Replicas,
    table: NDArray[Any],
    names: list[str],
    seed: int,
    out: Path,
) -> UnfoldedEvents:
    true = sample.pass_truth
    weight = sample.weight[true]
    # One member alone has no spread.
    spread = [i for i, kind in enumerate(replicas.kinds) if replicas.kinds.count(kind) > 1]
    again = replicas.weights[spread, -1][:, true] * weight
    return UnfoldedEvents(
        observables=table,
        names=names,
        weights=weight * replicas.nominal[-1, true],
        replicas=again.T if spread else None,
        kinds=[replicas.kinds[i] for i in spread],
        units=[UNITS.get(name, "") for name in names],
        seed=seed,
        description=f"OmniFold (1911.09107) after {method.iterations} iterations",
        command=f"colliderkit fit unfolding --config {out / 'config.yaml'}",
        metadata={
            "method": yaml.safe_load(json.dumps(method._parameters())),
            "measured": float(sample.data_weight.sum()),
        },
    )


def _edges(x: Floats, weight: Floats, bins: int) -> Floats:
    """Return round edges about the 0.5% and 99.5% quantiles; of whole numbers between those."""
    order = np.argsort(x)
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = (float(x[order][np.searchsorted(share, q)]) for q in (0.005, 0.995))
    if (x == np.rint(x)).all():
        step = max(1, round((high - low) / bins))
        return np.arange(low - 0.5, high + step, step)
    return round_edges(low, high, bins)
