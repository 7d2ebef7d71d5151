"""The task of tracking: fit on events with truth, find tracks, score them, draw an event."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.hits import NOISE, TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.files import refuse_existing
from colliderkit.methods.method import Method, load
from colliderkit.methods.reconstruction.learned_tracks import LearnedTracks
from colliderkit.methods.reconstruction.tracking import TrackFinder
from colliderkit.metrics.tracking import (
    MATCHINGS,
    Interest,
    by_bins,
    figures,
    match,
    of_interest,
    particle_rows,
    pull_counts,
    pull_figures,
)
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.tracking import event_display, pull_histograms, rates_along
from colliderkit.report.verdict import Aim
from colliderkit.serve.tracks import export_tracks
from colliderkit.sources.files.hits import read_hits
from colliderkit.sources.files.tracks import PARAMETERS, write_parameters, write_submission
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

if TYPE_CHECKING:
    from colliderkit.sources.acts.refit import FittedTracks

__all__ = [
    "DEFINITIONS",
    "TrackingTask",
    "add_curves",
    "add_event",
    "add_pulls",
    "curves_of",
    "drawn_event",
    "pulls_of",
    "rows_of",
    "seconds_of",
]

Files = list[str] | str
SUBMISSION = "tracks.csv"
DENSER = 3  # times the hits of the training, from which on it is said
TIMED = 20  # events that are timed by themselves
DRAWN = 20_000  # hits of an event that a page draws
SAMPLE = "validation events of the fit"
EDGES = {
    "pT [GeV]": np.geomspace(0.3, 10.0, 9),
    "eta": np.linspace(-2.5, 2.5, 11),
}
DEFINITIONS = """
A track and a particle match by "double majority" if more than half of the track's hits are of the
particle and more than half of the particle's hits are on the track; by "LHC" if more than three
quarters of the track's hits are of the particle; "perfect" if the hits are the same. An efficiency
counts the particles named above that a track matches. Fakes are tracks of three hits or more whose
most frequent particle is one of these, or that have noise alone, and that do not match it. The
TrackML score is the share of the weights of all hits that is on matched tracks of their particle.
"""
AIMS = (
    Aim("97% of the particles are found", "efficiency, double majority", "*-tracks", "above", 0.97),
    Aim(
        "One track in a hundred is a fake, at most",
        "fakes, double majority",
        "*-tracks",
        "below",
        0.01,
    ),
)


class TrackingTask(Task):
    """Find the tracks of charged particles in the hits of a tracker."""

    methods = ("edge-tracks", "embedded-tracks", "helix-tracks")
    written: ClassVar[tuple[str, ...]] = (".csv",)

    def read(
        self,
        method: TrackFinder,
        files: Files,
        *,
        detectors: str | None = None,
    ) -> Inputs:
        r"""Learn from events with truth which hits are of one track.

        Args:
            files: events as TrackML's CSV files (any of -hits, -particles, -truth, -cells of each,
                or their folder), or hits.parquet with particles.parquet beside it.
            detectors: a CSV file of the modules that hits may be on; detectors.csv beside the
                events is taken if there is one.

        Examples:
            colliderkit fit tracking events --volumes '[7, 8, 9]' --out tracker
        """
        read = read_hits(files, volumes=method.volumes, detectors=detectors)
        account(read.said)
        return Inputs(method, {"hits": read.hits})

    def apply(
        self,
        method: TrackFinder,
        files: Files,
        *,
        out: Path,
        detectors: str | None = None,
        parameters: str | None = None,
        force: bool = False,
    ) -> None:
        """Write the track of each hit: a CSV of event_id, hit_id, track_id, 0 for no track.

        Args:
            files: events as for fit; their truth is not looked at.
            detectors: a CSV file of the modules that hits may be on.
            parameters: fit a helix to each track by ACTS' Kalman filter too, and write this CSV of
                event_id, track_id, d0, z0, phi, theta, qop at the beam and their errors (mm,
                radian, 1/GeV; extra tracking, hits in ACTS' TrackML detector in 2 T).

        Examples:
            colliderkit apply tracker event000001000-hits.csv --out tracks.csv
            colliderkit apply tracker events --out tracks.csv --parameters helices.csv
        """
        for path in (out, Path(parameters or out)):
            if path.suffix.lower() != ".csv":
                raise InputError(f"{path}: tracks are written as a .csv file; rename it.")
        if parameters is not None:
            if Path(parameters).resolve() == out.resolve():
                raise InputError(f"{out}: out and parameters are one file; name two.")
            refuse_existing(parameters, force)
        read = read_hits(files, truth=False, detectors=detectors)
        account(read.said)
        warn_of_dense(method, in_known_volumes(method, read.hits))
        tracks = method.find(read.hits, progress=True)
        if parameters is not None:
            fitted = fitted_tracks(read.hits, tracks)
            write_parameters(
                *(parameters, read.hits.number[fitted.event], fitted.track),
                dict(zip(PARAMETERS, fitted.values.T, strict=True)),
                dict(zip(PARAMETERS, fitted.errors.T, strict=True)),
                force=force,
            )
        write_submission(out, read.hits, tracks, force=force)

    def evaluate(
        self,
        method: TrackFinder,
        files: Files,
        *,
        interest: Interest | None = None,
        detectors: str | None = None,
        pulls: bool = False,
    ) -> Evaluation:
        r"""Find the tracks of events with truth, and score them beside those of the fit.

        Efficiencies, fakes, duplicates and the TrackML score are those of the hits in the volumes
        that tracks of the fit went through; others are left out, which is said.

        Args:
            files: events as for fit.
            interest: the particles that count, those of the fit if not given.
            detectors: a CSV file of the modules that hits may be on.
            pulls: fit a helix to each track by ACTS' Kalman filter too (as apply with parameters),
                and compare it with the particle that most of its hits are of.

        Examples:
            colliderkit evaluate tracker event000001000-hits.csv --out scored
            colliderkit evaluate tracker events --pulls true --out scored
        """
        _ = method.map_  # not fitted is said before files are read
        read = read_hits(files, volumes=method.volumes, detectors=detectors)
        account(read.said)
        hits = in_known_volumes(method, read.hits)
        wanted = interest or method.interest
        account(f"counted are {wanted}")
        warn_of_dense(method, hits)
        tracks = method.find(hits, progress=True)
        found = figures(hits, tracks, wanted)
        rows = rows_of(method.name, found)
        took = seconds_of(method, hits)
        rows += rows_of(method.name, {"time [ms]": took.times(1e3)})
        rows += rows_of(
            SAMPLE, {name: Value(pair[0], pair[1]) for name, pair in method.sample_.items()}
        )
        note = {
            "interest": str(wanted),
            "curves": curves_of(hits, tracks, wanted),
            "drawn": drawn_event(hits, tracks, wanted),
        }
        if pulls:
            away = pulls_of(fitted_tracks(hits, tracks))
            rows += rows_of(method.name, pull_figures(away))
            note["pulls"] = pull_counts(away)

        def write(folder: Path) -> None:
            write_submission(folder / SUBMISSION, hits, tracks)

        title = f"{len(hits)} events, {len(hits.x)} hits"
        return Evaluation(title, rows, particles_of(hits, tracks, wanted), note, write)

    def export(
        self,
        method: TrackFinder,
        *,
        files: Files,
        out: Path,
        detectors: str | None = None,
        force: bool = False,
    ) -> str:
        """Write the network as one ONNX file: from a graph of hits to scores and places.

        Args:
            files: events as for fit, that the file is checked on.
            detectors: a CSV file of the modules that hits may be on.

        Examples:
            colliderkit export tracker events --out tracker.onnx
        """
        if not isinstance(method, LearnedTracks):
            raise InputError(
                f"{method.name} has no network to export; fit edge-tracks or embedded-tracks."
            )
        read = read_hits(files, truth=False, detectors=detectors)
        account(read.said)
        some = method.used(read.hits).at(slice(0, TIMED))
        difference = export_tracks(method, out, some, force=force)
        return f"differs from torch by {difference:.1e} at most on {len(some)} events"

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an event with its tracks, efficiencies and fakes against pT, eta and hits.

        Examples:
            colliderkit report scored
        """
        method = load(model)
        note = runs.about(evaluation)
        page = runs.page(
            "Tracking",
            f"Tracks of {method.name} in {note['title']}. Counted are {note['interest']}.",
            model,
            note,
        )
        page.add_definitions(DEFINITIONS)
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "What is found, and the same for the events that the fit has chosen its threshold on;"
            " binomial errors, of the score that of its mean over events. The time is that of one"
            " event on one thread, with the scatter of its mean.",
        )
        add_curves(page, {method.name: note["curves"]})
        if note["drawn"] is not None:
            page.add_heading("An event")
            add_event(page, note["drawn"])
        if note.get("pulls"):
            page.add_heading("Fitted by ACTS' Kalman filter")
            add_pulls(page, note["pulls"], method.name)
        page.conclude(AIMS)
        return page

    def summary(self, method: Method) -> str:
        """Say what the validation events gave."""
        assert isinstance(method, TrackFinder)
        pairs = len(method.map_.inner)
        shown = ("efficiency, double majority", "fakes, double majority", "TrackML score")
        given = {
            name: Value(method.sample_[name][0], method.sample_[name][1])
            for name in shown
            if name in method.sample_
        }
        found = "; ".join(f"{name} {value}" for name, value in given.items())
        return f"{pairs} pairs of layers; on events that chose the threshold: {found}"


