"""Bars of weak supervision: two Gaussians against the exact optimum, topics, and efficiencies.

    python benchmarks/weak_supervision.py

Two classes of two unit Gaussian features, 2 standard deviations apart, in two mixed samples. An
efficiency is compared with that of the exact likelihood ratio on the same test events; the median
of three seeds counts. Toys are those of the study fractions-and-efficiencies at laptop scale.
"""

import statistics
from typing import Any

import numpy as np

from colliderkit.methods.method import versions
from colliderkit.methods.search.mixtures.proportions import LabelProportions
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.roc import auc, roc
from colliderkit.sources.toys.mixtures import GaussianClasses
from colliderkit.studies.fractions_and_efficiencies import (
    ANCHOR,
    ASYMPTOTE,
    COVERED,
    covered,
    topic_pulls,
)
from colliderkit.training.settings import Training
from comparison import options, row, save

COMMAND = "python benchmarks/weak_supervision.py"
TOY = GaussianClasses(2)
TRAINING = Training(epochs=6, batch_size=64, learning_rate=2e-3)
# Functions of the right means are told apart by their variance over the batch size: that of the
# method, which is small. Half the epochs are twice as many steps.
IN_BATCHES = Training(epochs=3, learning_rate=2e-3)
EVENTS, SCANNED, TEST, SEEDS = 40_000, 5_000, 100_000, 3
PAIRS = ((0.0, 1.0), (0.2, 0.8), (0.35, 0.65), (0.45, 0.55))
TOYS, TOY_EVENTS, COVERAGE, PASSING = 1_000, 20_000, 200, 4_000
WAYS = ("CWoLa", "absolute", "WMSE", "WCE", "likelihood")


def trained(way: str, fractions: tuple[float, float], events: int, seed: int) -> Any:
    """Return a classifier of two mixed samples."""
    training = TRAINING if way in ("CWoLa", "likelihood") else IN_BATCHES
    tagger = Tagger("mlp", features=TOY.columns, options={"hidden": [32, 32]}, training=training)
    named = dict(zip(("first", "second"), fractions, strict=True))
    method: Any = WithoutLabels(tagger, samples=tuple(named))
    if way != "CWoLa":
        method = LabelProportions(tagger, fractions=named, loss=way)  # type: ignore[arg-type]
    return method.fit(TOY.sample([events] * 2, fractions, [1, seed]), seed=seed, progress=False)


def main() -> None:
    """Measure every bar, and write the rows."""
    options(__doc__, jets=False, peers=False).parse_args()
    test = TOY.sample([TEST] * 2, (0.0, 1.0), 0)
    exact_roc = roc(TOY.log_ratio(test), test.truth)
    exact, best = float(exact_roc.background_at(0.5)[0]), float(exact_roc.auc)
    about: dict[str, Any] = {"versions": versions(), "command": COMMAND}
    rows = []
    for way in WAYS:
        found = []
        for seed in range(SEEDS):
            score = trained(way, (0.2, 0.8), EVENTS, seed).predict_proba(test)[:, 1]
            found.append(roc(score, test.truth).background_at(0.5))
        value, error = (statistics.median(float(pair[i]) for pair in found) for i in (0, 1))
        rows.append(
            row(f"eps_B at eps_S = 50%, {way}, fractions .2 and .8", value, exact, value / exact,
                error / exact, unit="", bar="within the counting error of the exact ratio",
                met=abs(value - exact) <= error, events=2 * EVENTS, test_events=2 * TEST,
                analytic=float(TOY.background_efficiency(0.5)), **about)
        )  # fmt: skip
    for way in ("CWoLa", "WMSE"):
        lost = []
        for pair in PAIRS:
            areas = [
                float(auc(trained(way, pair, SCANNED, s).predict_proba(test)[:, 1], test.truth))
                for s in range(SEEDS)
            ]
            lost.append(best - statistics.median(areas))
        names = [f"{low:g} and {high:g}" for low, high in PAIRS]
        rows.append(
            row(f"AUC lost at fractions {names[-1]}, {way}", lost[-1], lost[0], None, None, unit="",
                bar="more is lost the closer the fractions are",
                met=bool((np.diff(lost) > 0).all()), events=2 * SCANNED,
                lost=dict(zip(names, lost, strict=True)), **about)
        )  # fmt: skip
    for name in (ASYMPTOTE, ANCHOR):
        pulls = topic_pulls(name, TOYS, TOY_EVENTS)["pulls"]
        mean, width = pulls.mean(0), pulls.std(0, ddof=1)
        rows.append(
            row(f"topics, mean pull of the worse fraction, {name}", float(np.abs(mean).max()), None,
                None, float(1 / len(pulls) ** 0.5), unit="", bar="mean in [-.1, .1]",
                met=bool((np.abs(mean) <= 0.1).all()), toys=len(pulls), asked=TOYS, **about)
        )  # fmt: skip
        worse = float(width[np.abs(width - 1).argmax()])
        rows.append(
            row(f"topics, width of the pulls of the worse fraction, {name}", worse, None, None,
                float(1 / (2 * len(pulls)) ** 0.5), unit="", bar="width in [.9, 1.1]",
                met=bool((np.abs(width - 1) <= 0.1).all()), toys=len(pulls), asked=TOYS, **about)
        )  # fmt: skip
    for name, fractions in (("two samples", (0.2, 0.8)), ("three samples", (0.2, 0.5, 0.8))):
        inside = covered(fractions, COVERAGE, PASSING)["inside"].mean(0)
        error = (0.6827 * 0.3173 / COVERAGE) ** 0.5
        for kind, share in zip(COVERED, inside.tolist(), strict=True):
            rows.append(
                row(f"coverage, {name}, {kind}", share, 0.6827, None, error, unit="",
                    bar="68.3% within two binomial errors", met=abs(share - 0.6827) <= 2 * error,
                    toys=COVERAGE, **about)
            )  # fmt: skip
    save("weak_supervision", rows)


if __name__ == "__main__":
    main()
