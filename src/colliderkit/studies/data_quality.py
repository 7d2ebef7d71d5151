"""Data quality: which faults of a detector are found, of what size, at one rate of alarms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from colliderkit.methods.operations.certification import Certification
from colliderkit.methods.operations.closure import ALL, counted
from colliderkit.metrics.turn_on import efficiency_of, size_at
from colliderkit.metrics.value import Value
from colliderkit.report.data_quality import flags_by_month, monitor_map, turn_on
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.monitors.calorimeter import ETA, FAULTS, PHI, made_runs
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Shifters look at thousands of histograms to say which runs of an experiment are good. Here tests
look: pulls and chi2 against reference runs, principal components, losses of lumi sections that are
corrected in space and time, with and without an autoencoder, and timing. Each has a p-value by its
rank among good runs, and all together flag a share of good runs that was asked for. Faults are
made, so that it is known what they find: of each kind against its size.
"""
STAND_IN = """
The monitors are drawn from simple distributions: occupancy and time of 34 x 72 towers and a
spectrum, in 20 lumi sections a run, in place of those of CMS. Sizes at which faults are found hold
for this detector and these rates; that the joint rate is right holds for any.
"""
MEASURES = """
"combined" is the joint p-value at the rate; a single test is taken at its share of it (Sidak). A
fault is located if the worst bin of the leading test is one with the fault. "Size at 50%" and 95%
are interpolated in the share that is found, with errors of binomial fluctuations. The false
discovery rate is the mean, over runs and tests, of the share of bins without a fault among those
that Benjamini-Hochberg names at 10%; of all bins named together it is a share of its own.
"Sections until flagged" are counted from the begin of a fault to the end of the first stretch above
the cut of a test by sections, of the faults that are seen so. "Shortfall" is how many binomial
errors all tests together are below the best single one, at the worst size.
"""
RATE = 0.05
COMBINED = ALL
SIZES: dict[str, tuple[float, ...]] = {
    "module": (0.01, 0.02, 0.04, 0.07, 0.12, 0.25, 1.0),
    "tower": (0.1, 0.2, 0.3, 0.4, 0.55, 0.75, 1.0),
    "hot": (2.0, 4.0, 7.0, 12.0, 20.0, 30.0, 60.0),
    "gain": (0.02, 0.04, 0.06, 0.08, 0.11, 0.15, 0.2),
    "timing": (0.05, 0.1, 0.17, 0.24, 0.32, 0.45, 0.6),
    "scale": (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.045),
}
AIMS = (
    Aim("Good runs are flagged at the rate that was asked for", "good flagged", COMBINED,
        "equal", RATE, tolerance=0.01),
    Aim("All tests together are never 2 binomial errors below the best single one",
        "*: shortfall", COMBINED, "below", 2.0),
    Aim("The largest faults of each kind are found", "*: largest found", COMBINED, "above", 0.9),
    Aim("The false discovery rate of named bins is at most one in ten", "false discovery rate",
        COMBINED, "below", 0.1),
    Aim("Where references are renewed, good runs are flagged at the rate in the last month",
        "flagged in the last month", "renewed each month", "equal", RATE, tolerance=0.03),
    Aim("Where they are not, drift flags good runs", "flagged in the last month",
        "first month for all", "above", 2 * RATE),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Good runs to learn from and calibrate on, and to test; faulty ones a size; a drift's days."""

    fit: int
    good: int
    bad: int
    sizes: int
    months: int
    a_day: float
    training: Training


def training(epochs: int) -> Training:
    """Return how the autoencoder is trained."""
    return Training(epochs=epochs, batch_size=64, learning_rate=2e-3, schedule="cosine")


SCALES = {
    "smoke": Scale(40, 20, 4, 2, 1, 1.2, training(1)),
    "laptop": Scale(800, 1_000, 60, 7, 6, 4.0, training(20)),
    "night": Scale(2_500, 5_000, 400, 7, 12, 8.0, training(60)),
    "paper": Scale(5_000, 20_000, 1_000, 7, 12, 16.0, training(120)),
}


def data_quality(run: Run[Scale]) -> None:
    """Calibrate tests on good runs, and measure what they find of each kind of fault."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    method = Certification(
        tests=("beta-binomial", "pca", "sections", "means", "autoencoder"),
        rate=RATE,
        training=scale.training,
    )
    method = run.fitted("tests", method, made_runs(scale.fit, seed=1).runs, progress=False)
    after = method.last_ + 1
    good = run.value("good runs", lambda: counted(method, scale.good, after, [2]))
    faults = {
        kind: [
            (size, run.value(f"{kind} {size:g}", partial(
                counted, method, scale.bad, after, [3, i, list(FAULTS).index(kind)], kind, size)))
            for i, size in picked(SIZES[kind], scale.sizes)
        ]
        for kind in FAULTS
    }  # fmt: skip
    report.add_heading("Good runs")
    report.add_results(
        of_good(method, good, faults),
        "Share of good runs that is flagged, by all tests together and by each at its share, with"
        " the errors of those that are judged and of those that calibrate; luminosity that false"
        " alarms lose; and false bins among those that are named.",
    )
    for kind, found in faults.items():
        of_kind(run, method, kind, found, good)
    report.add_heading("Two flagged runs")
    pictures(run, method, after)
    report.add_heading("Drift")
    drift(run)


def picked(sizes: Sequence[float], count: int) -> Iterator[tuple[int, float]]:
    """Yield `count` of the sizes with their numbers, the last among them."""
    for i in np.linspace(0, len(sizes) - 1, count).round().astype(int):
        yield int(i), sizes[int(i)]


def of_good(
    method: Certification, good: dict[str, Any], faults: dict[str, list[tuple[float, Any]]]
) -> list[Result]:
    """Return rates of false alarms, and false bins among those named in all samples."""
    count, calibrated = good["runs"], len(method.joint_.calibration)
    rows = []
    for name, rate in [(COMBINED, RATE), *((n, method.joint_.share) for n in method.joint_.names)]:
        share = efficiency_of(good[name], count)
        error = float(np.hypot(share.error, (rate * (1 - rate) / calibrated) ** 0.5))
        rows.append(Result(name, "good flagged", share.value, error, counting=share.error))
    lost = good["lost"] / good["luminosity"]
    rows.append(Result(COMBINED, "luminosity lost, good runs", lost, max(lost, 0.5 / count) / max(
        good[COMBINED], 1) ** 0.5))  # fmt: skip
    samples = [good, *(sample for found in faults.values() for _, sample in found)]
    total = {key: sum(sample[key] for sample in samples) for key in (
        "named", "false", "proportions", "squares", "lists")}  # fmt: skip
    mean = total["proportions"] / total["lists"]
    spread = (total["squares"] / total["lists"] - mean**2) / total["lists"]
    rows.append(Result(COMBINED, "false discovery rate", mean, max(spread, 0.0) ** 0.5))
    if total["named"]:
        share = efficiency_of(total["false"], total["named"])
        rows.append(Result(COMBINED, "false bins of all named", share.value, share.error))
    return rows


def of_kind(
    run: Run[Scale],
    method: Certification,
    kind: str,
    found: list[tuple[float, dict[str, Any]]],
    good: dict[str, Any],
) -> None:
    """Show what is found of a kind of fault against its size."""
    sizes, count = [size for size, _ in found], run.scale.bad
    names = [COMBINED, *method.joint_.names]
    series = {name: [efficiency_of(f[name], count) for _, f in found] for name in names}
    run.report.add_heading(f"Fault: {kind}")
    best = sorted(names[1:], key=lambda n: -sum(v.value for v in series[n]))[:4]
    run.report.add_figure(
        turn_on(
            sizes,
            {name: series[name] for name in (COMBINED, *best)},
            f"Size: {FAULTS[kind][0].split(',')[0]}",
            first=COMBINED,
            good=good[COMBINED] / good["runs"],
        ),
        f"Share of runs with a fault of the kind {kind} that is found ({FAULTS[kind][0]}), by all"
        " tests together and the four best, each at its share of the joint rate.",
    )
    rows = []
    for name in names:
        for level in (0.5, 0.95):
            value = size_at(sizes, [f[name] for _, f in found], count, level)
            rows.append(of_value(name, f"{kind}: size at {level:.0%}", value))
    rows.append(of_value(COMBINED, f"{kind}: largest found", series[COMBINED][-1]))
    short = max(
        (max(f[n] for n in names[1:]) - f[COMBINED]) / count / series[COMBINED][i].error
        for i, (_, f) in enumerate(found)
    )
    rows.append(Result(COMBINED, f"{kind}: shortfall", short, 0.0))
    flagged = sum(f[COMBINED] for _, f in found)
    if flagged and kind != "scale":
        located = efficiency_of(sum(f["located"] for _, f in found), flagged)
        rows.append(of_value(COMBINED, f"{kind}: located of those found", located))
    until = np.array([n for _, f in found for n in f["until"]], dtype=float)
    if len(until) > 1:
        error = float(until.std(ddof=1) / len(until) ** 0.5)
        rows.append(Result(COMBINED, f"{kind}: sections until flagged", float(until.mean()), error))
    run.report.add_results(rows, f"What is found of {kind}.")


def of_value(subject: str, quantity: str, value: Value) -> Result:
    """Return a value as a result."""
    if value.lower_limit:
        return Result(subject, quantity, value.value, lower_limit=True)
    return Result(subject, quantity, value.value, value.error)


def pictures(run: Run[Scale], method: Certification, first: int) -> None:
    """Draw what a shifter sees of a gain that is low and of a region out of time."""
    for i, (kind, size) in enumerate((("gain", 0.2), ("timing", 0.45))):
        made = made_runs(1, fault=kind, size=size, first=first, seed=[5, i])
        found = method.certify(made.runs)
        test = next(t for t in method.tests_ if found.names[found.leading[0]] in t.names)
        values = method.maps(made.runs)[test.names[0]][0]
        if values.ndim != 2:
            continue
        eta, phi = (int(n) for n in np.unravel_index(int(found.place[0]), (ETA, PHI)))
        run.report.add_figure(
            monitor_map(
                values,
                found.names[found.leading[0]],
                marked=found.bins[test.names[0]][0].reshape(ETA, PHI),
                place=(eta, phi),
            ),
            f"A run with the fault {kind} of size {size:g}, p = {found.p[0]:.2g}: the worst bin is"
            " ringed, bins that Benjamini-Hochberg names are outlined.",
            wide=True,
        )


def drift(run: Run[Scale]) -> None:
    """Follow the flags of good runs of an ageing detector by month."""
    scale = run.scale
    month = int(30 * scale.a_day)

    def followed() -> dict[str, list[int]]:
        made = [
            made_runs(month, first=1 + i * month, a_day=scale.a_day, drift=0.01, seed=[4, i]).runs
            for i in range(scale.months + 1)
        ]
        each = [Certification(rate=RATE).fit(runs, progress=False) for runs in made[:-1]]
        return {
            "first month for all": [int(each[0].certify(r).flagged.sum()) for r in made[1:]],
            "renewed each month": [
                int(one.certify(r).flagged.sum()) for one, r in zip(each, made[1:], strict=True)
            ],
        }

    counts = run.value("drift", followed)
    series = {name: [efficiency_of(n, month) for n in found] for name, found in counts.items()}
    run.report.add_figure(
        flags_by_month([f"month {i + 2}" for i in range(scale.months)], series, RATE, "good runs"),
        "Good runs that are flagged while towers at the edge lose 1% of their response a month:"
        " with references and calibration of the first month, and of the month before.",
    )
    calibrated = (RATE * (1 - RATE) / (0.6 * month)) ** 0.5
    run.report.add_results(
        [
            Result(name, "flagged in the last month", values[-1].value,
                   float(np.hypot(values[-1].error, calibrated)), counting=values[-1].error)
            for name, values in series.items()
        ],
        "With the errors of the runs that are judged and of those that calibrate.",
    )  # fmt: skip


STUDY = Study(
    *("data-quality", "Data quality", SUMMARY, SCALES, data_quality),
    aims=AIMS,
    events="{fit} good runs to learn from and calibrate on, {good} to judge, {bad} a fault's size",
    stand_in="the monitors of CMS",
)
