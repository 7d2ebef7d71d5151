"""Every block of Python and of shell in README and in docs/ runs, in the order of its page.

`REDUCED` makes counts, epochs, bootstraps and energies small; the text is otherwise run as it
stands. `GIVEN` makes what a page takes for granted: the reader's files and arrays.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import colliderkit as ck
from colliderkit.cli import main
from colliderkit.events.schema import FOURVECTOR
from contracts.cases.popularity import write_accesses
from samples import make_jets

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.S | re.M)
Names = dict[str, Any]
FEW = ck.Training(epochs=1, batch_size=100)

# What is not ColliderKit's: it is not run.
FOREIGN = ("make", "git", "pip", "cd")

# A surrogate that is fitted and exported in seconds.
SMALL = (
    "--layers.epochs 1 --voxels.epochs 1 --network_options '{width: 16, depth: 1}'"
    " --options '{steps: 2}' --layer_options '{transforms: 1, bins: 6, hidden: [16]}'"
)

# A command that runs on the README as it stands here.
IN_README = ""
BRIEF = 'ck.Tagger("pfn", training=ck.Training(epochs=1))'

# (what stands there, what is run), for each page; "" is for all.
QUICK_SEARCH = "folds=3, members=1, options={'rounds': 5, 'leaves': 4}"
FLOW = "--folds 2 --flow '{transforms: 1, hidden: [8], bins: 4}' --training.epochs 1"
WINDOWS = "--edges 2500,2700,2900,3100,3300,3500,3700,4000,4900"
QUICK_SHARES = "--size 16 --channels 4 --training.epochs 1"
QUICK_HEADS = "--width 8 --training.epochs 1"
REDUCED: dict[str, list[tuple[str, str]]] = {
    "README.md": [
        ('"top-qcd", 5000', '"top-qcd", 150'),
        ('ck.Tagger("pfn")', BRIEF),
        ("--network particle-net-lite", "--network particle-net-lite --training.epochs 1"),
        ("--bootstraps 20", "--bootstraps 2"),
        ("photons-368 20000", "photons-368 300"),
        ("'[500, 8000]'", "'[500, 600]'"),
        ("--network ring-mixer", f"--network ring-mixer {SMALL}"),
        ("--threshold 0.05", "--threshold 0.05 --width 16 --classifier.epochs 1"),
    ],
    "anomalies.md": [
        ("efficiency=0.02", f"efficiency=0.1, {QUICK_SEARCH}"),
        ("CwolaHunting(options=options)", "CwolaHunting(options=options, efficiency=0.1)"),
        ("--method cathode", f"--method cathode --efficiency 0.1 {FLOW}"),
        ("--method cwola-hunting", "--method cwola-hunting --efficiency 0.1 --members 1"),
        ("--null 20", f"--null 1 --options '{{rounds: 5, leaves: 4}}' --folds 3 {WINDOWS}"),
        ("--strengths 50,100,200,400", "--strengths 100"),
        ("strengths=[50, 100, 200]", "strengths=[100]"),
        ("null=2", "null=1, bins=9"),
    ],
    "autoencoders.md": [
        ('Autoencoder(kind="contrastive"', 'Autoencoder(training=FEW, kind="contrastive"'),
        ('Autoencoder(kind="normalised"', 'Autoencoder(training=FEW, kind="normalised"'),
        ("sample(1000", "sample(20, steps=5"),
        ('Autoencoder(representation="set"', 'Autoencoder(training=FEW, representation="set"'),
        ("--features mass", "--training.epochs 2 --features mass"),
    ],
    "latent-structure.md": [
        ('prior="dirichlet", latent=2', 'prior="dirichlet", latent=2, training=FEW'),
        ('prior="mixture")', 'prior="mixture", training=FEW)'),
    ],
    "semi-supervised.md": [
        ("reliance=0.5", "reliance=0.5, training=FEW"),
        ("--reliance 0.5", "--reliance 0.5 --training.epochs 1"),
    ],
    "quickstart.md": [
        ('"top-qcd", 5000', '"top-qcd", 150'),
        ('ck.Tagger("pfn")', BRIEF),
        ("--network pfn", "--network pfn --training.epochs 1"),
        ("generate top-qcd 5000", "generate top-qcd 100 --force"),
        ("top-qcd 1000", "top-qcd 100"),
        ("study gaussian-calibration --scale smoke", "study two-point-uncertainty --scale smoke"),
    ],
    "files.md": [("FILE...", "top.root"), ("100000 --detector --workers 2", "20")],
    "gallery.md": [("NAME --scale laptop", "two-point-uncertainty --scale smoke")],
    "inference.md": [
        ("sample(20_000", "sample(2_000"),
        ("sample(100_000", "sample(4_000"),
        ("Training(epochs=5, batch_size=2000", "Training(epochs=1, batch_size=500"),
        ("Training(epochs=5, batch_size=1000", "Training(epochs=1, batch_size=500"),
        ("1, 50_000)", "1, 3_000)"),
        ("(50_000, 1)", "(3_000, 1)"),
        ("experiments=100", "experiments=40"),
    ],
    "non-resonant.md": [
        (
            "nonclosure=0.02)",
            "nonclosure=None, least=1e-3, training=short)",
        ),
        (
            "--columns a,b,c",
            "--columns a,b,c --nonclosure null --least 0.001 --training.epochs 4"
            " --training.batch_size 256 --training.learning_rate 0.01",
        ),
    ],
    "resonant-methods.md": [
        ("50_000", "4_000"),
        ("efficiency=0.01", "efficiency=0.1, training=short, flow={'transforms': 1}"),
        ("Salad(", "Salad(training=short, efficiency=0.1, "),
        ("--scale laptop", "--scale smoke"),
    ],
    "reweighting.md": [
        # Jets whose theta is seen at once: to learn it from few of Pythia's takes minutes.
        ("from colliderkit.sources.pythia.jets import jets", "jets = dijets"),
        ("10_000, seed=1", "4_000, seed=1"),
        ("5000, seed=2", "2_000, seed=2"),
        ("batch_size=250", "batch_size=100"),
        ("bootstrap(100", "bootstrap(10"),
        ("--events 5000", "--events 100"),
    ],
    "shower-test.md": [
        ("photons-368 40000", "photons-368 300"),
        ("'[500, 64000]'", "'[500, 600]'"),
        ("'[500, 2000, 8000, 64000]'", "'[500, 550, 600]'"),
        ("(500, 2000, 8000, 64000)", "(500, 550, 600), width=16, classifier=short"),
        ("--threshold 0.2", "--threshold 0.2 --width 16 --classifier.epochs 1"),
        ("colliderkit report runs/gflash", IN_README),
    ],
    "surrogates.md": [
        ("photons-368 40000", "photons-368 300"),
        ("'[500, 64000]'", "'[500, 600]'"),
        ("photons-368 --out", f"photons-368 {SMALL} --out"),
        ("--threshold 0.05", "--threshold 0.05 --width 16 --classifier.epochs 1"),
        ('network="ring-mixer"', 'network="ring-mixer", layers=short, voxels=short'),
        ("colliderkit report runs/test", IN_README),
        ("colliderkit export runs/surrogate --out surrogate.onnx", IN_README),
    ],
    "tagging.md": [
        ('"top-qcd", 5000', '"top-qcd", 150'),
        ('Tagger("pfn")', 'Tagger("pfn", training=FEW)'),
        ("epochs 20", "epochs 1"),
        ("colliderkit export runs/pn --files data.root --out tagger.onnx", IN_README),
    ],
    "clustering.md": [
        ("silicon-tungsten 2000", "silicon-tungsten 4 --energies '[1000, 1100]'"),
        ("overlapping-showers 5000", "overlapping-showers 40"),
        ("overlapping-showers 1000", "overlapping-showers 40"),
        (
            "fit clustering train.parquet",
            "fit clustering train.parquet --width 8 --training.epochs 1",
        ),
    ],
    "particle-flow.md": [
        ("ecal-hcal 500", "ecal-hcal 4"),
        ("'[200, 50000]'", "'[500, 1500]'"),
        ("particle-flow 3000", "particle-flow 20"),
        ("particle-flow 1000", "particle-flow 12"),
        (
            "fit particle-flow train.parquet --out",
            "fit particle-flow train.parquet --width 8 --training.epochs 1 --out",
        ),
        ("incidence-flow --out", "incidence-flow --width 8 --training.epochs 1 --out"),
    ],
    "neutral-energy.md": [
        ("ecal-hcal 1000", "ecal-hcal 5"),
        ("'[2000, 20000]'", "'[2000, 2100]'"),
        ("pion-pairs 3000", "pion-pairs 40"),
        ("pion-pairs 1000", "pion-pairs 40"),
        ("train.parquet --out runs/neutral", f"train.parquet {QUICK_SHARES} --out runs/neutral"),
        ("NeutralEnergy(kind", "NeutralEnergy(training=FEW, kind"),
        ("160.0)).fit", "160.0), training=FEW, channels=4).fit"),
    ],
    "raw-data.md": [
        ("ecal-hcal 1000", "ecal-hcal 3"),
        ("'[2000, 20000]'", "'[2000, 2100]'"),
        ("calorimeter-objects 5000", "calorimeter-objects 60"),
        ("calorimeter-objects 1000", "calorimeter-objects 60"),
        ("objects.parquet --out runs/raw\n", f"objects.parquet {QUICK_HEADS} --out runs/raw\n"),
        ("'[energy]' --out", f"'[energy]' {QUICK_HEADS} --out"),
        ("shape-trees --out", "shape-trees --rounds 3 --out"),
        ("RawData()", "RawData(width=8, training=FEW)"),
    ],
    "event-objects.md": [
        *(
            (f"event-objects 2000 --kind {k}", f"event-objects 40 --pileup 0 --kind {k}")
            for k in ("qcd", "w", "top")
        ),
        ("event-objects 500", "event-objects 20 --pileup 0"),
        ("fit object-detection --files", f"fit object-detection {QUICK_HEADS} --files"),
        ("clustered-objects --files", "clustered-objects --rounds 3 --files"),
        ("radius=1.0)", "radius=1.0, width=8, training=FEW)"),
    ],
    "trigger-tagging.md": [
        ("trigger-seeds 4000 --kind qcd", "trigger-seeds 60 --pileup 0 --tracker helix --kind qcd"),
        ("trigger-seeds 3000 --kind b", "trigger-seeds 30 --pileup 0 --tracker helix --kind b"),
        ("trigger-seeds 1000 --kind b", "trigger-seeds 30 --pileup 0 --tracker helix --kind b"),
        ("trigger-seeds 1000 --kind top", "trigger-seeds 30 --pileup 0 --tracker helix --kind top"),
        ("trigger-seeds 2000 --kind w", "trigger-seeds 40 --pileup 0 --tracker helix --kind w"),
        ("'[0.01, 0.0001, 0.001]'", f"'[0.1, 0.1, 0.1]' {QUICK_HEADS}"),
        (
            "TriggerTagging(shares=[0.01, 0.0001, 0.001])",
            "TriggerTagging(shares=[0.1, 0.1, 0.1], training=FEW)",
        ),
    ],
    "control.md": [
        ("DifferentiablePolicy()", "DifferentiablePolicy(iterations=2, batch_size=4, hidden=4)"),
        ("20_000", "20"),
        ("machine.draw(20, 2)", "machine.draw(3, 2)"),
        ("steps=20", "steps=2"),
        ("beam-tuning --out", "beam-tuning --trials 20 --iterations 2 --hidden 4 --out"),
        ("--trials 20 --out policy-test", "--trials 3 --measurements 5 --out policy-test"),
    ],
    "detector-optimisation.md": [
        ('"hidden": [32, 32]}', '"hidden": [8]}, training=short'),
        ("members=4", "members=2, draws=64"),
        ("optimum([3.0])", "optimum([3.0], steps=3)"),
    ],
    "pileup.md": [
        ("pileup-qcd 400 --pileup 60 --out events.parquet", "pileup-qcd 5 --out made.parquet"),
        ("events.parquet --out runs/graph", "events.parquet --out runs/graph --training.epochs 1"),
        ('PileupGraph(labels="charged")', 'PileupGraph(labels="charged", training=FEW)'),
    ],
    "vertexing.md": [
        ("pileup-qcd 1000 --pileup 60 --out events.parquet", "pileup-qcd 5 --out made.parquet"),
        ("--out runs/vertices\n", "--out runs/vertices --training.epochs 1\n"),
        ("DensityVertices(false=0.03)", "DensityVertices(false=0.03, training=FEW)"),
    ],
    "secondary-vertices.md": [
        ("generate flavour 5000 --out jets.parquet", "generate b 2 --out made.parquet"),
        ("--out runs/secondary\n", "--out runs/secondary --training.epochs 1 --width 8\n"),
        ("--out runs/adaptive\n", "--tune false --out runs/adaptive\n"),
        # The contract of the task exports, which takes most of a minute.
        ("colliderkit export runs/secondary test.parquet --out secondary.onnx\n", ""),
        ("SecondaryVertices()", "SecondaryVertices(width=8, training=FEW)"),
    ],
    "taus.md": [
        ('generate_taus(5_000, 8_000, "taus.parquet", seed=1)\n', ""),
        ('generate_taus(2_000, 3_000, "test.parquet", seed=2)\n', ""),
        ("features=VARIABLES, classes", "features=VARIABLES, options=FEWER, classes"),
        ('    regress=("response",),', '    regress=("response",), training=FEW, options=SMALL,'),
        ("--network pfn", "--network pfn --training.epochs 1"),
    ],
    "popularity.md": [
        ("past.csv --out runs/popularity", "past.csv --rounds 20 --out runs/popularity"),
        ("--cache 0.05", "--cache 0.05 --held_out 0.3 --rounds 20"),
    ],
    "network.md": [
        ("--out runs/forecast\n", "--kind logistic --day 200 --out runs/forecast\n"),
        ('kind="trees"', 'kind="smoothing"'),
        ("1_440", "200"),
    ],
    "tracking.md": [
        ("tracker-helices 40", "tracker-helices 6"),
        ("volumes=[7, 8, 9]", "volumes=[7, 8, 9], width=8, training=FEW"),
        ("fit tracking events", "fit tracking events --width 8 --training.epochs 1"),
        ("tracker-guns 200", "tracker-guns 6 --vertices 3"),
        ("tracker-guns 50", "tracker-guns 4 --vertices 3"),
        ("'[1, 3, 10]'", "'[1, 2]' --width 8 --training.epochs 1"),
    ],
    "trigger.md": [
        ("features=names)", "features=names, training=short)"),
        ("target=1_000", "target=50_000"),
        ("--input_rate 20000", "--input_rate 20000 --training.epochs 1"),
        ('"jets": [2, 4]},\n)', '"jets": [2, 4]},\n    smallest=100,\n)'),
    ],
    "your-files.md": [("--network pfn", "--network pfn --training.epochs 1")],
    "unfolding.md": [
        ("iterations=5", "iterations=1"),
        ("iterations=8", "iterations=2"),
        ("bootstraps=50, members=3, workers=2", "bootstraps=2, members=2, workers=1"),
        ("bootstraps=20", "bootstraps=2"),
        ("--iterations 5 --members 3 --bootstraps 20", "--iterations 1 --members 2 --bootstraps 2"),
    ],
}


def table(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns by the names that the pages use, which hang together as they should."""
    random = np.random.default_rng(seed)
    m_true = random.uniform(5, 35, count)
    log_pt = random.uniform(4, 6, count)
    a, b = random.normal(size=count), random.lognormal(size=count)
    return {
        "m_true": m_true,
        "w_true": random.uniform(0.1, 0.4, count),
        "m": np.clip(m_true + random.normal(0, 2, count), 1, 39),
        "w": random.uniform(0.5, 1.5, count),
        "pt_true": np.exp(log_pt),
        "pt": np.exp(log_pt + random.normal(0, 0.1, count)),
        "log_pt": log_pt,
        "eta": random.uniform(-2, 2, count),
        "tracks": random.uniform(1, 20, count),
        "mass": random.lognormal(4, 0.3, count),
        "width": random.uniform(0.1, 0.4, count),
        "mjj": 500 + random.exponential(400, count),
        "a": a,
        "b": b,
        "c": random.lognormal(size=count),
        "y": a + np.log(b) + random.normal(0, 0.2, count),
        "is_signal": (a + random.normal(size=count) > 0).astype(np.int64),
        "event_number": np.arange(count),
    }


