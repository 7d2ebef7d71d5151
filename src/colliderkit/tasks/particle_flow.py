"""The task of particle flow: fit, apply, evaluate and page."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.jets import Jets
from colliderkit.events.particle_flow import (
    KINDS,
    NEUTRAL,
    PHOTON,
    FlowEvents,
    FlowParticles,
    offsets_of,
)
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.energy_flow import EnergyFlow
from colliderkit.methods.reconstruction.learned_flow import LearnedFlow
from colliderkit.methods.reconstruction.link_and_subtract import LinkAndSubtract
from colliderkit.methods.reconstruction.mlpf import MLPF
from colliderkit.methods.reconstruction.particle_flow import ParticleFlow
from colliderkit.metrics.particle_flow import ParticleMatching, match_particles, sum_shift
from colliderkit.metrics.pileup import Matched, fake_jets, match, missing_momentum, spread
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import in_bins, responses
from colliderkit.report.html import Report
from colliderkit.report.particle_flow import elements_and_particles
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.particle_flow import export_flow
from colliderkit.sources.files.particle_flow import read_flow, write_flow
from colliderkit.sources.pythia.clustering import anti_kt
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = [
    "EXPLAINED",
    "FAKES",
    "MET",
    "RESOLUTION",
    "Judgement",
    "ParticleFlowTask",
    "flow_rows",
]

Files = list[str] | str
RESPONSE, RESOLUTION = "jet pT response", "jet pT resolution"
FAKES, MET = "fake particles", "MET shift [GeV]"
ENERGY_FLOW, LINKS = "energy flow", "link and subtract"
DISPLAY = "display.parquet"
NOTHING = (float("nan"), float("nan"))
JETS = (20.0, 100.0)  # GeV of true jets
JET_EDGES = np.array([20.0, 30.0, 45.0, 65.0, 100.0])
PT_EDGES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 50.0])
ETA_EDGES = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
EXPLAINED = (
    "Jets are anti-kT, R = 0.4, the true ones of 20 to 100 GeV within |eta| < 2, and matched within"
    " dR < 0.2; response: the median of pT over the true jet's; resolution: half of the central 68%"
    " over the median. Particles of pT > 1 GeV within |eta| < 2 are matched one to one, charged"
    " with charged and neutral with neutral, within dR < 0.1 and a factor of 2 in pT; fakes are"
    " what is found without a match. MET shift: the root mean square of what is wrong of the sum"
    " of transverse momenta. Errors by bootstrap of events."
)


class ParticleFlowTask(Task):
    """Reconstruct the particles of events from tracks and calorimeter clusters."""

    methods = ("mlpf", "incidence-flow", "link-and-subtract", "energy-flow")
    written: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def read(self, method: ParticleFlow, *, files: Files) -> Inputs:
        """Learn particle flow from events with true particles; classical methods learn E/p.

        Args:
            files: Parquet files, an event a row, with lists of tracks (track_pt, ...), clusters
                (cluster_energy, ...), towers and true particles (particle_pt, ...); see the
                documentation of `colliderkit.sources.files.particle_flow`.

        Examples:
            colliderkit fit particle-flow events.parquet --out flow
            colliderkit fit particle-flow events.parquet --method link-and-subtract --out links
        """
        return Inputs(method, {"events": read_and_say(files)})

    def apply(self, method: ParticleFlow, *, files: Files, out: Path, force: bool = False) -> None:
        """Write the events with the particles found: flow_pt, flow_eta, flow_phi, flow_kind.

        Args:
            files: Parquet files of events; truth may be absent.

        Examples:
            colliderkit apply flow new.parquet --out particles.parquet
        """
        events = read_and_say(files)
        write_flow(out, events, method.predict(events), force=force)

    def evaluate(self, method: ParticleFlow, *, files: Files) -> Evaluation:
        """Judge particles, jets and missing momentum, beside energy flow and link-and-subtract.

        Args:
            files: Parquet files of events with truth, which the fit has not seen. The classical
                methods, which stand beside, learn E/p from their first half, and all are judged by
                the second.

        Examples:
            colliderkit evaluate flow test.parquet --out test
        """
        events = read_and_say(files)
        events.truth  # noqa: B018  raises where there is none
        half = len(events) // 2
        if half < 2:
            raise InputError(f"{files}: has {len(events)} events; give four or more.")
        first, second = events.at(slice(0, half)), events.at(slice(half, None))
        others: dict[str, ParticleFlow] = {}
        if len(events.towers.eta):
            others[ENERGY_FLOW] = EnergyFlow()
        others[LINKS] = LinkAndSubtract(tune=True)
        found = {method.name: method.predict(second)} | {
            name: other.fit(first, progress=False).predict(second)
            for name, other in others.items()
            if other.name != method.name
        }
        true = second.truth[0]
        rows: list[Result] = []
        judged = {name: Judgement.of(true, particles) for name, particles in found.items()}
        for name, one in judged.items():
            rows += flow_rows(name, one)
        own = judged[method.name]
        about = {
            "method": method.name,
            "bins": {
                what: {name: [plain(v) for v in values] for name, values in row.items()}
                for what, row in binned(judged).items()
            },
        }
        jets = {"pt": own.pt, "response": own.jets.pt, "event": own.jets.event}

        def write(folder: Path) -> None:
            shown = second.at([typical(true)])
            write_flow(folder / DISPLAY, shown, method.predict(shown))

        return Evaluation(
            f"particle flow of {number(len(second))} events", rows, jets, about, write
        )

    def export(self, method: ParticleFlow, *, files: Files, out: Path, force: bool = False) -> str:
        """Write the network as one ONNX file: from elements to particle, kind and momentum of each.

        Args:
            files: Parquet files of events that the file is checked on.

        Examples:
            colliderkit export flow test.parquet --out flow.onnx
        """
        if not isinstance(method, MLPF):
            raise InputError(
                f"{method.name} has no network of one answer an element to export; fit mlpf."
            )
        events = read_and_say(files)
        difference = export_flow(method, out, events, force=force)
        return f"differs from torch by {difference:.1e} at most on {number(len(events))} events"

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: an event, jets, and particles by pT and eta.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        own = note["method"]
        page = runs.page(
            "Particle flow",
            f"Particles by {own} from tracks and calorimeter clusters, beside energy flow and"
            " link-and-subtract on the same events.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        page.add_results(read_results(existing_file(evaluation / runs.RESULTS)), EXPLAINED)
        page.add_heading("An event")
        shown = existing_file(evaluation / DISPLAY)
        page.add_figure(
            elements_and_particles(*read_display(shown, own)),
            "Tracks and clusters, true particles, and what was found. The area of a mark is as its"
            " pT.",
            wide=True,
        )
        page.add_heading("By pT and eta")
        series = {
            what: {n: [Value(*(v or NOTHING)) for v in values] for n, values in row.items()}
            for what, row in note["bins"].items()
        }
        add_bins(page, series)
        page.conclude(
            [
                Aim("Jets are better resolved than by energy flow", RESOLUTION, own, "below",
                    against=ENERGY_FLOW),
                Aim("No more of its particles are fakes", FAKES, own, "below",
                    against=ENERGY_FLOW),
            ]
        )  # fmt: skip
        return page

    def summary(self, method: Method) -> str:
        """Say what was chosen."""
        if isinstance(method, LearnedFlow):
            size = sum(p.numel() for p in method.network_.parameters())
            scale = ", ".join(
                f"{KINDS[i]}s times {method.scale_[i]:.3g}" for i in (PHOTON, NEUTRAL)
            )
            return (
                f"{method.name}: {number(size)} parameters; a particle above a probability of"
                f" {method.threshold_:g}, {scale}"
            )
        if isinstance(method, LinkAndSubtract):
            chosen = ", ".join(f"{name} {value:g}" for name, value in method.chosen_.items())
            return f"link-and-subtract: {chosen}"
        assert isinstance(method, EnergyFlow)
        middle = len(method.deposit_.mean) // 2
        return (
            f"energy-flow: charged hadrons of {np.exp(method.deposit_.place[middle]):.2g} GeV leave"
            f" {method.deposit_.mean[middle]:.3g} of their energy"
        )


@dataclass(frozen=True)
class Judgement:
    """One method's particles beside the true ones: jets matched, particles matched.

    `pt` (M,) [GeV] of the true jets that were found; `fakes` is the number of fake jets an event.
    """

    jets: Matched
    pt: Floats
    particles: ParticleMatching
    fakes: Value

    @classmethod
    def of(cls, true: FlowParticles, found: FlowParticles) -> "Judgement":
        """Cluster and match; needs FastJet."""
        true_jets, jets = (
            anti_kt(each, (each.pt > 0).astype(np.float64)) for each in (true, found)
        )
        asked = in_range(true_jets)
        matched = match(asked, jets, least=JETS[0])
        reach = asked.where((asked.pt > JETS[0]) & (np.abs(asked.eta) < 2.0))
        return cls(
            matched,
            reach.pt[matched.found],
            match_particles(true, found),
            fake_jets(true_jets, jets),
        )


def in_range(jets: Jets) -> Jets:
    """Return the true jets that are not too hard."""
    return jets.where(jets.pt < JETS[1])


def flow_rows(subject: str, judged: Judgement) -> list[Result]:
    """Return response, resolution, efficiencies and fakes of one method."""
    jets, particles = judged.jets, judged.particles
    neutral = [is_neutral(each) for each in (particles.true, particles.found)]
    values = dict(
        zip((RESPONSE, RESOLUTION), spread(jets.pt, jets.event, jets.events), strict=True)
    )
    values |= {
        "jets found": jets.efficiency,
        "fake jets an event": judged.fakes,
        MET: missing_momentum(sum_shift(particles.true, particles.found)),
        "charged found": particles.efficiency(~neutral[0]),
        "neutrals found": particles.efficiency(neutral[0]),
        "neutrals of the wrong kind": particles.confused(neutral[0]),
        FAKES: particles.fake_rate(),
        "fake neutrals": particles.fake_rate(neutral[1]),
        "neutral pT resolution": particles.response(neutral[0])[1],
    }
    return [
        Result(subject, name, v.value, v.error, counting=v.error)
        for name, v in values.items()
        if np.isfinite(v.value)
    ]


def is_neutral(particles: FlowParticles) -> Any:
    """Which particles are photons or neutral hadrons, (P,)."""
    return np.isin(particles.kind, (PHOTON, NEUTRAL))


BINNED = {
    "jet resolution": (JET_EDGES, "True jet pT [GeV]", "Jet pT resolution"),
    "jet response": (JET_EDGES, "True jet pT [GeV]", "Jet pT response"),
    "neutrals by pT": (PT_EDGES, "True pT [GeV]", "Neutrals found"),
    "neutrals by eta": (ETA_EDGES, "|eta|", "Neutrals found"),
    "fakes by pT": (PT_EDGES, "pT as found [GeV]", "Fake neutrals"),
    "fakes by eta": (ETA_EDGES, "|eta|", "Fake neutrals"),
}


def binned(judged: Mapping[str, Judgement]) -> dict[str, dict[str, list[Value]]]:
    """Return what a page draws in bins: {quantity: {method: values}}, by `BINNED`."""
    series: dict[str, dict[str, list[Value]]] = {what: {} for what in BINNED}
    for name, one in judged.items():
        jets, particles = one.jets, one.particles
        for low, high in itertools.pairwise(JET_EDGES):
            mine = (one.pt >= low) & (one.pt < high)
            middle, width = spread(jets.pt[mine], jets.event[mine], jets.events)
            series["jet response"].setdefault(name, []).append(middle)
            series["jet resolution"].setdefault(name, []).append(width)
        for what, found in (("neutrals", False), ("fakes", True)):
            side = particles.found if found else particles.true
            share = particles.fake_rate if found else particles.efficiency
            for along, values, edges in (
                ("pT", side.pt, PT_EDGES),
                ("eta", np.abs(side.eta), ETA_EDGES),
            ):
                series[f"{what} by {along}"][name] = [
                    share(is_neutral(side) & (values >= low) & (values < high))
                    for low, high in itertools.pairwise(edges)
                ]
    return series


def plain(value: Value) -> list[float] | None:
    """Return value and error as JSON has them; None of an empty bin."""
    return [value.value, value.error] if np.isfinite([value.value, value.error]).all() else None


def add_bins(page: Report, series: Mapping[str, Mapping[str, list[Value]]]) -> None:
    """Draw all of `binned`."""
    for what, (edges, label, quantity) in BINNED.items():
        page.add_figure(
            in_bins(
                series[what],
                edges,
                label.replace("|eta|", r"$|\eta|$"),
                quantity,
                log=edges[0] > 0,
            ),
            f"{quantity} by {label.split(' [', maxsplit=1)[0]}; errors by bootstrap of events.",
        )


def add_responses(page: Report, judged: Mapping[str, Judgement]) -> None:
    """Draw the responses of jets."""
    page.add_figure(
        responses(
            {name: one.jets.pt for name, one in judged.items()},
            np.linspace(0.5, 1.5, 41),
            "Jet pT / true jet pT",
        ),
        "Jets of 20 to 100 GeV.",
    )


def typical(true: FlowParticles) -> int:
    """Return the first event whose particles of 1 GeV and more are neither few nor many."""
    counts = np.bincount(true.event[true.pt > 1.0], minlength=len(true))
    return int(np.argmin(np.abs(counts - np.median(counts))))


def read_display(path: Path, name: str) -> tuple[FlowEvents, dict[str, FlowParticles]]:
    """Return the event that is drawn, and the particles in it by name."""
    import awkward as ak

    events = read_flow(str(path))
    table = ak.from_parquet(path)
    columns = {
        column: np.asarray(ak.to_numpy(ak.flatten(table[f"flow_{column}"])))
        for column in ("pt", "eta", "phi", "kind")
    }
    counts = np.asarray(ak.num(table["flow_pt"]))
    found = FlowParticles(offsets_of(counts), **columns)
    return events, {name: found}


def read_and_say(files: Files) -> FlowEvents:
    """Read events and say what was read."""
    events = read_flow(files)
    truth = "no truth"
    if events.particles is not None:
        truth = f"{number(len(events.particles.pt))} true particles"
    account(
        f"read {files}: {number(len(events))} events, {number(len(events.tracks.pt))} tracks,"
        f" {number(len(events.clusters.energy))} clusters, {number(len(events.towers.eta))} towers,"
        f" {truth}; pT and energies taken as GeV"
    )
    return events