def rows_of(subject: str, found: Mapping[str, Value]) -> list[Result]:
    """Return rows of results; what no particle or track says anything of is left out."""
    return [
        Result(subject, name, v.value, v.error if np.isfinite(v.error) else None)
        for name, v in found.items()
        if np.isfinite(v.value)
    ]


def in_known_volumes(method: TrackFinder, hits: TrackerHits) -> TrackerHits:
    """Return the hits in volumes that the fit knows, and say which others there are."""
    known = method.known_volumes
    other = ~np.isin(hits.volume, known)
    if not other.any() or other.all():  # with none left `find` says why
        return hits
    volumes = ", ".join(map(str, np.unique(hits.volume[other]).tolist()))
    account(
        f"left out: {number(int(other.sum()))} hits in volumes {volumes}; tracks of the fit went"
        f" through {', '.join(map(str, known))} alone"
    )
    return hits.where(~other)


def warn_of_dense(method: TrackFinder, hits: TrackerHits) -> None:
    """Say where events have many more hits than those of the training."""
    most = int(np.diff(method.used(hits).offsets).max(initial=0))
    if most > DENSER * method.densest_:
        account(
            f"an event has {most} hits and those that {method.name} has learned from"
            f" {method.densest_} at most: in denser events fewer tracks are found, and more wrong"
            " ones; fit with --overlaid, such as '[1, 3, 10]', to learn from events laid one upon"
            " another"
        )