def rows(*names: str, count: int = 400) -> None:
    """Write a table of events as each of the files `names`."""
    for i, name in enumerate(names):
        ck.write(name, table(count, i))


def particles(*names: str, count: int = 150) -> None:
    """Write a file of jets of one class as each of `names`: signal where the name says top or w."""
    for i, name in enumerate(names):
        jets = make_jets(3 * count, i)
        for column in FOURVECTOR:  # hard enough for the cuts of the pages
            jets["constituents", column] = 10 * jets["constituents", column]
        jets["jet_pt"] = 10 * jets["jet_pt"]
        jets["jet_mass"] = 10 * jets["jet_mass"]
        signal = name.startswith(("top", "w.", "w_", "data"))
        ck.write(name, jets[jets.label == signal][:count])


def given_readme() -> Names:
    import onnxruntime

    particles("top.root", "qcd.root", "top_test.root", "qcd_test.root", "data.root")
    rows("measured.root", "simulation.root")
    momenta = np.zeros((2, 10, 4), np.float32)
    momenta[:, :3] = (30.0, 20.0, 10.0, 40.0)
    return {"onnxruntime": onnxruntime, "momenta": momenta}


def given_files() -> Names:
    names = given_tagging()
    random = np.random.default_rng(1)
    pairs = random.uniform([2, 0.02, 0, 0.1, 0.1, 0], [5, 0.3, 0.5, 0.9, 0.9, 2], (100, 6))
    pairs[:, 5] = np.floor(pairs[:, 5])
    np.save("innerdata_train.npy", pairs)
    return names


