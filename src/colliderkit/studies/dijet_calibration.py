"""A resonance of two jets, calibrated on QCD by squared error and by likelihood (2205.05084)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.tables import validation_mask
from colliderkit.methods.calibration import (
    Calibration,
    FlowCalibration,
    GaussianAnsatz,
    NumericalInversion,
    TruthRegression,
)
from colliderkit.metrics.response import profile
from colliderkit.metrics.value import Value, number
from colliderkit.report.distributions import distribution
from colliderkit.report.results import Result
from colliderkit.report.unfolding import by_bin
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.dijet_masses import DijetPairs, read_pairs_of_jets
from colliderkit.sources.detector.response import Detector, HadronResponse
from colliderkit.sources.pythia.shards import generate
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
Jets are calibrated on QCD, and a resonance is looked for with them. Which calibration? A network
of least squared error learns the mean of the true pt at what is seen, in which the falling spectrum
of QCD stands: it draws jets to smaller pt, also those of a resonance, which do not come from that
spectrum. What is learned at fixed truth, as a likelihood or the inverse of a response, knows no
spectrum (arXiv:2205.05084).
"""
STAND_IN = """
Published are jets of the CMS Open Data's simulation. Here both samples are of Pythia without
multiple interactions, anti-kT jets of R = 1.0, and the fast detector, whose hadron calorimeter
shows half of what is not electromagnetic. The resonance is a W' of 2 TeV to two quarks. Calibrated
is ln(pt) alone, without features of the jet.
"""
MEASURES = """
"Falling" is the spectrum of QCD; "flat" has the weight (leading true pt)^5 on it, which is how the
events were generated. A calibration is fitted under each and applied to other events. "Bias of the
bump" is the median of calibrated / true mass of the pair, less 1, for the resonance between 1.8
and 2.2 TeV true, and "bias of QCD" that of QCD in the same range: the resonance has jets of quarks
alone, whose response is another, and no calibration of pt alone knows that. What a calibration
makes of the spectrum that it learned from is "moved by the spectrum", the median of the mass
under flat over that under falling, less 1, for the same events of the resonance. "Width" is half
of the central 68% of calibrated / true over its median. "QCD above 2 TeV" is the number of QCD
events whose calibrated mass is above, over those whose true one is. The response has a tail to low
values: the most probable truth and the inverse of a median differ by it.
"""
FALLING, FLAT = "falling", "flat"
BIAS, OF_QCD = "bias of the bump [%]", "bias of QCD [%]"
MOVED, TAIL = "moved by the spectrum [%]", "QCD above 2 TeV, over the truth"
RAW, LEAST, LIKELY = "not calibrated", "squared error", "maximum likelihood"
FLOW, INVERSION = "flow likelihood", "numerical inversion"
AIMS = (
    Aim("Before calibration the bump is off by more than 1%", BIAS, RAW, "below", -1.0),
    Aim("Least squares learned on QCD put QCD of that mass too low by more than 0.5%", OF_QCD,
        f"{LEAST}, {FALLING}", "below", -0.5),
    Aim("Where they put the bump depends on the spectrum by more than 1%", MOVED, LEAST, "above",
        1.0),
    *(
        Aim(f"By {name} it depends on it by less than 0.5%", MOVED, name, "within", (-0.5, 0.5))
        for name in (INVERSION, LIKELY, FLOW)
    ),
    *(
        Aim(f"{name.capitalize()} puts the bump within 1%, under each spectrum", BIAS,
            f"{name}, *", "within", (-1.0, 1.0))
        for name in (INVERSION, LIKELY, FLOW)
    ),
)  # fmt: skip
# The bias that makes high masses as frequent as low ones; its power is that of "flat".
BIASED = (
    "PhaseSpace:bias2Selection = on; PhaseSpace:bias2SelectionPow = 5.;"
    " PhaseSpace:bias2SelectionRef = 600."
)
TRUTHS = (450.0, 2500.0)  # of true pt [GeV] that are learned from
WINDOW = (1800.0, 2200.0)
MASSES = (1200.0, 3500.0)  # of figures [GeV]
SEED, TEST = 1, 0.5


@dataclass(frozen=True)
class Scale:
    """Events of both samples, and how networks are trained."""

    qcd: int
    signal: int
    training: Training
    hidden: tuple[int, ...]
    bins: int
    shown: int = 12  # bins of the true mass in figures
    seeds: int = 1