def fitted_tracks(hits: TrackerHits, tracks: Ints) -> "FittedTracks":
    """Fit helices to tracks (H,), and say of how many it worked."""
    from colliderkit.sources.acts.refit import fit_tracks

    fitted = fit_tracks(hits, tracks, progress=True)
    account(f"fitted {len(fitted.event)} of {fitted.tried} tracks with three hits in the pixels")
    return fitted


def pulls_of(fitted: "FittedTracks") -> dict[str, Floats]:
    """Return pulls (K,) by parameter, of tracks most of whose hits are of a primary particle."""
    pulls = fitted.pulls[fitted.primary]
    pulls = pulls[np.isfinite(pulls).all(1)]
    return dict(zip(PARAMETERS, pulls.T, strict=True))


def add_pulls(page: Report, pulls: Mapping[str, Any], name: str) -> None:
    """Draw the pulls of fitted tracks on a page."""
    page.add_figure(
        pull_histograms(pulls),
        f"Pulls of the tracks of {name}, fitted by ACTS' Kalman filter, against the particle that"
        " most of their hits are of, if it is primary and born near the beam; fakes are among"
        f" them. {number(sum(pulls['d0']))} tracks.",
        wide=True,
    )


def seconds_of(method: TrackFinder, hits: TrackerHits) -> Value:
    """Return the time of one event on one thread, in seconds, from some of them by themselves."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        took = []
        for n in range(min(len(hits), TIMED)):
            one = hits.at([n])
            begin = time.process_time()
            if len(one.x):
                method.find(one)
            took.append(time.process_time() - begin)
    finally:
        torch.set_num_threads(threads)
    if len(took) < 2:
        return Value(took[0] if took else 0.0, float("nan"))
    return Value(float(np.mean(took)), float(np.std(took, ddof=1)) / len(took) ** 0.5)


def curves_of(hits: TrackerHits, tracks: Ints, interest: Interest) -> dict[str, Any]:
    """Return efficiencies against pT, eta and hits in the event, and fakes, as JSON."""
    matches = match(hits.event, hits.truth("evaluate"), tracks, fewest=3)
    made = hits.particles
    assert made is not None
    # Below the least pT too: the curve shows where it begins.
    every = Interest(0.0, interest.eta, interest.hits, interest.primary, interest.born)
    chosen, rows = of_interest(hits, matches, every), particle_rows(hits, matches)
    counted = of_interest(hits, matches, interest)
    found = matches.found() > 0
    curves: dict[str, Any] = {}
    if chosen.any():
        curves["efficiency, pT [GeV]"] = by_bins(
            found[chosen], made.pt[rows[chosen]], EDGES["pT [GeV]"]
        )
        eta = made.eta[rows[counted]]
        curves["efficiency, eta"] = by_bins(found[counted], eta, EDGES["eta"])
    sizes = np.diff(hits.offsets).astype(np.float64)
    judged = matches.judged(counted)
    fake = ~matches.matched()
    if len(hits) > 9 and counted.any() and judged.any():
        edges = np.unique(np.quantile(sizes, np.linspace(0, 1, 6)))
        edges[-1] += 1
        of_event = sizes[matches.of_event[counted]]
        curves["efficiency, hits in the event"] = by_bins(found[counted], of_event, edges)
        curves["fakes, hits in the event"] = by_bins(
            fake[judged], sizes[matches.event[judged]], edges
        )
    if judged.any():
        # Of a fake there is no momentum: its direction is that of its hits' mean.
        eta = directions(hits, tracks, matches.event, matches.track)
        curves["fakes, eta"] = by_bins(fake[judged], eta[judged], EDGES["eta"])
    return {name: {k: v.tolist() for k, v in curve.items()} for name, curve in curves.items()}


def directions(hits: TrackerHits, tracks: Ints, event: Ints, track: Ints) -> Floats:
    """Return the pseudorapidity (K,) of the line through the innermost and outermost hit."""
    order = np.lexsort((hits.r, tracks, hits.event))
    order = order[tracks[order] != 0]
    most = int(tracks.max(initial=0)) + 1
    key = hits.event[order] * most + tracks[order]
    wanted = event * most + track
    first = np.searchsorted(key, wanted, "left")
    last = np.searchsorted(key, wanted, "right") - 1
    inner, outer = order[first], order[last]
    step = np.maximum(hits.r[outer] - hits.r[inner], 1e-3)
    return np.arcsinh((hits.z[outer] - hits.z[inner]) / step)


def particles_of(hits: TrackerHits, tracks: Ints, interest: Interest) -> dict[str, Any] | None:
    """Return a row for each particle with hits: what it is, and whether it was found."""
    matches = match(hits.event, hits.truth("evaluate"), tracks, fewest=3)
    if not len(matches.made):
        return None
    made, rows = hits.particles, particle_rows(hits, matches)
    assert made is not None
    columns: dict[str, Any] = {
        "event": hits.number[matches.of_event],
        "particle_id": matches.particle,
        "hits": matches.made,
        "counted": of_interest(hits, matches, interest),
    }
    for name in ("pt", "eta", "phi"):
        values = getattr(made, name)
        columns[name] = np.where(rows >= 0, values[rows], np.nan) if len(values) else rows * np.nan
    return columns | {m.replace(" ", "_"): matches.found(m) > 0 for m in MATCHINGS}


def drawn_event(hits: TrackerHits, tracks: Ints, interest: Interest) -> dict[str, Any] | None:
    """Return the first event that can be drawn, as JSON."""
    sizes = np.diff(hits.offsets)
    able = np.flatnonzero((sizes > 0) & (sizes <= DRAWN))
    if not len(able):
        return None
    n = int(able[0])
    mine = slice(int(hits.offsets[n]), int(hits.offsets[n + 1]))
    one, labels = hits.at([n]), tracks[mine]
    particle = one.truth("a display")
    matches = match(one.event, particle, labels, fewest=3)
    lost = of_interest(one, matches, interest) & (matches.found() == 0)
    missed = (particle != NOISE) & np.isin(particle, matches.particle[lost])
    return {
        "event": int(one.number[0]),
        **{name: getattr(one, name).round(2).tolist() for name in ("x", "y", "z")},
        "tracks": labels.tolist(),
        "missed": missed.tolist(),
    }


def add_event(page: Report, drawn: Mapping[str, Any]) -> None:
    """Draw one event on a page."""
    page.add_figure(
        event_display(*(drawn[name] for name in ("x", "y", "z", "tracks", "missed"))),
        f"Event {drawn['event']}: hits and the tracks found in them, across the beam and along it;"
        f" {number(len(drawn['x']))} hits. Hits of particles that count and were not found are"
        " ringed.",
        wide=True,
    )


def add_curves(page: Report, methods: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw efficiencies and fakes of several methods on a page."""
    words = {
        "efficiency, pT [GeV]": ("pT [GeV]", "Efficiency (double majority)", "below the least"
                                 " pT that counts too"),
        "efficiency, eta": (r"$\eta$", "Efficiency (double majority)", ""),
        "efficiency, hits in the event": ("Hits in the event", "Efficiency", ""),
        "fakes, eta": (r"$\eta$", "Fakes among tracks", "along the track's own direction"),
        "fakes, hits in the event": ("Hits in the event", "Fakes among tracks", ""),
    }  # fmt: skip
    for key, (axis, label, more) in words.items():
        series = {name: curves[key] for name, curves in methods.items() if key in curves}
        if series:
            along = "$p_T$ [GeV]" if axis.startswith("pT") else axis
            bound = 0.97 if "Efficiency" in label else 0.01
            page.add_figure(
                rates_along(series, along, label, logarithmic="pT" in axis, bound=bound),
                f"{label} in bins{', ' + more if more else ''}, with binomial errors; the line is"
                f" at {bound:g}.",
            )
