"""Top tagging: the landscape of 1902.09914, one tagger for each way to represent a jet."""

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.events.images import JetImage
from colliderkit.events.schema import labels_of, weights_of
from colliderkit.methods.tagging import explain
from colliderkit.methods.tagging.comparison import TEST_SEED, TRAIN_SEED, Entry, Plan, compare
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.networks.deep_sets import EFN
from colliderkit.report import classifiers, images
from colliderkit.report.html import Report
from colliderkit.report.tagging import add_comparison, last_class
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources import read
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.tagging import add_export
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

LANDSCAPE = "arXiv:1902.09914"


def published(auc: float, accuracy: float, r30: float, error: float | None) -> dict[str, Any]:
    """Return the landscape's results, all measured on its public jets."""
    return {"AUC": (auc, None), "accuracy": (accuracy, None), "R30": (r30, error)}


ENTRIES = (
    Entry("PFN", {"network": "pfn"}, published(0.9819, 0.9322, 891, 18), LANDSCAPE),
    Entry("EFN", {"network": "efn"}, published(0.9789, 0.9265, 633, 31), LANDSCAPE),
    Entry("width", {"network": "linear", "observables": ["width"]}),
    Entry(
        "N-subjettiness(6)",
        {"network": "mlp", "observables": "nsubjettiness-6"},
        published(0.9789, 0.9251, 792, 18),
        LANDSCAPE,
    ),
    Entry(
        "N-subjettiness(8)",
        {"network": "mlp", "observables": "nsubjettiness-8"},
        published(0.9809, 0.9295, 867, 15),
        LANDSCAPE,
    ),
    Entry("boosted trees", {"network": "boosted-trees", "observables": "standard"}),
    Entry(
        "EFP",
        {"network": "linear", "representation": "efp", "represent": {"degree": 5}},
        published(0.9803, 0.9323, 384, None),
        LANDSCAPE,
    ),
    Entry("CNN", {"network": "cnn"}, published(0.9814, 0.9308, 914, 14), LANDSCAPE),
    Entry("ResNeXt", {"network": "resnext"}, published(0.9837, 0.9358, 1122, 47), LANDSCAPE),
    Entry("LSTM", {"network": "lstm"}),
    Entry(
        "ParticleNet-Lite",
        {"network": "particle-net-lite"},
        published(0.984, 0.937, 1262, 49),
        "arXiv:1902.08570",
    ),
    Entry(
        "ParticleNet", {"network": "particle-net"}, published(0.9848, 0.9384, 1298, 46), LANDSCAPE
    ),
    Entry(
        "ParT",
        {"network": "particle-transformer"},
        {"AUC": (0.9858, None), "R50": (413, 16), "R30": (1602, 81)},
        "arXiv:2202.03772",
    ),
)

# The published recipes need the published number of jets: with 100 times fewer, larger learning
# rates and smaller batches reach the same place in the time that a laptop has.
LAPTOP = {
    "PFN": Training(epochs=20, batch_size=100, learning_rate=5e-3),
    "EFN": Training(epochs=18, batch_size=100, learning_rate=5e-3),
    "width": Training(epochs=20, batch_size=500, learning_rate=2e-2),
    "N-subjettiness(6)": Training(epochs=20, batch_size=500, learning_rate=2e-3),
    "EFP": Training(epochs=100, batch_size=500, learning_rate=2e-2),
    "LSTM": Training(epochs=20, batch_size=64, learning_rate=2e-3, longest=40),
    "ParticleNet-Lite": Training(epochs=4, batch_size=64, learning_rate=5e-3, weight_decay=1e-4),
}
SMOKE = {name: Training(epochs=1, batch_size=64) for name in (entry.name for entry in ENTRIES)}
# Batches, rates and epochs as published where they are known.
PAPER = {
    "PFN": Training(epochs=50, batch_size=500, learning_rate=1e-3, patience=10),
    "EFN": Training(epochs=50, batch_size=500, learning_rate=1e-3, patience=10),
    "N-subjettiness(6)": Training(epochs=50, batch_size=1000, learning_rate=1e-3, patience=10),
    "N-subjettiness(8)": Training(epochs=50, batch_size=1000, learning_rate=1e-3, patience=10),
    "width": Training(epochs=5, batch_size=1000, learning_rate=1e-2),
    "EFP": Training(epochs=50, batch_size=1000, learning_rate=3e-3, patience=10),
    "CNN": Training(epochs=20, batch_size=256, learning_rate=1e-3),
    "ResNeXt": Training(epochs=20, batch_size=256, learning_rate=1e-3),
    "LSTM": Training(epochs=20, batch_size=500, learning_rate=1e-3),
    "ParticleNet-Lite": Training(epochs=20, batch_size=1024, learning_rate=5e-3, weight_decay=1e-4),
    "ParticleNet": Training(epochs=20, batch_size=384, learning_rate=3e-3, weight_decay=1e-4),
    "ParT": Training(
        epochs=20,
        batch_size=512,
        learning_rate=1e-3,
        weight_decay=0.01,
        schedule="flat-then-decay",
        longest=128,
    ),
}

