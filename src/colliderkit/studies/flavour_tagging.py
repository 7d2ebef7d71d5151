"""Flavour tagging with tracks: a recurrent network against a deep set (DIPS).

Sets train faster than sequences and need no order (ATL-PHYS-PUB-2020-014).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.schema import labels_of, weights_of
from colliderkit.methods.tagging.comparison import (
    TEST_SEED,
    TRAIN_SEED,
    Compared,
    Entry,
    Plan,
    compare,
)
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.tagging import Separation, Truth, add_comparison
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources import read
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.tagging import add_export
from colliderkit.training.settings import Training

__all__ = ["STUDY", "discriminant"]

# What RNNIP and DIPS read of a track, with impact parameters over their errors.
TRACKS = ("d0_significance", "z0_significance", "log_ptrel", "dr")
CHARM = 0.018  # the share of charm in the background that b-tagging discriminates against


def discriminant(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return D_b = ln p_b / (f_c p_c + (1 - f_c) p_light), classes (light, c, b)."""
    light, charm, bottom = np.maximum(probability, 1e-30).T
    return np.log(bottom / (CHARM * charm + (1 - CHARM) * light))


ENTRIES = (
    Entry(
        "RNN (LSTM)",
        {
            "network": "lstm",
            "features": TRACKS,
            "represent": {"order": "d0_significance"},
            "options": {"hidden": 100},
        },
    ),
    Entry(
        "RNN (GRU)",
        {
            "network": "gru",
            "features": TRACKS,
            "represent": {"order": "d0_significance"},
            "options": {"hidden": 100},
        },
    ),
    Entry(
        "Deep Sets (DIPS)",
        {
            "network": "dips",
            "features": TRACKS,
        },
    ),
)

SMOKE = {entry.name: Training(epochs=2, batch_size=32) for entry in ENTRIES}
LAPTOP = {entry.name: Training(epochs=20, batch_size=250, learning_rate=2e-3) for entry in ENTRIES}
PAPER = {
    entry.name: Training(epochs=50, batch_size=500, learning_rate=1e-3, patience=10)
    for entry in ENTRIES
}

STAND_IN = """
Charged particles of jets in dijet events (13 TeV, anti-kT R = 0.4) from Pythia 8, with the
displaced vertices of its hadron decays and impact parameters smeared by a parametrised
resolution, stand in for an experiment's simulation.
"""

DEFINITIONS = """
The label of a jet is that of the heavy hadron in its cone. Rejections are 1 / eps at a b-efficiency
of 70%, with the discriminant D_b = ln p_b / (f_c p_c + (1 - f_c) p_light), f_c = 0.018. All
networks read the same tracks and features; the sequence falls in |d0| / error.
"""

SECONDS = "seconds an epoch"
RNN, SET = "RNN (LSTM)", "Deep Sets (DIPS)"
AIMS = (
    Aim("The deep set is as good as the LSTM", "AUC", SET, "equal", against=RNN, tolerance=0.02),
    Aim("The deep set trains faster than the LSTM", SECONDS, SET, "below", against=RNN),
)

SUMMARY = (
    "Jets of b, c and light quarks told apart by the impact parameters of their tracks: a recurrent"
    " network on the sequence of tracks against a deep set on the same tracks."
)
CLASSES = ("light", "c", "b")
SEPARATIONS = (
    Separation("light rejection at 70%", 2, 0, 0.7),
    Separation("c rejection at 70%", 2, 1, 0.7),
)
SIGNIFICANCES = {
    "constituents.d0_significance": "constituents.d0 / constituents.d0_error",
    "constituents.z0_significance": "constituents.z0 / constituents.z0_error",
}
SCALES = {
    "smoke": Plan(80, 60, 1, ("RNN (LSTM)", "Deep Sets (DIPS)"), SMOKE),
    "laptop": Plan(6_000, 3_000, 2, tuple(entry.name for entry in ENTRIES), LAPTOP),
    "paper": Plan(500_000, 200_000, 5, tuple(entry.name for entry in ENTRIES), PAPER),
}


def flavour_tagging(run: Run[Plan]) -> None:
    """Generate jets with tracks, train sequences and sets on them, compare quality and time."""
    files = (
        run.generated("train", "flavour", run.scale.train, seed=TRAIN_SEED),
        run.generated("test", "flavour", run.scale.test, seed=TEST_SEED),
    )
    train, test = (read(file, columns=SIGNIFICANCES) for file in files)
    taggers = compare(
        ENTRIES, run.scale, train, test, classes=CLASSES, seeds=run.seeds, fit=run.fitted
    )
    truth = Truth(labels_of(test), weights_of(test), CLASSES, SEPARATIONS, discriminant)
    run.report.add_definitions(DEFINITIONS)
    run.report.add_stand_in(STAND_IN)
    add_comparison(run.report, taggers, truth, train, test)
    sets_against_sequences(run.report, taggers)
    add_export(run.report, taggers, test, run.out)


def sets_against_sequences(report: Report, taggers: Sequence[Compared]) -> None:
    """Add the time of an epoch of each network (ATL-PHYS-PUB-2020-014)."""
    epochs = {
        c.entry.name: [epoch.seconds for epoch in c.taggers[0].history_["network"]] for c in taggers
    }
    report.add_heading("Sets against sequences")
    report.add_results(
        [
            Result(name, SECONDS, float(np.mean(s)), float(np.std(s, ddof=1) / np.sqrt(len(s))))
            for name, s in epochs.items()
        ],
        "Time to train, mean over epochs ± its error. ATL-PHYS-PUB-2020-014 finds a deep set as"
        " good as a recurrent network, and faster.",
        best={SECONDS: "lower"},
        order=SECONDS,
    )


STUDY = Study(
    "flavour-tagging",
    "Flavour tagging",
    SUMMARY,
    SCALES,
    flavour_tagging,
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    rankings=(Ranking("AUC", "higher"),),
    events="{train} training and {test} test jets a class",
    stand_in="an experiment's simulation",
)