def given_your_files() -> Names:
    particles("top.root", "qcd.root", "top_test.root", "qcd_test.root", "data.root")
    rows("events.root")
    for name in ("top.root", "qcd.root"):
        jets = ck.read(name)
        px, py, pz = (jets.constituents[column] for column in ("px", "py", "pz"))
        pt = np.hypot(px, py)
        columns = {"p_pt": pt, "p_eta": np.arcsinh(pz / pt), "p_phi": np.arctan2(py, px)}
        ck.write(f"own_{name}", columns | {"w": np.ones(len(jets))})
    return {}


def given_calibration() -> Names:
    rows("pairs.root", "data.root", "test.root", count=2000)
    random = np.random.default_rng(1)
    names: Names = {}
    for prefix in ("", "other_"):
        truth = random.normal(size=3000)
        names |= {
            f"{prefix}truth": truth,
            f"{prefix}measured": truth + random.normal(0, 0.5, 3000),
            f"{prefix}features": random.normal(size=(3000, 1)),
        }
    return names


def given_decorrelation() -> Names:
    particles("w.parquet", "qcd.parquet", "w_test.parquet", "qcd_test.parquet", count=400)
    for names in (("w.parquet", "qcd.parquet"), ("w_test.parquet", "qcd_test.parquet")):
        pair = [ck.read(name) for name in names]  # a quarter of each is of the other class
        for i, name in enumerate(names):
            mixed = ak.concatenate([pair[i][:300], pair[1 - i][300:]])
            mixed["label"] = np.full(len(mixed), 1 - i)
            ck.write(name, mixed, force=True)
    jets = ak.concatenate([ck.read("w.parquet"), ck.read("qcd.parquet")])
    random = np.random.default_rng(1)
    run_shell(
        "colliderkit fit tagging --signal w.parquet --background qcd.parquet"
        " --network boosted-trees --out runs/trees"
    )
    columns = ("score", "mass", "other_score", "other_mass")
    numbers = {name: random.uniform(size=500) for name in columns}
    return {"jets": jets, "test": make_jets(500, 9), "weight": np.ones(500), **numbers}


