"""Trigger-level records (scouting): small events at a high rate, and the bumps they can find."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.scouting import dijet_mass, expected_limit
from colliderkit.metrics.value import Value, number
from colliderkit.report.results import Result
from colliderkit.report.trigger import record_spectra
from colliderkit.report.verdict import Aim
from colliderkit.sources.files.trigger_records import reduced, write_records
from colliderkit.sources.toys.trigger import columns, dijets, measured, stream
from colliderkit.studies.run import Run, Study
from colliderkit.studies.trigger_stream import INPUT_RATE

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
Two soft jets are too common to be kept: a full event is large, and one of many is written. A record
of what the trigger itself has computed is small, and can be written for each. Records have more
events at low mass and a worse resolution. What is written, and how weak a narrow dijet resonance a
search excludes in an hour of either, is measured; the gain is compared with that of counting alone.
"""
STAND_IN = """
Events are drawn from simple distributions in the layout of the anomaly detection challenge 2021
(arXiv:2107.02157). Prescale, resolutions and the size of a full event (1 MB) are set; the gains
follow from them and are those of no experiment.
"""
MEASURES = """
A limit is the strength of a resonance, in events produced a second, that one hour excludes at 95%
in the median, by a fit of signal and a smooth spectrum to the dijet mass. The gain is the limit
from full events over that from records. "Counting" is the square root of the prescale, what the
gain would be with the same resolution; "resolution" is the gain over it, and "rounding" the change
of the records' limit by their two bytes a number.
"""
MASSES = (110.0, 150.0, 220.0)  # GeV
EDGES = np.concatenate([np.arange(84, 200, 4.0), np.arange(200, 400.1, 8.0)])
ONLINE, OFFLINE = 0.10, 0.07  # resolution of a jet's pt
CUT, PRESCALE = 40.0, 1_000  # GeV, of the second jet; full events that pass are one in so many
WRITTEN = tuple(f"j{i}_{quantity}" for i in (1, 2) for quantity in ("pt", "eta", "phi"))
FULL_EVENT = 1e6  # bytes, of the order of those of ATLAS and CMS
HOUR = 3_600.0
RECORDS, FULL = "records", "full events"
AIMS = (
    Aim("Records are written with less bandwidth than full events", "MB/s", RECORDS, "below",
        against=FULL),
    Aim("Records exclude weaker resonances", "gain", "*", "above", 1.0),
    Aim("Their resolution costs less than half of the gain", "resolution", "*", "above", 0.5),
    Aim("Two bytes a number cost nothing, within 2%", "rounding", "*", "within", (0.98, 1.02)),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events of the stream, and of each resonance."""

    events: int
    resonance: int


SCALES = {
    "smoke": Scale(30_000, 2_000),
    "laptop": Scale(1_000_000, 100_000),
    "night": Scale(20_000_000, 400_000),
    "paper": Scale(100_000_000, 1_000_000),
}
PIECE = 500_000  # events that are drawn at a time


def trigger_records(run: Run[Scale]) -> None:
    """Write records beside prescaled full events; look for bumps in both."""
    report = run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    found = run.arrays("stream", lambda: drawn(run))
    counts, passing, size = found["counts"], float(found["passing"]), float(found["bytes"])
    seconds = run.scale.events / INPUT_RATE
    share = passing / run.scale.events
    rate = Value(share, (share * (1 - share) / run.scale.events) ** 0.5).times(INPUT_RATE)
    written = {RECORDS: (1.0, size), FULL: (1 / PRESCALE, FULL_EVENT)}
    rows = []
    for name, (part, bytes_) in written.items():
        kept, width = rate.times(part), rate.times(part * bytes_ / 1e6)
        rows += [
            Result(name, "bytes an event", bytes_),
            Result(name, "rate", kept.value, kept.error, unit="1/s"),
            Result(name, "MB/s", width.value, width.error),
        ]
    report.add_heading("What is written")
    report.add_results(
        rows,
        f"Events with two jets above {CUT:g} GeV: records of {len(WRITTEN)} numbers and the event's"
        f" own, compressed, of all of them; full events at a prescale of {number(PRESCALE)}.",
    )
    scales = {RECORDS: HOUR / seconds, FULL: HOUR / seconds / PRESCALE}
    shown = dict(zip((RECORDS, FULL), counts, strict=False))
    report.add_figure(
        record_spectra(
            EDGES, {n: (scales[n] * c, scales[n] * np.sqrt(c)) for n, c in shown.items()}, "an hour"
        ),
        "What an hour keeps, from the events that were drawn; bars are the errors of these. A jet's"
        f" pt has a resolution of {ONLINE:.0%} in the trigger and {OFFLINE:.0%} in full events.",
    )
    report.add_heading("What can be measured")
    with run.step("limits"):
        rows = [
            row for i, mass in enumerate(MASSES) for row in limits(run, i, mass, counts, scales)
        ]
    report.add_results(
        rows, "Limits and gains, with the errors of the events that were drawn; gains that are"
        " compared are of the same events.",
    )  # fmt: skip


def drawn(run: Run[Scale]) -> dict[str, Floats]:
    """Return spectra of records, full events and records without rounding, (3, B), and sizes.

    The same events are looked at by the trigger and, with another resolution, in full.
    """
    total, passing, written = np.zeros((3, len(EDGES) - 1)), 0, 0
    for i, first in enumerate(range(0, run.scale.events, PIECE)):
        raw = stream(min(PIECE, run.scale.events - first), seed=[1, i])
        online = measured(raw, ONLINE, seed=[2, i])
        passed = columns(online)["j2_pt"] > CUT
        total += spectra(online[passed], measured(raw, OFFLINE, seed=[3, i])[passed])
        passing += int(passed.sum())
        written += write_records(
            run.out / f"records-{i}.h5", columns(online[passed]), WRITTEN,
            event=first + np.flatnonzero(passed), force=True,
        )  # fmt: skip
    return {"counts": total, "passing": np.array(passing), "bytes": np.array(written / passing)}


def spectra(online: Floats, offline: Floats) -> Floats:
    """Return spectra of the mass by records, full events, and records unrounded, (3, B)."""
    numbers = columns(online)
    three = (reduced(numbers, WRITTEN), columns(offline), numbers)
    masses = (
        dijet_mass(*(np.stack([of[f"j{j}_{q}"] for j in (1, 2)], 1) for q in ("pt", "eta", "phi")))
        for of in three
    )
    return np.stack([np.histogram(mass, EDGES)[0] for mass in masses]).astype(np.float64)


def limits(
    run: Run[Scale], place: int, mass: float, counts: Floats, scales: dict[str, float]
) -> list[Result]:
    """Return the limits on a resonance by both, the gain, and what it is made of."""
    raw = dijets(mass, run.scale.resonance, seed=[4, place])
    online = measured(raw, ONLINE, seed=[5, place])
    passed = columns(online)["j2_pt"] > CUT
    seen = spectra(online[passed], measured(raw, OFFLINE, seed=[6, place])[passed]) / len(raw)
    # Of one resonance a second.
    parts = {RECORDS: 1.0, FULL: 1 / PRESCALE, "unrounded": 1.0}
    found = [
        expected_limit(
            counts[i], EDGES, HOUR * part * seen[i], scale=scales.get(name, scales[RECORDS])
        )
        for i, (name, part) in enumerate(parts.items())
    ]
    subject = f"{mass:g} GeV"
    small, full, exact = found
    gain = full.value / small.value
    error = gain * float(np.hypot(full.error / full.value, small.error / small.value))
    counting = PRESCALE**0.5
    return [
        Result(subject, f"limit, {RECORDS}", small.value, small.error, unit="1/s"),
        Result(subject, f"limit, {FULL}", full.value, full.error, unit="1/s"),
        Result(subject, "gain", gain, error),
        Result(subject, "counting", counting),
        Result(subject, "resolution", gain / counting, error / counting),
        # The same events: what rounding moves among bins is far less than this error.
        Result(subject, "rounding", small.value / exact.value, small.error / small.value),
    ]


STUDY = Study(
    *("trigger-records", "Trigger-level records", SUMMARY, SCALES, trigger_records),
    aims=AIMS,
    events="{events} events of the stream, {resonance} of each resonance",
    stand_in="events of an experiment's trigger and detector",
)