settings = partial(Training, learning_rate=3e-3, schedule="cosine")
SCALES = {
    "smoke": Scale(300, 100, settings(2, 128), (8,), 6, 2),
    "laptop": Scale(30_000, 10_000, settings(20, 1_024, patience=6), (64, 64), 20),
    "night": Scale(400_000, 100_000, settings(30, 4_096, patience=8), (64, 64), 40, seeds=5),
    "paper": Scale(4_000_000, 1_000_000, settings(50, 8_192), (128, 128), 60, seeds=10),
}


def methods(scale: Scale) -> dict[str, Calibration]:
    """Return the calibrations, not fitted."""
    network: dict[str, Any] = {"hidden": scale.hidden, "training": scale.training}
    return {
        INVERSION: NumericalInversion(statistic="median", bins=scale.bins),
        LEAST: TruthRegression(**network),
        LIKELY: GaussianAnsatz(**network),
        FLOW: FlowCalibration(**network),
    }


def dijet_calibration(run: Run[Scale]) -> None:
    """Generate both samples, calibrate on QCD, and look at the masses of pairs."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    qcd = sample(run, "dijet-qcd", scale.qcd, BIASED)
    signal = sample(run, "dijet-signal", scale.signal, "")
    held = validation_mask(qcd.event, TEST, SEED)
    train, test = qcd.at(~held), qcd.at(held)
    calibrated: dict[str, list[tuple[Floats, Floats]]] = {RAW: [(test.mass(), signal.mass())]}
    for name, method in methods(scale).items():
        for prior in (FALLING, FLAT):
            seeds = run.seeds if hasattr(method, "training") else (0,)
            calibrated[f"{name}, {prior}"] = [
                masses(run, f"{name}, {prior}, seed {seed}", method, train, prior, seed,
                       (test, signal))
                for seed in seeds
            ]  # fmt: skip
    results = []
    for name, each in calibrated.items():
        results += bump(name, each, (test, signal))
    moved = []
    for name in methods(scale):
        pairs = zip(calibrated[f"{name}, {FLAT}"], calibrated[f"{name}, {FALLING}"], strict=True)
        ratios = [flat / falling for (_, flat), (_, falling) in pairs]
        moved.append(Result.over_seeds(name, MOVED, [middle(r, signal) for r in ratios]))
    report.add_heading("The bump")
    report.add_results(
        results,
        f"{number(int(inside(signal).sum()))} events of the resonance and {number(len(test))} of"
        f" QCD, which no calibration has seen; {number(len(train))} of QCD are learned from.",
        best={BIAS: 0.0, OF_QCD: 0.0, TAIL: 1.0},
    )
    report.add_results(
        moved,
        "The resonance calibrated under the flat over under the falling spectrum, event by event;"
        " errors of one seed are of counting, and know of no other training.",
        best={MOVED: 0.0},
    )
    shown = (RAW, f"{LEAST}, {FALLING}", f"{LIKELY}, {FALLING}")
    spectra = {"truth": signal.true_mass, **{n: calibrated[n][0][1] for n in shown}}
    report.add_figure(
        distribution(spectra, np.linspace(1400, 2400, 41), "Mass of the pair [GeV]"),
        "The resonance: true masses, as seen, and calibrated on the falling spectrum of QCD.",
    )
    edges = np.geomspace(*MASSES, scale.shown + 1)
    spectra = {"truth": test.true_mass, **{n: calibrated[n][0][0] for n in shown}}
    weights = dict.fromkeys(spectra, test.weight)
    report.add_figure(
        distribution(spectra, edges, "Mass of the pair [GeV]", log=True, weights=weights),
        "QCD: its spectrum, and its ratio to the true one.",
    )
    report.add_heading("At each true mass")
    for prior in (FALLING, FLAT):
        names = [name for name in calibrated if name.endswith(prior)]
        curves = {
            name.partition(",")[0]: profile(
                calibrated[name][0][0] / test.true_mass, test.true_mass, edges, statistic="median"
            ).value
            for name in names
        }
        report.add_figure(
            by_bin(curves, edges=edges, label="True mass of the pair [GeV]",
                   quantity="Calibrated / true mass", line=1.0, limits=(0.9, 1.1)),
            f"QCD: median of calibrated over true mass; calibrated under the {prior} spectrum.",
        )  # fmt: skip


def sample(run: Run[Scale], process: str, count: int, bias: str) -> DijetPairs:
    """Return events at both levels, generated once: the same ones with and without a detector."""
    detectors: dict[str, bool | Detector] = {
        "true": False,
        "seen": Detector(hadron_response=HadronResponse()),
    }
    # A process takes longer to start than a smoke run's events.
    where = {"workers": 1 if run.scale_name == "smoke" else run.workers, "dask": run.dask}
    options: dict[str, Any] = {"seed": SEED, "settings": bias, **where}

    def make(path: Path, detector: bool | Detector) -> None:
        generate(process, count, path, detector=detector, **options)

    paths = [
        run.file(f"{process}-{level}.parquet", partial(make, detector=detector))
        for level, detector in detectors.items()
    ]
    return read_pairs_of_jets(*paths)


def masses(
    run: Run[Scale],
    step: str,
    method: Calibration,
    train: DijetPairs,
    prior: str,
    seed: int,
    samples: tuple[DijetPairs, ...],
) -> tuple[Floats, Floats]:
    """Calibrate the pt of each jet; return the masses of pairs of both samples, made once."""

    def fitted() -> dict[str, Floats]:
        truth, seen = (x[..., 0].reshape(-1) for x in (train.truth, train.seen))
        weight = np.repeat(train.weight if prior == FALLING else np.ones(len(train)), 2)
        kept = (truth > TRUTHS[0]) & (truth < TRUTHS[1])
        method.fit(
            np.log(seen[kept]),
            np.log(truth[kept]),
            event=np.repeat(train.event, 2)[kept],
            weight=weight[kept],
            seed=seed,
            progress=False,
        )
        found = {}
        for name, events in zip(("qcd", "signal"), samples, strict=True):
            pt = events.seen[..., 0]
            estimate = method.predict(np.log(pt.reshape(-1)), outside="extrapolate").estimate
            found[name] = events.mass(np.exp(estimate).reshape(pt.shape))
        return found

    arrays = run.arrays(step, fitted)
    return arrays["qcd"], arrays["signal"]


def inside(events: DijetPairs) -> NDArray[np.bool_]:
    """Return which events have a true mass in the window, (N,)."""
    return (events.true_mass > WINDOW[0]) & (events.true_mass < WINDOW[1])


def middle(ratio: Floats, events: DijetPairs) -> Value:
    """Return the median of a ratio (N,) in the window, less 1, in percent."""
    low, median, high = np.quantile(ratio[inside(events)], [0.1587, 0.5, 0.8413])
    # Of a normal distribution the median has 1.25 times the error of the mean.
    error = 1.2533 * (high - low) / 2 / inside(events).sum() ** 0.5
    return Value(float(median - 1), float(error)).percent


def bump(
    name: str, each: list[tuple[Floats, Floats]], samples: tuple[DijetPairs, DijetPairs]
) -> list[Result]:
    """Return biases of both samples, the width of the resonance and the tail of QCD, over seeds."""
    qcd, signal = samples
    ratios = [(of_qcd / qcd.true_mass, of / signal.true_mass) for of_qcd, of in each]
    widths = []
    for _, ratio in ratios:
        low, median, high = np.quantile(ratio[inside(signal)], [0.1587, 0.5, 0.8413])
        width = (high - low) / 2 / median
        widths.append(Value(float(width), float(width / (2 * inside(signal).sum()) ** 0.5)).percent)
    values = {
        BIAS: [middle(ratio, signal) for _, ratio in ratios],
        OF_QCD: [middle(ratio, qcd) for ratio, _ in ratios],
        "width of the bump [%]": widths,
        TAIL: [above(of_qcd, qcd) for of_qcd, _ in each],
    }
    return [Result.over_seeds(name, quantity, found) for quantity, found in values.items()]


def above(mass: Floats, events: DijetPairs) -> Value:
    """Return QCD events above 2 TeV over those that are truly; what is in both does not count."""
    found, true = mass > 2000, events.true_mass > 2000
    total = events.weight[true].sum()
    error = np.sqrt((events.weight[found != true] ** 2).sum()) / total
    return Value(float(events.weight[found].sum() / total), float(error))


STUDY = Study(
    *("dijet-calibration", "A bump in calibrated jets", SUMMARY, SCALES, dijet_calibration),
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    events="{qcd} events of QCD, half of them to learn from, {signal} of a resonance",
    stand_in="jets of the CMS Open Data's simulation",
)
