"""Count the collisions of an event and measure the density of pileup, in the study of pileup."""

from collections.abc import Callable
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.pileup import ACTIVITY, Particles, activity, pileup_density
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.interactions import InteractionCounter
from colliderkit.methods.regression.quantile import QuantileRegression
from colliderkit.metrics.pileup import bias_and_width
from colliderkit.report.pileup import interactions
from colliderkit.report.results import Result
from colliderkit.sources.detector.timing import Timing
from colliderkit.sources.files.collisions import read_collisions
from colliderkit.sources.toys.pileup import pileup_toy
from colliderkit.studies.run import Run
from colliderkit.training.settings import Training

__all__ = ["ALONE", "BIAS", "COUNTED", "MEDIAN", "RESOLUTION", "counted", "drawn", "label"]

EXACT = Timing(0.0)
BIAS, RESOLUTION = "bias", "resolution"
COUNTED, ALONE, MEDIAN = "all activity", "vertices alone", "grid median"


def drawn(run: Run[Any], name: str, count: int, mu: float, *, seed: int) -> ak.Array:
    """Return events of Pythia, generated once, or of the toy, with times without noise."""
    if run.scale.toy:
        return pileup_toy(count, mu, timing=EXACT, seed=[seed, count])
    path = run.generated(
        name.replace(" ", "-"), "pileup-qcd", count, seed=seed, pileup=mu, timing=EXACT
    )
    return read_collisions(path)[0]


def label(mu: float) -> str:
    """Name a sample."""
    return f"mu {mu:g}"


def counted(run: Run[Any]) -> None:
    """Count interactions and measure the density of pileup, by regression and by what is usual."""
    scale = run.scale
    tables: dict[str, dict[str, list[Floats]]] = {"train": {}, "test": {}}
    for i, mu in enumerate(scale.tested):
        for part, (name, count, seed) in {
            "train": (f"count {mu:g}", scale.counting, 40 + i),
            "test": (f"test {mu:g}", scale.test, 10 + i),
        }.items():
            draw = partial(drawn, run, name, count, mu, seed=seed)
            found = run.arrays(f"activity, {name}", partial(numbers, draw))
            for key, values in found.items():
                tables[part].setdefault(key, []).append(values)
    train = {name: np.concatenate(parts) for name, parts in tables["train"].items()}
    test = {name: np.concatenate(parts) for name, parts in tables["test"].items()}
    mus = np.repeat(scale.tested, [len(part) for part in tables["test"]["interactions"]])
    training = Training(epochs=5 if scale.toy else 60, batch_size=64, learning_rate=2e-3)
    rows: list[Result] = []
    for quantity in ("interactions", "pileup density"):
        answers: dict[str, Floats] = {}
        if quantity == "interactions":
            given = train["activity"], train["interactions"]
            counter = InteractionCounter.learn(*given)
            answers[COUNTED] = counter.count(test["activity"])[0]
            alone = InteractionCounter.learn(*given, names=("vertices",))
            answers[ALONE] = alone.count(test["activity"])[0]
            rows += closure(scale, *given)
        else:
            answers[MEDIAN] = test["activity"][:, ACTIVITY.index("rho")]
            model = run.fitted(
                "pileup density by regression",
                QuantileRegression(training=training, hidden=(32, 32)),
                train["activity"],
                train[quantity],
                names=list(ACTIVITY),
                progress=False,
            )
            answers[COUNTED] = model.predict(test["activity"]).estimate
        for name, answer in answers.items():
            for mu in scale.tested:
                mine = mus == mu
                errors = bias_and_width(answer[mine], test[quantity][mine])
                for what, v in zip((BIAS, RESOLUTION), errors, strict=True):
                    of = f"{quantity}: {what}, {label(mu)}"
                    rows.append(Result(name, of, v.value, v.error, counting=v.error))
        run.report.add_figure(
            interactions(
                test[quantity], answers, quantity, "GeV" if quantity == "pileup density" else ""
            ),
            f"Median and central 68% of what is estimated less the truth: {quantity}.",
        )
    run.report.add_results(
        rows,
        "Relative bias and resolution of each mean number of collisions. Errors are those of the"
        " tested events; the collisions of a sample are drawn from 2,000, whose mean activity is"
        " known to some 2%, and that shift is in each bias. The closure has none of it: nine"
        " tenths of the training events count the others.",
    )


def closure(scale: Any, activity: Floats, interactions: Floats) -> list[Result]:
    """Return the bias on the events of the training, each counted by what others have taught."""
    part = np.random.default_rng(0).integers(0, 10, len(interactions))
    found = np.zeros(len(interactions))
    for n in range(10):
        others = part != n
        counter = InteractionCounter.learn(activity[others], interactions[others])
        found[~others] = counter.count(activity[~others])[0]
    rows = []
    for mu, answer, truth in zip(
        scale.tested,
        np.split(found, len(scale.tested)),
        np.split(interactions, len(scale.tested)),
        strict=True,
    ):
        bias, _ = bias_and_width(answer, truth)
        of = f"interactions: closure, {label(mu)}"
        rows.append(Result(COUNTED, of, bias.value, bias.error, counting=bias.error))
    return rows


def numbers(draw: Callable[[], ak.Array]) -> dict[str, Floats]:
    """Return what is known of events, (N, 9), and what is to be found, (N,) each."""
    events = draw()
    return {
        "activity": activity(events),
        "interactions": np.asarray(events["interactions"], dtype=np.float64),
        "pileup density": pileup_density(Particles.of(events)),
    }