def given_inference() -> Names:
    rows("s.root", "b.root", "data.root", "s_test.root", "b_test.root")
    return {}


def given_observables() -> Names:
    rows("train.root", "simulation.root", "other.root", count=1000)
    random = np.random.default_rng(1)
    truth = random.normal(size=(2, 1000))
    reco = truth[..., None] + random.normal(0, 0.5, (2, 1000, 2))
    return {
        "reco_train": reco[0],
        "truth_train": truth[0],
        "weight_train": np.ones(1000),
        "data": reco[1][:500],
        "reco": reco[1],
        "truth": truth[1],
        "truth_edges": (-4, -0.7, 0, 0.7, 4),
    }


def given_ratio() -> Names:
    import onnxruntime

    for name in ("nature.root", "simulation.root", "nature_test.root", "simulation_test.root"):
        rows(name, count=1000)
    random = np.random.default_rng(1)
    return {
        "onnxruntime": onnxruntime,
        "nature": random.normal(0.2, 1, (1000, 2)),
        "simulation": random.normal(0, 1, (1000, 2)),
        "w": np.ones(1000),
        "x": np.array([[50.0, np.log(0.2)]], np.float32),
    }


def dijets(
    process: str,
    count: int,
    *,
    seed: int,
    parameters: dict[str, tuple[float, float]] | None = None,
    settings: str = "",
) -> ak.Array:
    """Jets with more particles at larger alphaS, as `sources.pythia.jets.jets` is asked for."""
    random = np.random.default_rng(seed)
    given = re.search(r"[\d.]+$", settings)
    blocks = []
    for first in range(0, count, 50):
        theta = {name: random.uniform(*ends) for name, ends in (parameters or {}).items()}
        strength = theta.get("alphaS", float(given[0]) if given else 0.1365)
        least = round(5 + 150 * (strength - 0.1))
        some = make_jets(min(50, count - first), 10_000 * seed + first, low=least, high=least + 25)
        for name, value in theta.items():
            some[name] = np.full(len(some), value)
        blocks.append(some)
    return ak.concatenate(blocks)