SCALES = {
    "smoke": Plan(120, 80, 1, ("PFN", "EFN", "N-subjettiness(6)", "boosted trees", "EFP"), SMOKE),
    # The networks on images take hours on two cores: they come at paper scale.
    "laptop": Plan(
        4_000,
        2_500,
        1,
        (
            *("PFN", "EFN", "width", "N-subjettiness(6)", "boosted trees", "EFP", "LSTM"),
            "ParticleNet-Lite",
        ),
        LAPTOP,
    ),
    "paper": Plan(600_000, 200_000, 3, tuple(entry.name for entry in ENTRIES), PAPER),
}

STAND_IN = """
The jets have the selection of the public ones (14 TeV, anti-kT R = 0.8, 550 < pt < 650 GeV,
|eta| < 2, tops matched, no multiple interactions), generated by Pythia 8 at particle level, where
nothing blurs the mass. The public jets passed through Delphes, and there are 1.2 million of them to
train on. The published values are a scale to read ours against, and no target.
"""

DEFINITIONS = """
R30 is 1 / eps_B at eps_S = 30%, read off the exact ROC curve by linear interpolation. Of a few
thousand test jets it rests on a handful of background jets: compare taggers by their AUC, and by
the ratio in the figure.
"""

AIMS = (
    Aim("Every tagger beats a cut on the width, the best single observable", "AUC", "*", "above",
        against="width"),
    Aim("PFN beats EFN, which sees no angles between particles", "AUC", "PFN", "above",
        against="EFN"),
    Aim("ParticleNet-Lite beats PFN", "AUC", "ParticleNet-Lite", "above", against="PFN"),
    Aim("ParticleNet beats PFN", "AUC", "ParticleNet", "above", against="PFN"),
    Aim("ParT beats ParticleNet", "AUC", "ParT", "above", against="ParticleNet"),
)  # fmt: skip

CLASSES = ("QCD", "top")


def top_tagging(run: Run[Plan]) -> None:
    """Generate jets, train a tagger for each way to represent them, compare and explain."""
    files = (
        run.generated("train", "top-qcd", run.scale.train, seed=TRAIN_SEED),
        run.generated("test", "top-qcd", run.scale.test, seed=TEST_SEED),
    )
    train, test = (read(file) for file in files)
    taggers = compare(
        ENTRIES, run.scale, train, test, classes=CLASSES, seeds=run.seeds, fit=run.fitted
    )
    truth = last_class(labels_of(test), weights_of(test), CLASSES)
    run.report.add_definitions(DEFINITIONS)
    run.report.add_stand_in(STAND_IN)
    add_comparison(run.report, taggers, truth, train, test, "Delphes, 1.2M jets")
    what_they_see(run.report, {c.entry.name: c.taggers[0] for c in taggers}, test)
    add_export(run.report, taggers, test, run.out)


def what_they_see(report: Report, taggers: Mapping[str, Tagger], test: ak.Array) -> None:
    """Show what the networks look at: EFN filters, mean jet images, importances."""
    report.add_heading("What the networks see")
    if "EFN" in taggers:
        network = taggers["EFN"].model_.network
        assert isinstance(network, EFN)
        report.add_figure(
            images.filters(filter_responses(network, 0.8), 0.8),
            "The filters that the EFN learned, in the plane of rapidity and azimuth relative to the"
            " jet: each line is one filter at half of its maximum. What to look for: filters that"
            " are small near the axis and large far out would follow the logarithms of QCD's"
            " collinear singularity; boxes along the edge are filters that learned nothing.",
        )
    label = labels_of(test)
    image = JetImage(("px", "py", "pz", "E"))
    if "PFN" in taggers:
        ragged = taggers["PFN"].inputs(test)
        values, mask = ragged.padded(torch.arange(len(test)))  # type: ignore[union-attr]
        pixels = image(values, mask)[0][:, 0].numpy()
        report.add_figure(
            images.jet_images(
                {"QCD": pixels[label == 0].mean(0), "top": pixels[label == 1].mean(0)},
                image.width / 2,
            ),
            "Mean jet images of the test jets, centred, rotated and flipped. What to look for: the"
            " three prongs of a top, and the one of QCD.",
        )
    for name in ("boosted trees", "PFN"):
        if name in taggers:
            report.add_figure(
                classifiers.importance(explain.permutation_importance(taggers[name], test[:1000])),
                f"Drop in AUC of {name} when one input is shuffled among the test jets"
                " (± standard deviation over repetitions).",
            )


def filter_responses(network: EFN, reach: float, size: int = 60) -> NDArray[np.float32]:
    """Evaluate the EFN's filters on a grid, (L, size, size)."""
    grid = torch.linspace(-reach, reach, size)
    points = torch.cartesian_prod(grid, grid)
    with torch.inference_mode():
        response = network.filters(points)
    return response.T.reshape(-1, size, size).numpy()


SUMMARY = (
    "Jets of boosted top quarks against those of light quarks and gluons, after the landscape of"
    " top taggers (arXiv:1902.09914): one tagger for each way to represent a jet, trained on the"
    " same jets, generated by Pythia 8 and FastJet at particle level, where nothing blurs the mass."
)
STUDY = Study(
    "top-tagging",
    "Top tagging",
    SUMMARY,
    SCALES,
    top_tagging,
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    rankings=(Ranking("AUC", "higher", baselines=("boosted trees",)),),
    events="{train} training and {test} test jets a class",
    stand_in="the public jets, which passed through Delphes",
)
