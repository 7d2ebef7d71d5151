"""Does a generator know more than its training sample? Quantiles of two peaks (2008.06545)."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.metrics.quantiles import (
    equivalent_events,
    expected_error,
    quantile_error,
    share_error,
)
from colliderkit.report.amplification import densities, quantile_errors
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.seeds import derive
from colliderkit.sources.toys.camel import Camel, fit_camel
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Two normal peaks, a small sample of them, and three ways to know the density: the sample itself, a
fit of the five parameters, and a generator trained on the sample. The quantile error
sum (x_j - 1/K)^2, over K quantiles of the truth, says how many events of the truth each is worth.
After arXiv:2008.06545.
"""

READING = """
A sample of n events has the quantile error (1 - 1/K) / n in the mean. The equivalent events of a
density of error e are therefore (1 - 1/K) / e, and the amplification is their number over that of
the training sample. What is more than 1 is prior knowledge: the fit knows that there are two normal
peaks, and a network prefers smooth densities. 100,000 events are generated, so that the error is
that of the generator and not of its sampling.
"""

STAND_IN = """
The published generator is a GAN with regularisations of its own; here are a spline flow, flow
matching and a plain GAN, none of them tuned for this. The epoch is chosen by a fifth of the
training sample, which counts among the training events: by the loss, and for the GAN by the
Wasserstein distance. The published finding is an amplification above one that stays below the
fit's.
"""

Floats = NDArray[np.float64]
GENERATED = 100_000
SIZES = np.unique(np.geomspace(10, GENERATED, 25).astype(np.int64))
QUANTILES = 20
CAMEL = Camel()
EDGES = CAMEL.quantiles(QUANTILES)
OPTIONS: dict[str, dict[str, Any]] = {
    "flow": {"transforms": 2, "bins": 6, "hidden": (32, 32)},
    "flow-matching": {"width": 64, "blocks": 2},
    "gan": {"width": 64, "layers": 3},
}


FIT, ANY = "fit", "amplification of * events"
AIMS = (
    Aim("The fit is worth more than its sample, at all sizes", ANY, FIT, "above", 1.0),
    *(
        Aim(f"The {name} is worth more than its sample, at all sizes", ANY, name, "above", 1.0)
        for name in OPTIONS
    ),
    *(
        Aim(f"The {name} stays below the fit, at all sizes", ANY, name, "below", against=FIT)
        for name in OPTIONS
    ),
)


@dataclass(frozen=True)
class Scale:
    """Sizes of the training samples, repetitions (`seeds`), epochs and generators."""

    counts: tuple[int, ...]
    seeds: int
    epochs: int
    generators: tuple[str, ...] = tuple(OPTIONS)


SCALES = {
    "smoke": Scale((100,), 2, 15, ("flow", "gan")),
    "laptop": Scale((100, 1000), 12, 120),
    "paper": Scale((100, 1000, 10_000), 100, 300),
}


def amplification(run: Run[Scale]) -> None:
    """Ask of samples, fits and generators how many events of the truth they are worth."""
    scale, report = run.scale, run.report
    results = []
    plots = []
    first: dict[str, Floats] = {}  # events of each density: smallest sample, first repetition
    for count in scale.counts:
        samples = [sample(count, repetition) for repetition in run.seeds]
        errors = {"sample": np.array([quantile_error(x, EDGES) for x in samples])}
        curves = {}
        for name in (FIT, *scale.generators):
            draw = fitted if name == FIT else partial(generated, name, scale.epochs)
            parts = [
                run.arrays(f"{name} of {count} events, {i}", partial(judged, draw, count, i))
                for i in run.seeds
            ]
            errors[name] = np.array([float(part["error"]) for part in parts])
            curves[name] = np.stack([part["curve"] for part in parts])
            first.setdefault(name, parts[0]["events"])
        for name, values in errors.items():
            worth = equivalent_events(values.tolist(), QUANTILES)
            quantity = f"amplification of {count} events"
            results.append(Result.over_seeds(name, quantity, [worth.times(1 / count)]))
        mean = float(errors["sample"].mean())
        plots.append((count, quantile_errors(SIZES, curves, mean, count, QUANTILES)))
    report.add_stand_in(STAND_IN)
    report.add_heading("Equivalent events")
    for count, plot in plots:
        report.add_figure(
            plot,
            f"Quantile error of generated events, trained on {count}: mean and its error; lower is"
            " better. Grey: what independent events of the truth have; dotted: the training"
            " sample. Below the dotted line a density is worth more than its sample.",
        )
    ideal = expected_error(1, QUANTILES) / CAMEL.fit_error(1, EDGES)
    report.add_results(
        results,
        f"Amplification: equivalent events over training events, in {QUANTILES} quantiles, ± the"
        f" error of the mean over {len(run.seeds)} training samples. The sample itself has 1 in the"
        f" mean; a fit to many events has {ideal:.2f}, by the Fisher information.",
        best={result.quantity: "higher" for result in results},
        aside=("sample",),
    )
    report.add_definitions(READING)
    report.add_heading("One of the samples")
    count, x = scale.counts[0], np.linspace(-8, 8, 400)
    report.add_figure(
        densities(x, CAMEL.density(x), sample(count, 0), first),
        f"The truth, a sample of {count} events, and the densities learned from it; repetition 0.",
    )


def sample(count: int, repetition: int) -> Floats:
    """Draw the events (count,) that one repetition learns from."""
    return CAMEL.sample(count, [count, repetition])


def judged(draw: Any, count: int, repetition: int) -> dict[str, Floats]:
    """Return the quantile error of a density, those of its first n events, and what is shown."""
    events, error = draw(count, repetition)
    curve = np.array([quantile_error(events[:n], EDGES) for n in SIZES])
    shown = events if repetition == 0 else events[:0]
    return {"error": np.array(error), "curve": curve, "events": shown}


def fitted(count: int, repetition: int) -> tuple[Floats, float]:
    """Fit the five parameters; return events of the fit and the quantile error of its density."""
    fit = fit_camel(sample(count, repetition))
    events = fit.sample(GENERATED, [count, repetition, 1])
    return events, share_error(fit.shares(EDGES))


def generated(name: str, epochs: int, count: int, repetition: int) -> tuple[Floats, float]:
    """Train a generator; return events of it and their quantile error."""
    method = ConditionalGenerator(
        generator=name,
        options=OPTIONS[name],
        training=Training(epochs=epochs, batch_size=max(100, count // 4), learning_rate=5e-3),
    )
    method.fit(sample(count, repetition), seed=repetition, progress=False)
    events = method.sample(GENERATED, seed=derive(repetition, "generated events"))[:, 0]
    return events, quantile_error(events, EDGES)


STUDY = Study(
    "amplification",
    "GANplification: what a generator is worth",
    SUMMARY,
    SCALES,
    amplification,
    takes=("seeds",),
    aims=AIMS,
    events="training samples of {counts} events",
    stand_in="a GAN with regularisations of its own",
)