def given_reweighting() -> Names:
    from colliderkit.methods.ratio import Ratio
    from colliderkit.sources.datasets.dijets import RANGES

    random = np.random.default_rng(1)
    low, high = np.array(list(RANGES.values())).T
    theta = random.uniform(low, high, (6_000, 3))
    middle = (low + high) / 2
    wide = (high - low) / 2  # a column follows each parameter
    x = random.normal(2 * (theta - middle) / wide, 1)
    names = list("abc")
    training = ck.Training(epochs=6, batch_size=200, learning_rate=3e-3)
    ratio = Ratio(columns=names, parameters=list(RANGES), training=training)
    ratio.fit(x, random.normal(size=(6_000, 3)), theta=theta, progress=False)
    ratio.save("runs/ratio")
    data = random.normal(2 * (np.array([0.15, 0.68, 0.217]) - middle) / wide, 1, (500, 3))
    for name, events in (("p0", random.normal(size=(2_000, 3))), ("data", data)):
        ck.write(f"{name}.root", dict(zip(names, events.T, strict=True)))
    truth, error = random.uniform(0, 1, 20), np.full(20, 0.1)
    toys = {"a0": truth, "a": 0.1 + 0.9 * truth + random.normal(0, 0.1, 20), "da": error}
    ck.write("toys.parquet", toys)
    ck.write("estimates.parquet", {"a": truth, "da": error})
    return {"dijets": dijets}


def given_refinement() -> Names:
    import torch

    from colliderkit.losses.classification import cross_entropy
    from colliderkit.losses.decorrelation import distance_correlation
    from colliderkit.training.batches import Dataset
    from colliderkit.training.fit import fit

    class Linear(torch.nn.Linear):
        def forward(self, values: torch.Tensor, mask: None = None) -> torch.Tensor:
            return super().forward(values)

    random = np.random.default_rng(1)
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    label, weight = (x[:, 0] > 0).long(), torch.ones(400)
    halves = [Dataset(x[part], label[part], weight[part]) for part in (slice(300), slice(300, 400))]
    fast = random.normal(size=(600, 2))
    return {
        "cross_entropy": cross_entropy,
        "disco": lambda outputs, target, weight: distance_correlation(
            outputs[:, 1], outputs[:, 0].detach(), weight
        ),
        "fit": fit,
        "model": Linear(2, 2),
        "train": halves[0],
        "validation": halves[1],
        "settings": ck.Training(epochs=1, batch_size=100),
        "folder": Path("runs/constrained"),
        "fast": fast,
        "full": fast + random.normal(0.1, 0.1, (600, 2)),
        "truth": random.normal(size=(600, 1)),
        "number": np.arange(600),
        "other_fast": fast[:50],
        "other_truth": random.normal(size=(50, 1)),
    }


def given_regression() -> Names:
    rows("train.root", "data.root", "test.root", count=1000)
    random = np.random.default_rng(1)
    x = random.normal(size=(1000, 2))
    return {"x": x, "y": x.sum(1) + random.normal(0, 0.2, 1000), "x_new": x[:20]}


