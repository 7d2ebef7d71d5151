"""Autoencoders: what an error of reconstruction finds, and what it does not (2209.06225)."""

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.observables import table
from colliderkit.events.tables import Floats
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.metrics.anomaly import dark_machines
from colliderkit.metrics.roc import auc, roc
from colliderkit.metrics.value import Value
from colliderkit.report import classifiers
from colliderkit.report.distributions import distribution
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources import read
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
An autoencoder learns to reproduce events through a few numbers; what it reproduces badly is called
anomalous (arXiv:1808.08979, 1808.08992). That need not be what is rare. An error is large for what
is complex: trained on top quarks, an autoencoder may find light jets less anomalous than top quarks
(arXiv:2206.14225). And it depends on the coordinates in which events are written
(arXiv:2209.06225). Here both are measured on top quarks and light jets, in both directions, and a
training by contrast with anomalous counterparts (as in arXiv:2301.04660) is tried as a remedy.
"""
STAND_IN = """
Jets of Pythia 8 without a detector, 550 < pT < 650 GeV, in place of the public sets, and far fewer
of them; networks of some 10,000 parameters. The counterparts of jets are pairs of jets at a
distance, as one, and jets that lost particles: a choice that knows what jets are, and no signal.
"""
MEASURES = """
"AUC, trained on QCD" is that of top quarks against light jets, by a score that was trained on light
jets alone; "trained on top" that of light jets against top quarks, by a score trained on top quarks
alone. A density finds both. The figures of Dark Machines (arXiv:2105.14027) are for a training on
QCD: the share of top quarks that a cut keeps which passes a share eps_B of the light jets.
"AUC, logarithms" is that of the same columns after taking their logarithm: an invertible map, which
changes no likelihood ratio.
"""
QCD, TOP = "AUC, trained on QCD", "AUC, trained on top"
WORSE, CHANGE = "worse of both directions", "change of AUC by coordinates"
AIMS = (
    Aim("Complexity bias: simple jets are found worse than complex ones, by sets", TOP,
        "set, variational", "below", over=QCD),
    Aim("Complexity bias: the same by images", TOP, "image, plain", "below", over=QCD),
    Aim("Contrast helps the worse direction, of sets", WORSE, "set, contrastive", "above",
        against="set, plain"),
    Aim("Contrast finds light jets among top quarks, of sets", TOP, "set, contrastive", "above",
        0.5),
    Aim("The coordinates of a table change what is found", CHANGE, "table, plain", "above", 0.0),
)  # fmt: skip
COLUMNS = ("mass", "width", "ptd", "multiplicity", "tau32")
KINDS = ("plain", "variational", "contrastive")
CLASSES = ("QCD", "top")
TRAIN_SEED, TEST_SEED = 1, 2


@dataclass(frozen=True)
class Scale:
    """Jets of each class, and how each representation is trained."""

    train: int
    test: int
    table: Training
    image: Training
    set: Training
    seeds: int = 1
    pixels: int = 40


def schedule(epochs: int, batch_size: int = 128) -> Training:
    """Return the settings of so many epochs."""
    return Training(epochs=epochs, batch_size=batch_size, learning_rate=2e-3)


SHORT = schedule(1, 64)
SCALES = {
    "smoke": Scale(100, 60, SHORT, SHORT, SHORT, pixels=16),
    "laptop": Scale(4_000, 2_500, schedule(10), schedule(8), schedule(10)),
    "night": Scale(40_000, 20_000, schedule(20), schedule(15), schedule(30), seeds=5),
    "paper": Scale(600_000, 200_000, schedule(30), schedule(30), schedule(50), seeds=10),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "table": {"latent": 2, "options": {"hidden": (32, 16)}},
    "image": {"latent": 6, "options": {"power": 0.5}},
    "set": {"latent": 6},
}


def autoencoders(run: Run[Scale]) -> None:
    """Train on each class alone, and ask for the other."""
    scale, report = run.scale, run.report
    files = [
        run.generated(name, "top-qcd", count, seed=seed)
        for name, count, seed in (
            ("train", scale.train, TRAIN_SEED),
            ("test", scale.test, TEST_SEED),
        )
    ]
    train, test = (read(file) for file in files)
    label = np.asarray(test["label"])
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    rows: list[Result] = []
    scores: dict[str, Floats] = {}
    for representation in ("table", "image", "set"):
        data = {"train": prepared(train, representation), "test": prepared(test, representation)}
        for kind in KINDS:
            name = f"{representation}, {kind}"
            found = directions(run, name, data, np.asarray(train["label"]), label)
            scores[name] = found[0]
            rows += found[1]
        if representation == "table":
            rows += coordinates(run, data, np.asarray(train["label"]), label, rows)
    report.add_heading("What is found")
    report.add_results(
        [row for row in rows if "eps_S" not in row.quantity],
        "Errors are of counting in the test jets, and of seeds where there are several.",
        best={name: "higher" for name in (QCD, TOP, WORSE)},
    )
    report.add_results(
        [row for row in rows if "eps_S" in row.quantity],
        "Trained on QCD: the figures of Dark Machines. An eps_B of less than one light jet is left"
        " out.",
    )
    draw(run, scores, label)


def prepared(jets: ak.Array, representation: str) -> Any:
    """Return jets, or their table of positive columns."""
    if representation != "table":
        return jets
    return table(jets, COLUMNS)[0].astype(np.float64)


def scored(
    run: Run[Scale], name: str, data: dict[str, Any], chosen: NDArray[np.bool_], seed: int
) -> Floats:
    """Train on some of the jets and return the scores of all test jets."""
    representation, kind = name.partition(" on ")[0].split(", ")[:2]
    settings = SETTINGS[representation]
    options = dict(settings.get("options", {}))
    if representation == "image":
        options["pixels"] = run.scale.pixels
    method = Autoencoder(
        kind=kind,  # type: ignore[arg-type]
        representation=representation,  # type: ignore[arg-type]
        options=options,
        latent=settings["latent"],
        training=getattr(run.scale, representation),
    )
    fitted = run.fitted(f"{name}, seed {seed}", method, data["train"][chosen], seed=seed)
    return fitted.score(data["test"])


def directions(
    run: Run[Scale],
    name: str,
    data: dict[str, Any],
    train_label: NDArray[Any],
    label: NDArray[Any],
) -> tuple[Floats, list[Result]]:
    """Return the scores of the first training on QCD, and the rows of both directions."""
    areas: dict[str, list[Value]] = {QCD: [], TOP: [], WORSE: []}
    figures: dict[str, list[Value]] = {}
    kept: list[Floats] = []
    for seed in run.seeds:
        both = [
            scored(run, f"{name} on {CLASSES[k]}", data, train_label == k, seed) for k in (0, 1)
        ]
        kept.append(both[0])
        pair = auc(both[0], label), auc(both[1], 1 - label)
        for quantity, value in zip((QCD, TOP), pair, strict=True):
            areas[quantity].append(value)
        areas[WORSE].append(min(pair, key=float))
        for quantity, value in dark_machines(both[0], label).items():
            if quantity != "AUC" and np.isfinite(value.value):
                figures.setdefault(quantity, []).append(value)
    rows = [Result.over_seeds(name, q, values) for q, values in {**areas, **figures}.items()]
    return kept[0], rows


def coordinates(
    run: Run[Scale],
    data: dict[str, Floats],
    train_label: NDArray[Any],
    label: NDArray[Any],
    before: list[Result],
) -> list[Result]:
    """Take the logarithm of each column, and train on QCD again."""
    logarithms = {name: np.log(np.maximum(values, 1e-3)) for name, values in data.items()}
    rows = []
    for kind in KINDS:
        name = f"table, {kind}"
        values = [
            auc(scored(run, f"{name}, logarithms on QCD", logarithms, train_label == 0, s), label)
            for s in run.seeds
        ]
        found = Result.over_seeds(name, "AUC, logarithms", values)
        plain = next(r for r in before if r.subject == name and r.quantity == QCD)
        error = float(np.hypot(found.error or 0.0, plain.error or 0.0))
        change = Result(name, CHANGE, abs(found.value - plain.value), error)
        rows += [found, change]
    return rows


def draw(run: Run[Scale], scores: dict[str, Floats], label: NDArray[Any]) -> None:
    """Draw the rejection of each score, and the distributions of one."""
    run.report.add_figure(
        classifiers.roc({name: roc(score, label) for name, score in scores.items()}),
        "Rejection of light jets by a cut on the score, trained on light jets, first seed; bands"
        " are counting errors.",
        wide=True,
    )
    for name in ("set, variational", "set, contrastive"):
        score = scores[name]
        samples = {kind: score[label == k] for k, kind in enumerate(CLASSES)}
        edges = round_edges(*np.quantile(score, [0.002, 0.99]))
        run.report.add_figure(
            distribution(samples, edges, "Anomaly score", log=True),
            f"The score '{name}', trained on light jets.",
        )


STUDY = Study(
    *("autoencoders", "Autoencoders: complexity and coordinates", SUMMARY, SCALES, autoencoders),
    ("seeds", "workers", "dask"),
    aims=AIMS,
    events="{train} jets a class to train on, {test} a class to test",
    stand_in="the public sets of jets",
)
