"""Neutral energy beside a track: pi+ and pi0 that overlap, networks on images of calorimeters."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from colliderkit.events.calorimeter.library import ShowerLibrary, calibration
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.neutral_energy import (
    NeutralEnergy,
    neutral_energy,
    neutral_shares,
)
from colliderkit.methods.reconstruction.subtraction import ParametrisedSubtraction
from colliderkit.methods.reconstruction.superresolution import Superresolution
from colliderkit.metrics.particle_flow import direction_error, residual_bins
from colliderkit.metrics.response import Profile
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import in_bins, responses
from colliderkit.report.particle_flow import shares_of_an_event
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.seeds import derive
from colliderkit.sources.datasets.pion_pairs import READOUT, WIDTHS, PionPairs, pion_pairs
from colliderkit.sources.files.shower_libraries import read_library
from colliderkit.sources.geant4.library import generate_library
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.neutral_energy import NOTHING, ORACLE, WIDTH, neutral_rows
from colliderkit.tasks.superresolution import EVEN, MISPLACED, misplaced_rows
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
A charged and a neutral pion leave their energy in the same calorimeter cells, and the track of the
charged one tells its momentum. Which share of each cell is neutral is learned from images of the
layers and the track (arXiv:2003.08863), and compared with what particle flow does without learning:
subtracting what a charged pion of this momentum usually leaves, by the depth and the density of its
shower (arXiv:1703.10485).
"""
STAND_IN = """
The calorimeter is lead, iron and liquid argon in six layers of 6, 16 and 3 radiation lengths and
1.7, 3.3 and 1.7 interaction lengths, cells of {widths} mm: {physics}, without {missing}. The pions
come at right angles with {low:g} to {high:g} GeV, log-uniform; they are simulated apart, and any
pi+ is paired with any pi0 up to 120 mm away in x and in y. A cell reads its sum once, with a noise
of {noise:g} MeV and a threshold of {threshold:g} MeV. The track is exact: the momentum, and the
place where the pion enters.
"""
MEASURES = """
The neutral energy of an event is the sum of f E over its cells; the residual is (estimate - truth)
/ truth, the truth the sum with the true shares. Widths are half of the central 68%. No shower of
the test is in a pair of the training. Bins are of the neutral over the charged energy as read out.
The subtraction knows mean and spread of E / p, and the order of rings by density, from the charged
showers of the training.
"""
SUBTRACTION = "parametrised subtraction"
NETWORKS = {"dilated CNN": "dilated", "U-Net": "unet", "graph": "graph"}
BEST = "dilated CNN"
RATIO, BIAS = "width over that of the subtraction", "median residual of a bin"
EDGES = np.geomspace(0.5, 2.0, 9)
AIMS = (
    Aim("The network's width is at most 0.7 of the subtraction's in each bin", RATIO, f"{BEST}, *",
        "below", 0.7),
    Aim("Its bias is below 2% in each bin", BIAS, f"{BEST}, *", "within", (-0.02, 0.02)),
    Aim("It is better than the subtraction over all", WIDTH, BEST, "below", against=SUBTRACTION),
    Aim("Superresolution is better than even division", MISPLACED, "superresolution", "below",
        against=EVEN),
    Aim("The subtraction is better than nothing", WIDTH, SUBTRACTION, "below", against=NOTHING),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Showers of each kind, energies [MeV], pairs, epochs, fits, channels, and networks."""

    showers: int
    low: float
    high: float
    train: int
    test: int
    epochs: int
    seeds: int
    channels: int = 24
    kinds: tuple[str, ...] = tuple(NETWORKS)


SCALES = {
    "smoke": Scale(16, 2e3, 4e3, 40, 120, 1, 1, 6, (BEST,)),
    "laptop": Scale(500, 2e3, 20e3, 2_000, 4_000, 10, 1, kinds=(BEST,)),
    "night": Scale(6_000, 2e3, 20e3, 20_000, 20_000, 30, 3),
    "paper": Scale(50_000, 2e3, 50e3, 500_000, 50_000, 40, 5, 48),
}


def pi_plus_pi_zero(run: Run[Scale]) -> None:
    """Simulate pions, pair them, and tell the neutral energy in each way."""
    scale, report = run.scale, run.report
    library = read_library(run.file("pions.hdf5", partial(shot, run)))
    train, test = library.parts(0.75, 0.25, seed=1)
    factors = calibration(train)
    learning, judging = (
        pion_pairs(part, count, factors=factors, seed=derive(1, name))
        for part, count, name in ((train, scale.train, "train"), (test, scale.test, "test"))
    )
    report.add_stand_in(
        STAND_IN.format(
            widths=", ".join(f"{w:g}" for w in WIDTHS), physics=library.physics,
            missing=library.missing, low=scale.low / 1e3, high=scale.high / 1e3,
            noise=READOUT.noise, threshold=READOUT.threshold,
        )
    )  # fmt: skip
    report.add_definitions(MEASURES)
    report.facts.append(
        f"{number(judging.hits.counts.mean(), 3)} hits a pair; {len(test)} showers to test with"
    )
    judging = read_out(judging)
    true = neutral_shares(judging.hits)
    shares = predicted(run, library.z, learning, judging)
    shares |= {NOTHING: [np.ones_like(true)], ORACLE: [true]}
    add_residuals(run, judging, shares, true)
    add_bins(run, judging, shares, true)
    add_superresolution(run, train, test, factors)


def shot(run: Run[Scale], path: Any) -> None:
    """Shoot the pions of the library."""
    generate_library(
        "ecal-hcal", ("pi+", "pi0"), run.scale.showers, path,
        energies=(run.scale.low, run.scale.high), seed=1, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def read_out(pairs: PionPairs) -> PionPairs:
    """Return the pairs of which both pions are seen, 0.1 GeV of each or more."""
    deposit = pairs.hits.deposit.reshape(-1, 2)
    return pairs.at((deposit > 0.1).all(1))


def predicted(
    run: Run[Scale], depths: Floats, learning: PionPairs, judging: PionPairs
) -> dict[str, list[Floats]]:
    """Return the shares of hits by method, one array a seed."""
    scale = run.scale
    cells: dict[str, Any] = {"depths": [float(z) for z in depths]}
    subtraction = run.fitted(
        SUBTRACTION, ParametrisedSubtraction(**cells), learning.hits, learning.track
    )
    found = {SUBTRACTION: [subtraction.predict(judging.hits, judging.track)]}
    training = Training(epochs=scale.epochs, batch_size=16, learning_rate=2e-3)
    for name in scale.kinds:
        kind: Any = NETWORKS[name]
        method = NeutralEnergy(
            **cells, widths=WIDTHS, kind=kind, channels=scale.channels, training=training
        )
        found[name] = [
            run.fitted(
                f"{name}, seed {seed}", method, learning.hits, learning.track, seed=seed
            ).predict(judging.hits, judging.track)
            for seed in run.seeds
        ]
    return found


def add_residuals(
    run: Run[Scale], pairs: PionPairs, shares: dict[str, list[Floats]], true: Floats
) -> None:
    """Add residuals over all pairs, an event, and distributions."""
    report, hits = run.report, pairs.hits
    truth = neutral_energy(hits, true)
    rows: list[Result] = []
    for name, each in shares.items():
        tables = [
            neutral_rows(
                name, neutral_energy(hits, share), truth, direction_error(hits, share, true)
            )
            for share in each
        ]
        for same in zip(*tables, strict=True):
            values = [row.estimate for row in same]
            rows.append(Result.over_seeds(name, same[0].quantity, values))
    report.add_heading("Neutral energy")
    report.add_results(rows, "Over all pairs of the test.")
    ratio = np.abs(np.log(truth / np.maximum(hits.deposit.reshape(-1, 2)[:, 0], 1e-9)))
    near = np.argmin(ratio + np.abs(pairs.distance - 60) / 60)
    shown = {name: shares[name][0] for name in (BEST, SUBTRACTION)}
    report.add_figure(
        shares_of_an_event(hits, {"truth": true, **shown}, int(near), pairs.track[near]),
        "A pair in the layers of the calorimeter, seen along the axis: the colour is the neutral"
        " share of a cell, its area grows with the energy; the cross is the track.",
        wide=True,
    )
    drawn = {name: neutral_energy(hits, each[0]) / truth for name, each in shares.items()}
    report.add_figure(
        responses({n: r for n, r in drawn.items() if n != ORACLE}, np.linspace(0, 2, 41),
                  "Neutral energy / true neutral energy"),
        "Neutral energy over the true one, all pairs of the test.",
    )  # fmt: skip


def add_bins(
    run: Run[Scale], pairs: PionPairs, shares: dict[str, list[Floats]], true: Floats
) -> None:
    """Add widths and medians in bins of neutral over charged energy."""
    report, hits = run.report, pairs.hits
    truth = neutral_energy(hits, true)
    ratio = truth / np.maximum(hits.deposit.reshape(-1, 2)[:, 0], 1e-9)
    inside = (ratio >= EDGES[0]) & (ratio < EDGES[-1])
    edges = EDGES if run.scale_name != "smoke" else EDGES[::8]
    counts = np.histogram(ratio[inside], edges)[0]
    profiles: dict[str, list[Profile]] = {
        name: [
            residual_bins(neutral_energy(hits, share)[inside], truth[inside], ratio[inside], edges)
            for share in each
        ]
        for name, each in shares.items()
        if name != ORACLE
    }
    widths, medians, rows = {}, {}, []
    base = profiles[SUBTRACTION][0]
    for name, each in profiles.items():
        widths[name] = [value_of(each, "spread", "spread_error", i) for i in range(len(counts))]
        medians[name] = [value_of(each, "value", "error", i) for i in range(len(counts))]
        if name == NOTHING:
            continue
        for i, count in enumerate(counts):
            subject = f"{name}, {edges[i]:.2f} to {edges[i + 1]:.2f} ({count} pairs)"
            rows.append(Result(subject, BIAS, medians[name][i].value, medians[name][i].error))
            if name != SUBTRACTION:
                below = Value(base.spread[i], base.spread_error[i])
                share = widths[name][i].value / below.value
                error = share * float(
                    np.hypot(widths[name][i].error / widths[name][i].value,
                             below.error / below.value)
                )  # fmt: skip
                rows.append(Result(subject, RATIO, share, error))
    report.add_heading("By the neutral over the charged energy")
    for series, quantity, target in (
        (widths, "Half-width of the residual", None), (medians, "Median residual", 0.0)
    ):  # fmt: skip
        drawn = {name: values for name, values in series.items() if name != NOTHING}
        report.add_figure(
            in_bins(drawn, edges, r"$E_n / E_c$", quantity, target=target),
            f"{quantity} of the neutral energy, {counts.min()} to {counts.max()} pairs a bin.",
        )
    report.add_results(rows, "In bins of E_n / E_c; errors of ratios take both for independent.")


def add_superresolution(
    run: Run[Scale], train: ShowerLibrary, test: ShowerLibrary, factors: Floats
) -> None:
    """Learn the library's own cells from those that are read out, and compare."""
    fine, judged = (
        pion_pairs(part, max(count // 3, 1), widths=None, factors=factors, seed=derive(2, name))
        for part, count, name in ((train, run.scale.train, "train"), (test, run.scale.test, "test"))
    )
    judged = judged.at(slice(0, 1000))
    cells = [float(grid.width / grid.columns) for grid in train.grids]
    training = Training(epochs=run.scale.epochs, batch_size=16, learning_rate=2e-3)
    method = Superresolution(
        WIDTHS, depths=[float(z) for z in train.z], fine=cells, channels=run.scale.channels,
        noise=READOUT.noise, threshold=READOUT.threshold, training=training,
    )  # fmt: skip
    fitted = run.fitted("superresolution", method, fine.hits, fine.track)
    rows, misplaced = misplaced_rows(fitted, judged.hits, judged.track, seed=3)
    run.report.add_heading("Superresolution")
    run.report.add_results(
        rows,
        f"Cells of {', '.join(f'{w:g}' for w in WIDTHS)} mm are divided into ones of"
        f" {', '.join(f'{w:g}' for w in cells)} mm: the energy that is then in wrong cells.",
    )
    run.report.add_figure(
        responses(misplaced, np.linspace(0, 0.8, 41), "Share of the energy in wrong cells"),
        "Share of the energy of a pair that is put into wrong fine cells.",
    )


def value_of(profiles: list[Profile], name: str, error: str, place: int) -> Value:
    """Return the mean over seeds of a bin, with both errors in quadrature."""
    values = np.array([getattr(p, name)[place] for p in profiles])
    spread = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else 0.0
    counting = float(np.mean([getattr(p, error)[place] for p in profiles]))
    return Value(float(values.mean()), float(np.hypot(spread, counting)))


STUDY = Study(
    *("pi-plus-pi-zero", "Neutral energy beside a track", SUMMARY, SCALES, pi_plus_pi_zero,
      ("seeds", "workers", "dask")),
    aims=AIMS,
    events="{train} pairs to train on and {test} to judge, of {showers} showers of each kind",
    stand_in="the calorimeter of ATLAS",
)  # fmt: skip