def given_non_resonant() -> Names:
    from colliderkit.sources.toys.abcd import AbcdToy

    toy = AbcdToy()
    for seed, (name, background, signal) in enumerate(
        (("qcd", 4_000, 0), ("top", 0, 1_000), ("data", 4_000, 50))
    ):
        x, _ = toy.sample(background, signal, seed)
        scores = dict(zip(("tau32", "mass"), (x @ toy.pair()).T, strict=True))
        ck.write(f"{name}.root", dict(zip("abc", x.T, strict=True)) | scores)
    x, label = toy.sample(4_000, 2_000, 3)
    data, _ = toy.sample(4_000, 50, 4)
    return {
        "x": x,
        "label": label,
        "weight": np.where(label == 1, 0.05, 1.0),
        "data": data,
        "short": ck.Training(epochs=4, batch_size=256, learning_rate=1e-2),
        "scores": x[label == 0] @ toy.pair(),
        "data_scores": data @ toy.pair(),
    }


def given_search() -> Names:
    rows("data.root", count=2000)
    mass = table(2000)["mjj"]
    edges = np.linspace(500, 2000, 21)
    spectra = np.random.default_rng(1).poisson(np.histogram(mass, edges)[0], (2, 20))
    return {"mass": mass, "edges": edges, "spectra": spectra}


def given_anomalies() -> Names:
    from colliderkit.sources import write
    from colliderkit.sources.toys.resonance import Resonance

    toy = Resonance(distance=(2.0, 1.0))
    events, signal = toy.events(3000, 60, 1), toy.events(0, 400, 2)
    for name, some in (("data", events), ("signal", signal), ("new", signal)):
        a, b = some.features.T
        columns = {"mjj": some.mass, "mj1": 100 + a, "mj2": 250 + b, "tau21_1": b + 0.1 * a}
        write(f"{name}.root", columns)
    return {
        "features": events.features,
        "mass": events.mass,
        "signal": signal.features,
        "signal_mass": signal.mass,
    }


def given_resonant_methods() -> Names:
    return {"short": ck.Training(epochs=1, batch_size=100)}


def given_showers() -> Names:
    from colliderkit.sources.geant4.calorimeters import calorimeter

    return {
        "geometry": calorimeter("photons-368").geometry,
        "short": ck.Training(epochs=1, batch_size=100),
    }


def given_shower_test() -> Names:
    from colliderkit.sources.files.showers import read_showers
    from colliderkit.sources.geant4.gflash import generate_showers

    drawn = {}
    for seed, name in enumerate(("what_the_model_saw", "flow", "diffusion"), 1):
        file = generate_showers(
            "photons-368", 300, f"given-{name}.hdf5", energies=(500, 600), seed=seed
        )
        drawn[name] = read_showers(file)
    return {**given_showers(), **drawn}


def given_unfolding() -> Names:
    from colliderkit.sources.toys.unfolding import unfolding_toy

    rows("data.root", "simulation.root")
    rows("other.root", count=20)
    nature, toy = (unfolding_toy(400, smear=0.5, efficiency=0.9, seed=s) for s in (1, 2))
    return {
        "data": nature.seen,
        "reco": toy.reco,
        "truth": toy.truth,
        "seen": toy.pass_reco,
        "true": toy.pass_truth,
        "w": np.ones(len(toy.reco)),
        "expected": None,
        "truth_edges": [np.linspace(-3, 3, 7)],
        "reco_edges": [np.linspace(-3, 3, 7)],
    }


def given_serving() -> Names:
    from served import deep_set

    deep_set(Path("tagger.onnx"))
    return {}


def given_tagging() -> Names:
    particles("top.root", "qcd.root", "top_test.root", "qcd_test.root", "data.root")
    return {"FEW": FEW}


def given_data_quality() -> Names:
    from colliderkit.sources.files.monitors import write_monitors
    from colliderkit.sources.monitors.calorimeter import made_runs

    write_monitors("past.parquet", made_runs(60, sections=3, seed=1).runs)
    later = made_runs(6, sections=3, first=100, seed=2).runs
    bad = made_runs(3, fault="module", sections=3, first=106, seed=3).runs
    write_monitors("new.parquet", later.joined(bad))
    random = np.random.default_rng(1)
    lines = [f"{i},{random.normal() + 4 * (i % 9 == 8)},{'bad' if i % 9 == 8 else 'good'}"
             for i in range(120)]  # fmt: skip
    Path("runs.csv").write_text("\n".join(["run,chi2,label", *lines]) + "\n")
    return {}


def given_control() -> Names:
    from colliderkit.sources import write
    from colliderkit.sources.machines import MACHINES

    machine = MACHINES.build("beam-tuning")
    seen = machine.begin(machine.draw(4, 1), seed=1).seen
    log = dict(zip(machine.settings, seen.settings.numpy().T, strict=True))
    log |= dict(zip(machine.readings, seen.reading.numpy().T, strict=True))
    log |= dict(zip(machine.goals, seen.goal.numpy().T, strict=True))
    write("log.parquet", {**log, "shift": np.array([1, 1, 2, 2])})
    return {
        "settings": seen.settings.numpy(),
        "readings": seen.reading.numpy(),
        "goals": seen.goal.numpy(),
        "read": lambda: (seen.settings[0], seen.reading[0], seen.goal[0]),
        "write": lambda settings: None,
        "show": lambda advice: True,
    }


