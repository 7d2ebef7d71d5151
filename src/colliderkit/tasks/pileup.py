"""The task of pileup mitigation: fit, apply, evaluate and page."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.jets import Jets
from colliderkit.events.pileup import Particles
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.reconstruction.area import density, subtracted
from colliderkit.methods.reconstruction.charged_subtraction import ChargedHadronSubtraction
from colliderkit.methods.reconstruction.constituent_subtraction import ConstituentSubtraction
from colliderkit.methods.reconstruction.learned import Learned
from colliderkit.methods.reconstruction.mitigation import Classical, Mitigation
from colliderkit.methods.reconstruction.pileup_graph import PileupGraph
from colliderkit.methods.reconstruction.puppi import Puppi
from colliderkit.methods.reconstruction.soft_killer import SoftKiller
from colliderkit.metrics.pileup import (
    fake_jets,
    match,
    missing_momentum,
    momentum_shift,
    neutral_auc,
    spread,
)
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.pileup import against_pileup, event_display
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.pileup import export_pileup
from colliderkit.sources import write
from colliderkit.sources.files.collisions import read_collisions
from colliderkit.sources.pythia.clustering import anti_kt
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["AREA", "BASELINES", "QUANTITIES", "PileupTask", "judged"]

Files = list[str] | str
AREA, CHS, NONE = "CHS, area", "CHS", "none"
PT, MASS, MET = "jet pT resolution", "jet mass resolution", "MET shift [GeV]"
# What an evaluation tells of each method: by name, as the rows have it.
QUANTITIES = (
    *("jet pT response", PT, "jet mass response", MASS, "jets found"),
    *("fake jets an event", MET, "AUC of neutrals"),
)
# What the fitted method is compared with, at the published parameters.
BASELINES: dict[str, type[Classical]] = {
    CHS: ChargedHadronSubtraction,
    "SoftKiller": SoftKiller,
    "constituent subtraction": ConstituentSubtraction,
    "PUPPI": Puppi,
}


class PileupTask(Task):
    """Remove pileup from events: a weight for each particle."""

    methods = (
        *("pileup-graph", "pumml", "puppi", "soft-killer", "constituent-subtraction"),
        "charged-hadron-subtraction",
    )

    def read(self, method: Mitigation, reading: Reading, files: Files) -> Inputs:
        r"""Learn weights of particles that remove pileup, or tune those of a formula.

        Args:
            files: Parquet, ROOT or HDF5 files, an event a row: pt, eta, phi of particles, the
                vertex of each (0 the leading one, -1 unknown), and truth, the share that the hard
                collision made.

        Examples:
            colliderkit fit pileup events.parquet --out mitigation
            colliderkit fit pileup events.parquet --method puppi --tune true --out puppi
        """
        events = events_of(reading, files)
        weight = np.asarray(events["weight"]) if "weight" in events.fields else None
        if not isinstance(method, Learned):
            return Inputs(method, {"events": events})
        return Inputs(method, {"events": events, "weight": weight})

    def apply(
        self,
        method: Mitigation,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write the events with a `weight` of each particle, which multiplies its momentum.

        Args:
            files: files of events, as of fit; no truth is needed.

        Examples:
            colliderkit apply mitigation new.parquet --out weighted.parquet
        """
        events = events_of(reading, files)
        particles = ak.with_field(events["particles"], method.weights(events), "weight")
        write(out, ak.with_field(events, particles, "particles"), force=force)

    def evaluate(
        self,
        method: Mitigation,
        reading: Reading,
        files: Files,
        *,
        edges: list[float] | None = None,
    ) -> Evaluation:
        r"""Measure jets, missing momentum and fake jets after mitigation, beside the usual methods.

        Args:
            files: files of events with truth that the fit has not seen.
            edges: of bins of the number of interactions (of vertices where that is not known), as
                [0, 40, 80, 160], each of which has a table of its own.

        Examples:
            colliderkit evaluate mitigation test.parquet --edges '[0, 40, 80, 160]' --out test
        """
        events = events_of(reading, files)
        samples = in_bins(events, edges)
        rows: list[Result] = []
        kept: dict[str, Any] = {}
        for name, some in samples.items():
            particles = Particles.of(some, name)
            true = anti_kt(particles, particles.needed_truth())
            weight = flat(method.weights(some))
            rows += judged(method.name, name, particles, weight, true)
            for other, kind in BASELINES.items():
                baseline = kind().fit(some, progress=False)
                rows += judged(other, name, particles, flat(baseline.weights(some)), true)
            rows += unweighted(name, particles, true)
            first = particles.at(0, 1)
            kept = {
                **{x: getattr(first, x) for x in ("pt", "eta", "phi", "vertex", "truth")},
                "weight": weight[: len(first.pt)],
            }
        about = {"samples": list(samples)}
        return Evaluation(f"pileup mitigation of {len(events)} events", rows, kept, about)

    def export(
        self,
        method: Mitigation,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> str:
        """Write a graph as one ONNX file: from particles to the weight of each.

        Args:
            files: files of events, as of fit, that the file is checked on; no truth is needed.

        Examples:
            colliderkit export mitigation events.parquet --out mitigation.onnx
        """
        if not isinstance(method, PileupGraph):
            raise InputError(
                f"{method.name} has no form of its own for each particle to export; fit"
                " pileup-graph."
            )
        events = events_of(reading, files)
        difference = export_pileup(method, out, events, force=force)
        return f"differs from torch by {difference:.1e} at most"

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: resolutions by sample, and an event before and after.

        Examples:
            colliderkit report mitigation-test
        """
        method: Mitigation = load(model)
        note = runs.about(evaluation)
        rows = read_results(existing_file(evaluation / runs.RESULTS))
        page = runs.page(
            "Pileup mitigation",
            f"Weights of particles by {method.name}, beside the usual methods on the same events.",
            model,
            note,
        )
        for sample in note["samples"]:
            page.add_heading(sample)
            page.add_results(of_sample(rows, sample), EXPLAINED)
        page.add_heading("By sample")
        for quantity in (PT, MASS, MET):
            page.add_figure(
                against_pileup(series(rows, quantity, note["samples"]), note["samples"], quantity),
                f"{quantity} by sample; errors by bootstrap of events.",
            )
        event = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        columns = {x: np.asarray(event[x]) for x in event.fields}
        page.add_figure(
            event_display(columns, {"all": np.ones(len(event)), "after": columns["weight"],
                                    "truth": columns["truth"]}),
            "One event of the last sample: all particles, what is left of them, and the truth. The"
            " size of a point is the pT that it has.",
            wide=True,
        )  # fmt: skip
        own = method.name
        page.conclude(
            [
                Aim("Jets are better resolved than without any mitigation", f"{PT}, *", own,
                    "below", against=NONE),
                Aim("The missing momentum is nearer the truth than by CHS", f"{MET}, *", own,
                    "below", against=CHS),
            ]
        )  # fmt: skip
        return page

    def summary(self, method: Method) -> str:
        """Say what was chosen or learned."""
        if isinstance(method, Classical):
            if not method.settings_:
                return f"{method.name}: nothing to choose"
            settings = ", ".join(f"{k} {v:g}" for k, v in method.settings_.items())
            tuned = f", tuned on events among {len(method.tried_)}" if method.tried_ else ""
            return f"{method.name}: {settings}{tuned}"
        assert isinstance(method, Learned)
        best = next(e for e in method.history_["network"] if e.best)
        size = sum(p.numel() for p in method.network_.parameters())
        return (
            f"{method.name}: {number(size)} parameters, validation loss"
            f" {best.validation_loss:.4g} in epoch {best.epoch}"
        )


EXPLAINED = (
    "Jets are anti-kT, R = 0.4; the true ones have pT > 40 GeV and |eta| < 2 and are matched within"
    " dR < 0.2. Response: the median of pT (mass) over the true jet's; resolution: half of the"
    " central 68% over the median. Fake jets: pT > 20 GeV without a true jet near. MET shift: the"
    " root mean square of what is wrong of the sum of transverse momenta. Errors by bootstrap of"
    " events."
)


def events_of(reading: Reading, files: Files) -> ak.Array:
    """Read events with pileup, and say how they were understood."""
    collection = None
    if reading.layout is not None:
        collection = reading.layout.removeprefix("momenta:")
    events, said = read_collisions(
        files,
        columns=reading.columns,
        collection=collection,
        selection=reading.selection,
        tree=reading.tree,
    )
    for line in said:
        account(line)
    return events


def in_bins(events: ak.Array, edges: list[float] | None) -> dict[str, ak.Array]:
    """Return the events of each bin of the number of interactions by its name, all without bins."""
    if edges is None:
        return {"all events": events}
    what = "interactions" if "interactions" in events.fields else "vertices"
    number = np.asarray(events[what]) if what in events.fields else Particles.of(events).vertices
    found = {}
    for low, high in itertools.pairwise(edges):
        some = events[(number >= low) & (number < high)]
        if len(some):
            found[f"{low:g} to {high:g} {what}"] = some
    if not found:
        raise InputError(
            f"no event has {what} within edges {edges}; they go from {number.min():g} to"
            f" {number.max():g}."
        )
    return found


def judged(
    subject: str,
    sample: str,
    particles: Particles,
    weight: Floats,
    true: Jets,
    jets: Jets | None = None,
) -> list[Result]:
    """Return all `QUANTITIES` of weights (P,), or of `jets` that were corrected afterwards."""
    found = jets or anti_kt(particles, weight)
    matched = match(true, found)
    values = dict(
        zip(
            QUANTITIES,
            (
                *spread(matched.pt, matched.event, matched.events),
                *spread(matched.mass, matched.event, matched.events),
                matched.efficiency,
                fake_jets(true, found),
            ),
            strict=False,
        )
    )
    if jets is None:
        values[MET] = missing_momentum(momentum_shift(particles, weight))
        values["AUC of neutrals"] = neutral_auc(particles, weight)
    return [
        Result(subject, f"{name}, {sample}", v.value, v.error, counting=v.error)
        for name, v in values.items()
        if np.isfinite(v.value)
    ]


def unweighted(sample: str, particles: Particles, true: Jets) -> list[Result]:
    """Return the rows of no mitigation, and of area subtraction after CHS."""
    rows = judged(NONE, sample, particles, np.ones(len(particles.pt)), true)
    kept = np.where(particles.vertex > 0, 0.0, 1.0)
    jets = subtracted(anti_kt(particles, kept), density(particles, kept))
    return [*rows, *judged(AREA, sample, particles, kept, true, jets)]


def of_sample(rows: list[Result], sample: str) -> list[Result]:
    """Return the rows of one sample."""
    return [row for row in rows if row.quantity.endswith(f", {sample}")]


def series(rows: list[Result], quantity: str, samples: list[str]) -> Mapping[str, dict[str, Value]]:
    """Return {method: {sample: value}} of one quantity."""
    found: dict[str, dict[str, Value]] = {}
    for row in rows:
        for sample in samples:
            if row.quantity == f"{quantity}, {sample}":
                found.setdefault(row.subject, {})[sample] = row.estimate
    return found


def flat(weights: ak.Array) -> Floats:
    """Return the weights of all particles, (P,)."""
    return np.asarray(ak.to_numpy(ak.flatten(weights)), dtype=np.float64)