def given_popularity() -> Names:
    write_accesses(Path("."))
    return {}


def given_pileup() -> Names:
    from colliderkit.sources import write
    from colliderkit.sources.toys.pileup import pileup_toy

    for seed, name in enumerate(("events", "new", "test")):
        write(f"{name}.parquet", pileup_toy(12, 5.0, seed=seed))
    return {"FEW": ck.Training(epochs=1, batch_size=4)}


def given_vertexing() -> Names:
    from colliderkit.sources import write
    from colliderkit.sources.toys.pileup import pileup_toy

    for seed, name in enumerate(("events", "new", "test")):
        write(f"{name}.parquet", pileup_toy(12, 5.0, seed=seed))
    return {"FEW": ck.Training(epochs=1, batch_size=4)}


def given_secondary_vertices() -> Names:
    from colliderkit.sources import write
    from colliderkit.sources.toys.secondary_vertices import displaced_jets

    for seed, name in enumerate(("jets", "new", "test")):
        write(f"{name}.parquet", displaced_jets(30, seed=seed))
    return {"FEW": ck.Training(epochs=1, batch_size=16)}


def given_taus() -> Names:
    """Jets of five pions each that know no physics, with the columns of taus."""
    from colliderkit.sources import write
    from colliderkit.sources.datasets.taus import seen

    random, count = np.random.default_rng(0), 120
    angle, pt = random.normal(0, 0.1, (2, count, 5)), random.exponential(6, (count, 5)) + 1
    columns = {
        "px": pt * np.cos(angle[0]),
        "py": pt * np.sin(angle[0]),
        "pz": pt * np.sinh(angle[1]),
        "E": pt * np.cosh(angle[1]),
        "charge": random.integers(-1, 2, (count, 5)),
        "pid": np.full((count, 5), 22),
        "d0": random.normal(0, 0.02, (count, 5)),
        "z0": random.normal(0, 0.05, (count, 5)),
        "d0_error": np.full((count, 5), 0.02),
        "z0_error": np.full((count, 5), 0.05),
    }
    jets = ak.zip(
        {
            "constituents": ak.from_regular(ak.zip(columns)),
            "jet_pt": pt.sum(1),
            **{name: np.zeros(count) for name in ("jet_eta", "jet_phi", "jet_mass")},
            "decay_mode": np.arange(count) % 6 - 1,
            "tau_pt": 0.9 * pt.sum(1),
            "event": np.arange(count),
        },
        depth_limit=1,
    )
    write("taus.parquet", seen(jets[: count // 2]))
    write("test.parquet", seen(jets[count // 2 :]))
    small = {"embed": (8, 8), "pair_embed": (4,), "heads": 2, "blocks": 1, "class_blocks": 1}
    return {"FEW": ck.Training(epochs=1), "FEWER": {"max_iter": 3}, "SMALL": small}


def given_network() -> Names:
    from colliderkit.sources.network.faults import Fault
    from colliderkit.sources.network.fluid import simulate_fluid
    from colliderkit.sources.network.monitoring import write_counters, write_probes
    from colliderkit.sources.network.topology import small_wlcg

    faults = [Fault("burst", 4, 500, 540, 1.0)]
    for seed, name in enumerate(("counters", "later")):
        seen = simulate_fluid(small_wlcg(4, 4), 700, day=200, load=0.7, faults=faults, seed=seed)
        write_counters(seen, f"{name}.parquet")
    write_probes(seen, ".")
    return {}


def given_detector() -> Names:
    from colliderkit.sources.toys.longitudinal import LongitudinalToy

    thickness = np.random.default_rng(1).uniform(1.0, 8.0, 300)
    toy = LongitudinalToy()
    return {
        "x": toy.sample(thickness / 5, seed=1)[:, None],
        "thickness": thickness[:, None],
        "short": ck.Training(epochs=1, batch_size=100),
    }


def given_inference_service() -> Names:
    particles("top.root", "qcd.root", "top_test.root", "data.root", "data2.root")
    run_shell(
        "colliderkit fit tagging --signal top.root --background qcd.root --training.epochs 1"
        " --out runs/tagger"
    )
    run_shell("colliderkit export runs/tagger top_test.root --out tagger.onnx")
    jets = np.abs(np.random.default_rng(1).normal(size=(20, 9, 4))).astype("f4")
    return {"tagger": ck.load("runs/tagger"), "events": ck.read("top_test.root"), "jets": jets}


def given_trigger() -> Names:
    import h5py

    from colliderkit.sources.toys.trigger import COLUMNS, signal, stream, table
    from colliderkit.training.settings import Training

    files = {"stream": stream(2_000, seed=1), "new": stream(2_000, seed=2)}
    files["newest"] = stream(2_000, seed=4)
    files["leptoquark"] = signal("leptoquark", 200, seed=3)
    for name, events in files.items():
        with h5py.File(f"{name}.h5", "w") as file:
            file["Particles"] = events
    return {
        "names": COLUMNS,
        "np": np,
        "events": table(files["stream"]),
        "drawn": files["new"],
        "new": table(files["new"]),
        "short": Training(epochs=1, batch_size=256),
        "more": Training(epochs=1, batch_size=256),
    }


def given_autoencoders() -> Names:
    rows("data.root", "new.root", "signal.root", "background.root")
    events = np.random.default_rng(1).normal(size=(400, 3))
    label = np.repeat([0, 1], 200)
    others = events + 3 * label[:, None]
    given = {"table": events, "others": others, "label": label, "jets": make_jets(120, 1)}
    return {**given, "FEW": FEW}


def given_latent() -> Names:
    particles("jets.root", "top.root", "qcd.root")
    momenta = np.random.default_rng(1).normal(size=(2000, 4)) * [20, 20, 10, 10]
    ck.write("data.root", dict(zip(("px1", "py1", "px2", "py2"), momenta.T, strict=True)))
    return {"jets": make_jets(150, 1), "momenta": momenta, "FEW": FEW}


def given_semi_supervised() -> Names:
    rows("background.root", "light.root", "heavy.root", "light_test.root", "background_test.root")
    random = np.random.default_rng(1)
    background, light, heavy, data = (random.normal(x, 1, (200, 2)) for x in (0, 1, 3, 0))
    return {"background": background, "light": light, "heavy": heavy, "data": data, "FEW": FEW}


def given_weak_supervision() -> Names:
    many, few = make_jets(3000, 0, low=12, high=30), make_jets(3000, 1, low=3, high=21)
    kinds = many[many.label == 0], few[few.label == 1]  # gluons have more particles
    first = 0
    for name, gluons, quarks in (
        ("dijets.root", 700, 300),
        ("zjet.root", 200, 800),
        ("gluon.root", 200, 0),
        ("quark.root", 0, 200),
    ):
        chosen = [kinds[k][first : first + n] for k, n in enumerate((gluons, quarks))]
        jets = ak.concatenate(chosen)
        ck.write(name, jets[[f for f in jets.fields if f not in ("label", "event")]])
        first += 100
    random = np.random.default_rng(2)
    mixed = make_jets(400, 9)
    return {
        "mixed": mixed,
        "sample": np.asarray(mixed["label"]),
        "observable": random.normal(np.repeat([-1.0, 1.0, -1.0, 1.0], [1400, 600, 400, 1600]), 0.7),
        "selection": np.repeat([0, 1], 2000),
        "short": ck.Training(epochs=1, batch_size=100),
    }


GIVEN: dict[str, Callable[[], Names]] = {
    "README.md": given_readme,
    "anomalies.md": given_anomalies,
    "autoencoders.md": given_autoencoders,
    "calibration.md": given_calibration,
    "decorrelation.md": given_decorrelation,
    "files.md": given_files,
    "inference.md": given_inference,
    "inference-service.md": given_inference_service,
    "latent-structure.md": given_latent,
    "learned-observables.md": given_observables,
    "ratio.md": given_ratio,
    "refinement.md": given_refinement,
    "reweighting.md": given_reweighting,
    "regression.md": given_regression,
    "non-resonant.md": given_non_resonant,
    "resonant-methods.md": given_resonant_methods,
    "searches.md": given_search,
    "semi-supervised.md": given_semi_supervised,
    "serving.md": given_serving,
    "shower-test.md": given_shower_test,
    "surrogates.md": given_showers,
    "tagging.md": given_tagging,
    "data-quality.md": given_data_quality,
    "control.md": given_control,
    "network.md": given_network,
    "neutral-energy.md": lambda: {"FEW": FEW},
    "raw-data.md": lambda: {"FEW": FEW},
    "event-objects.md": lambda: {"FEW": FEW},
    "trigger-tagging.md": lambda: {"FEW": FEW},
    "popularity.md": given_popularity,
    "pileup.md": given_pileup,
    "secondary-vertices.md": given_secondary_vertices,
    "taus.md": given_taus,
    "vertexing.md": given_vertexing,
    "detector-optimisation.md": given_detector,
    "tracking.md": lambda: {"FEW": FEW},
    "trigger.md": given_trigger,
    "unfolding.md": given_unfolding,
    "weak-supervision.md": given_weak_supervision,
    "your-files.md": given_your_files,
}


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def run_shell(text: str) -> None:
    """Run the commands of a block, as a shell would take them."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in FOREIGN:
            continue
        assert words[0] == "colliderkit", line
        assert main(words[1:]) == 0, line


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda p: p.name)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    names = GIVEN.get(page.name, dict)()
    reduced = {pair: 0 for pair in REDUCED.get(page.name, [])}
    for language, text in blocks(page):
        for was, runs in reduced:
            reduced[was, runs] += text.count(was)
            text = text.replace(was, runs)
        if language == "sh":
            run_shell(text)
        else:
            exec(compile(text, str(page), "exec"), names)
    unused = [was for (was, _), count in reduced.items() if not count]
    assert not unused, f"{page.name} does not hold {unused}, which REDUCED makes small"
