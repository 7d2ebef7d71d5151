"""A small input for every plotting function: `DRAWINGS`, by module and function."""

from collections.abc import Callable

import awkward as ak
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from colliderkit import metrics
from colliderkit.events.calorimeter import Geometry, Grid, Layer
from colliderkit.events.calorimeter.features import features
from colliderkit.events.calorimeter.hits import Clusters
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.events.secondary_vertices import JetTracks
from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.parameter_fit import LikelihoodProfile
from colliderkit.methods.inference.templates import Templates
from colliderkit.methods.search.bump_hunt import Bump
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.methods.search.plane import checks
from colliderkit.methods.search.resonant.limits import Injection, Limits
from colliderkit.methods.search.spectrum import excess
from colliderkit.methods.search.symmetry import Angles
from colliderkit.methods.unfolding.binned import IterationCurve
from colliderkit.methods.unfolding.result import BinnedSpectrum
from colliderkit.metrics import Value
from colliderkit.metrics.closure import agreement
from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.forecast import precision_recall
from colliderkit.metrics.response import closure, profile, response_trends
from colliderkit.metrics.showers import (
    RESPONSE,
    VOXELS,
    ShowerHistograms,
    histogram_edges,
    separations,
    shower_histograms,
)
from colliderkit.metrics.significance import improvement
from colliderkit.report import (
    abcd,
    accesses,
    amplification,
    anomaly,
    calibration,
    calorimeter,
    classifiers,
    clustering,
    conditioning,
    control,
    data_quality,
    decorrelation,
    detection,
    detector,
    diffusion,
    distributions,
    images,
    inference,
    latent,
    mixtures,
    network,
    overlay,
    parameter_fit,
    pareto,
    particle_flow,
    pileup,
    ratio,
    regression,
    search,
    secondary_vertices,
    service,
    significance,
    slices,
    taus,
    tracking,
    training,
    trigger,
    unfolding,
    vertexing,
)
from colliderkit.sources.toys.secondary_vertices import displaced_jets
from colliderkit.training.settings import Epoch
from contracts.cases.clustering import small_events
from contracts.cases.neutral_energy import small_pairs
from contracts.cases.object_detection import blobs
from contracts.cases.particle_flow import small_events as small_flow
from contracts.cases.trigger_tagging import small_seeds

RANDOM = np.random.default_rng(0)
LABEL = np.repeat([0, 1], 2000)
X = RANDOM.normal(size=4000) + 2 * LABEL
SCORE = 1 / (1 + np.exp(-(2 * X - 2)))
NAMES = ["PFN", "EFN", "ParticleNet", "boosted trees", "LSTM", "CNN", "multiplicity", "EFP"]
ROC = {
    name: metrics.roc(SCORE + 0.05 * i * RANDOM.normal(size=4000), LABEL)
    for i, name in enumerate(NAMES)
}
EPOCHS = [Epoch(i, 1 / (i + 1), 1 / (i + 1) + 0.1, 1.0, best=i == 2) for i in range(6)]
JET = JetTracks.of(displaced_jets(3, seed=4)).at(np.array([1]))
EDGES = np.array([0.0, 1.0, 2.0, 4.0])
COUNTS = np.array([30.0, 50.0, 20.0])
TRUTH = np.exp(RANDOM.uniform(np.log(50), np.log(500), 4000))
SEEN = TRUTH * (1 + 0.1 * RANDOM.normal(size=4000))
TREND = RANDOM.uniform(size=(4000, 3))
PT = np.geomspace(50, 500, 7)
CURVES = {"one": closure(SEEN, TRUTH, PT), "other": closure(1.05 * SEEN, TRUTH, PT)}
TOY = Geometry("toy", (Layer(0, (0, 5, 40)), Layer(1, (0, 4, 10, 20), 6), Layer(5, (0, 30))))
GRID = Geometry("grid", (Grid(0, 4, 4, 40.0, 40.0), Grid(1, 8, 8, 40.0, 40.0)))
SHOWERS_OF_EVENTS = small_events(3, 1)
PAIRS = small_pairs(3, 1)
FLOW = small_flow(3, 1)
LONG = ("minimise the pairs", "MDMM below half of its value", "weighted sum, 1:10")


def luminance(colour) -> float:
    """Return the relative luminance of a colour (WCAG 2)."""
    value = np.array(to_rgb(colour))
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(colour, page) -> float:
    """Return the contrast of a colour on a lighter page (WCAG 2)."""
    return (luminance(page) + 0.05) / (luminance(colour) + 0.05)


def showers(count: int, seed: int, scale: float = 100.0) -> Showers:
    """Make showers of gamma-distributed voxels, the incident energies [MeV] alike."""
    random = np.random.default_rng(seed)
    voxels = random.gamma(0.5, scale, (count, TOY.voxels)).astype(np.float32)
    return Showers.checked(np.linspace(40.0, 60.0, count) * TOY.voxels, voxels, geometry=TOY)


def tracker_event() -> tuple:
    """Make hits of three particles and noise: x, y, z in mm and their tracks."""
    from colliderkit.sources.toys.tracker import helix_hits

    hits = helix_hits(1, vertices=1, particles=3, noise=2.0, seed=1)
    return hits.x, hits.y, hits.z, hits.particle


def spectra(counts: tuple[int, ...] = (2000, 2000, 40)) -> tuple[dict, dict]:
    """Make histograms of a reference, a floor and few showers of a model that is far off."""
    samples, edges = {}, {}
    for seed, (name, count) in enumerate(zip(("Geant4", "floor", "flow"), counts, strict=True)):
        made = showers(count, seed, 100.0 if seed < 2 else 400.0)
        found = features(made.voxels, made.incident, TOY, 1.0)
        edges = edges or histogram_edges(TOY, 1.0, found, float(made.voxels.max()))
        samples[name] = shower_histograms(made.voxels, found, TOY, 1.0, edges)
    return samples, edges


SPECTRA: dict[str, ShowerHistograms]
SPECTRA, SHOWER_EDGES = spectra()


def jets() -> ak.Array:
    """Make jets of few columns."""
    count = RANDOM.poisson(20, size=500)
    return ak.zip(
        {
            "jet_pt": RANDOM.uniform(550, 650, 500),
            "jet_mass": RANDOM.gamma(3, 40, 500),
            "label": np.arange(500) % 2,
            "constituents": ak.unflatten(ak.zip({"px": np.ones(count.sum())}), count),
        },
        depth_limit=1,
    )


def two_samples(**options: object) -> Figure:
    """Draw a falling spectrum with few events at its end, and one far off."""
    random = np.random.default_rng(3)
    samples = {
        "simulation": random.exponential(20, 2000),
        "data": random.exponential(25, 500),
        "elsewhere": random.uniform(300, 400, 50),
    }
    return distributions.distribution(samples, np.arange(0, 201, 5.0), "Mass", "GeV", **options)


def templates(nuisances: int = 3) -> Templates:
    """Make counts of eight bins with their variations."""
    counts = np.array([np.geomspace(900, 2, 8), np.geomspace(1, 30, 8)])
    tilt = 1 + 0.05 * np.outer(np.arange(1, nuisances + 1), np.linspace(-1, 1, 8))[:, None]
    names = [Nuisance(f"nuisance {i}", "shift", width=1.0, column=0) for i in range(nuisances)]
    return Templates(counts, counts / tilt, counts * tilt, counts, names)


def frontier() -> Figure:
    """Draw five families, a lower limit and published points."""
    points = {
        name: [
            (Value(8 + i, 0.2), Value(300 / (i + 1), 30)),
            (Value(20 + i, 0.5), Value(10, 0.4)),
        ]
        for i, name in enumerate(("plain", "DisCo", "MoDe", "planing", "maps"))
    }
    points["plain"][0] = (Value(9, 0.2), Value(400.0, np.nan, True))
    return decorrelation.frontier(points, published={"published": [(19.0, 4.1), (7.5, 301.0)]})


def histories() -> dict[str, list[Epoch]]:
    """Make losses of trainings of different length, one no better than guessing."""
    random = np.random.default_rng(5)
    found = {}
    for name, count in zip(NAMES, (5, 5, 8, 100, 3, 3, 3, 12), strict=True):
        fall = 0.3 + 0.4 / (1 + np.arange(count)) + 0.01 * random.uniform(size=count)
        found[name] = [
            Epoch(i, loss, loss + 0.05, 1.0, best=i == count - 1, guess=0.693)
            for i, loss in enumerate(fall)
        ]
    return found


def corner() -> Figure:
    """Draw three parameters."""
    covariance = np.array([[4.0, 1.0, 0], [1.0, 1.0, 0], [0, 0, 0.01]])
    estimate = Estimate(("alphaS", "aLund", "probStoUD"), np.array([0.12, 0.7, 0.2]), covariance)
    replicas = np.random.default_rng(0).multivariate_normal(estimate.theta, covariance, 50)
    return parameter_fit.corner(estimate, replicas, estimate.theta + 0.5)


def ratios_of_histograms() -> Figure:
    """Draw seven observables before and after reweighting."""
    x, y = np.random.default_rng(1).normal(size=(2, 400))
    found = {
        name: agreement(x, y) for name in ("mass", "tau21", "ptd", "C2", "width", "zg", "mult")
    }
    return parameter_fit.histogram_ratios(found, found, "alphaS = 0.16")


def closure_of(label: str) -> Figure:
    """Draw a reweighted column."""
    x, y = np.random.default_rng(2).normal(size=(2, 400))
    return ratio.closure(agreement(x, x), agreement(y, x), label)


def closure_spectra() -> Figure:
    """Draw several methods over the truth, with few events at the end."""
    edges = np.linspace(0, 10, 21)
    truth = np.round(1000 * np.exp(-edges[:-1]))
    methods = {
        name: unfolding.Spectrum.of(np.maximum(truth * factor, 0.1), truth + 1)
        for name, factor in zip(("MultiFold", "IBU", "cINN"), (1.0, 1.1, 1.8), strict=True)
    }
    truth_ = unfolding.Spectrum.of(truth, truth)
    prior = truth * np.linspace(0.8, 1.2, 20)
    return unfolding.unfolded(
        edges, methods, truth=truth_, prior=prior, data=prior, label="Jet mass $m$ [GeV]"
    )


def iterations() -> Figure:
    """Draw the choice of an iteration."""
    curve = IterationCurve(
        np.array([9.0, 3.0, 3.0]),
        np.array([[3.0], [1.0], [0.1]]),
        np.array([[0.5], [1.0], [4.0]]),
        np.array([[10.0], [10.0], [10.0]]),
    )
    return unfolding.iteration_choice({"MultiFold": curve, "IBU": curve}, 2)


BINNED = BinnedSpectrum(
    "mass",
    "GeV",
    EDGES,
    COUNTS,
    {"bootstrap": np.diag(COUNTS), "member": np.full((3, 3), 4.0)},
    "events",
)
BUMP = Bump((70, 80), 50, 25.4, 2.0, 3.9, 5e-5, 0.01, 2, np.array([40.0, 31, 25.4, 20, 15]))
VALUES = [Value(0.1, 0.01), Value(0.05, 0.01), Value(0.03, 0.004)]
LOOKS = {name: {"color": c} for name, c in zip(LONG, ("k", "r", "b"), strict=True)}
LEVELS = [0.5, 0.68, 0.9]
COVERED = [coverage(0, high, np.arange(100.0)) for high in (49, 70, 93)]
READINGS = {name: 10 ** RANDOM.uniform(1, 4, (20, 80)) for name in ("Geant4", "flow", "GFlash")}
PROFILES = {name: profile(SEEN / TRUTH, TRUTH, PT) for name in LONG}

MASSES = 2000 + 500 * RANDOM.exponential(size=3000)
BEFORE, BEHIND = (
    excess(MASSES[:n], region=(3300, 3700), edges=np.linspace(2000, 5000, 31)) for n in (3000, 300)
)
INJECTED = Limits(
    0.95,
    [Injection(n, 0.4, 0.5 / n**0.5, 20, 18, 3, 12.0, 11.0) for n in (10, 40, 160)],
    30.0,
    None,
)
TWO_SCORES = RANDOM.normal(size=(4000, 2))
SAMPLE = np.repeat([0, 1], 20_000)
MIXED = RANDOM.normal(2.0 * (RANDOM.random(40_000) < np.where(SAMPLE, 0.8, 0.2)))
WORKING_POINTS = MixtureEfficiencies(
    fractions={"dijets": 0.2, "Z+jet": 0.8}, errors={"dijets": 0.02}, cuts=(0.5, 1.0, 2.0)
).fit(MIXED, SAMPLE)
PARTED = Topics().fit(MIXED, SAMPLE)
ANGLES = Angles(
    np.linspace(0.1, 6.1, 60),
    10 ** RANDOM.uniform(0, 3, 60),
    10,
    *(np.array(pair) for pair in ((2.09, 4.19), (0.01, 0.01), (0.4, 0.5))),
)
DRAWINGS: dict[str, Callable[[], Figure]] = {
    "abcd.closures": lambda: abcd.closures(
        {name: [Value(0.1 * i, 0.05), Value(3.0 * i, 0.5)] for i, name in enumerate(LONG)},
        (0.5, 0.05),
        0.1,
    ),
    "abcd.plane": lambda: abcd.plane(
        TWO_SCORES, np.ones(4000), (0.7, 1.0), ("First score", "Second score"), "both limits"
    ),
    "abcd.validation": lambda: abcd.validation(
        checks(TWO_SCORES, np.ones(4000), (0.7, 1.0), 3), ("First score", "Second score")
    ),
    "anomaly.spectra": lambda: anomaly.spectra(BEFORE, BEHIND, "mjj"),
    "anomaly.least_p_values": lambda: anomaly.least_p_values(RANDOM.random(20) / 5, 1e-9, 8.3),
    "anomaly.injection_limits": lambda: anomaly.injection_limits(INJECTED),
    "significance.improvement_curves": lambda: significance.improvement_curves(
        {
            name: [improvement(RANDOM.normal(np.repeat([0, 2], 500)), np.repeat([0, 1], 500))] * n
            for n, name in enumerate(LONG, 1)
        },
        bounds=LONG[1:2],
    ),
    "significance.strength_scan": lambda: significance.strength_scan(
        [0.5, 1, 2], {name: RANDOM.uniform(1, 9, (3, 4)).tolist() for name in LONG}
    ),
    "latent.against": lambda: latent.against(
        {name: [(x, x / 2, 0.1) for x in (1.0, 10.0, 100.0)] for name in LONG}, "Events", "AUC"
    ),
    "latent.finite_rotations": lambda: latent.finite_rotations(ANGLES),
    "latent.lund_topics": lambda: latent.lund_topics(
        RANDOM.dirichlet(np.ones(80), 2), (8, 10), (0, 6), (-3, 6)
    ),
    "mixtures.efficiencies_over_fractions": lambda: mixtures.efficiencies_over_fractions(
        WORKING_POINTS
    ),
    "mixtures.maps": lambda: mixtures.maps(
        {name: RANDOM.random((6, 5)) for name in LONG[:2]},
        (np.arange(7.0), np.arange(6.0)),
        ("Multiplicity", "Width"),
    ),
    "mixtures.parted": lambda: mixtures.parted(PARTED, ("dijets", "Z+jet"), "Multiplicity"),
    "mixtures.quality_curves": lambda: mixtures.quality_curves(
        {name: ((100, 1000, 10_000), VALUES) for name in LONG}, "Events", "Lost AUC"
    ),
    "mixtures.sample_share": lambda: mixtures.sample_share(PARTED, "Z+jet", "Multiplicity"),
    "data_quality.flags_by_month": lambda: data_quality.flags_by_month(
        ["2024-04", "2024-05", "2024-06"],
        {name: VALUES for name in LONG[:2]},
        0.05,
        "good runs",
    ),
    "data_quality.monitor_histogram": lambda: data_quality.monitor_histogram(
        RANDOM.poisson(100, 30), RANDOM.poisson(1000, 30), RANDOM.normal(size=30)
    ),
    "data_quality.monitor_map": lambda: data_quality.monitor_map(
        RANDOM.normal(size=(34, 72)),
        "occupancy: pull",
        marked=np.arange(34 * 72).reshape(34, 72) < 5,
        place=(20, 30),
    ),
    "data_quality.sections_lost": lambda: data_quality.sections_lost(
        np.arange(1, 21), {"occupancy: sections": np.arange(20) / 9}, np.arange(20) > 12
    ),
    "data_quality.turn_on": lambda: data_quality.turn_on(
        [1.0, 2.0, 4.0],
        {name: VALUES for name in LONG[:5]},
        "Size: hits a section",
        first=LONG[0],
        good=0.05,
    ),
    "clustering.against_hits": lambda: clustering.against_hits(
        {name: ([100, 1000, 10_000], [1.0, 8.0, 90.0]) for name in LONG}, "Time [ms]"
    ),
    "clustering.in_bins": lambda: clustering.in_bins(
        {name: VALUES[:3] for name in LONG},
        [0.1, 1.0, 10.0, 100.0],
        "Energy [GeV]",
        "Efficiency",
        target=0.05,
    ),
    "clustering.responses": lambda: clustering.responses(
        {name: RANDOM.normal(1, 0.2, 500) for name in LONG}, np.linspace(0, 2, 41), "Response"
    ),
    "clustering.showers_and_clusters": lambda: clustering.showers_and_clusters(
        SHOWERS_OF_EVENTS,
        {"network": Clusters.of(SHOWERS_OF_EVENTS, np.tile(np.arange(24) % 4 - 1, 3))},
        1,
    ),
    "particle_flow.elements_and_particles": lambda: particle_flow.elements_and_particles(
        FLOW, {name: FLOW.truth[0] for name in LONG[:2]}, 1
    ),
    "particle_flow.shares_of_an_event": lambda: particle_flow.shares_of_an_event(
        PAIRS[0],
        {name: RANDOM.uniform(size=len(PAIRS[0].energy)) for name in ("truth", "network")},
        1,
        PAIRS[1][1],
    ),
    "control.convergence": lambda: control.convergence(
        {name: RANDOM.lognormal(3 - np.arange(30)[:, None] / 10, size=(30, 20)) for name in LONG},
        "Error [µm]",
    ),
    "control.over_fill": lambda: control.over_fill(
        {name: RANDOM.normal(950, 30, 100) for name in LONG[:3]},
        1000.0,
        {name: RANDOM.normal(60, 2, 100) for name in LONG},
        "Lumi section",
    ),
    "control.settings_over_time": lambda: control.settings_over_time(
        {name: RANDOM.uniform(-1, 1, (30, 5)) for name in LONG[:3]},
        ("q1", "q2", "cv", "q3", "ch"),
        ("1/m²", "1/m²", "rad", "1/m²", "rad"),
        [(-1.0, 1.0)] * 5,
    ),
    "detector.resolution_over": lambda: detector.resolution_over(
        (np.arange(3.0), VALUES[:3]),
        {"Geant4": (np.arange(3.0), VALUES[:3])},
        Value(1.2, 0.1),
        "Absorber of a layer [mm]",
        (np.arange(3.0), np.full(3, 0.06)),
    ),
    "detector.ways_down": lambda: detector.ways_down(
        [np.geomspace(4, k, 30) for k in (2.0, 2.2)],
        "Absorber of a layer [mm]",
        ("scan", Value(2.1, 0.1)),
    ),
    "network.forecast_in_time": lambda: network.forecast_in_time(
        np.arange(100),
        {"utilisation": RANDOM.uniform(size=100), "queue": RANDOM.uniform(size=100)},
        np.arange(100) % 40 > 30,
        {name: RANDOM.uniform(size=100) for name in ("trees", "smoothing")},
    ),
    "network.incidents_in_time": lambda: network.incidents_in_time(
        np.arange(100),
        {name: RANDOM.exponential(size=100) for name in ("cusum", "pca", "isolation-forest")},
        dict.fromkeys(("cusum", "pca", "isolation-forest"), 2.0),
        [(20, 30), (60, 90)],
    ),
    "network.over_horizons": lambda: network.over_horizons(
        {name: VALUES[:3] for name in LONG}, (1, 5, 15), "AUPRC"
    ),
    "network.precision_recall": lambda: network.precision_recall(
        {
            "trees": precision_recall(RANDOM.normal(size=500) + X[:500], X[:500] > 1),
            "persistence": precision_recall(X[:500] > 0.5, X[:500] > 1),
        },
        0.2,
    ),
    "accesses.against_disk": lambda: accesses.against_disk(
        {name: VALUES[:3] for name in LONG}, [0.1, 0.2, 0.5], "Wait", "h"
    ),
    "accesses.miss_ratios": lambda: accesses.miss_ratios(
        {name: VALUES[:3] for name in LONG}, [0.02, 0.05, 0.1], LONG[0]
    ),
    "accesses.over_time": lambda: accesses.over_time(
        {name: RANDOM.uniform(0.4, 0.6, 30) for name in LONG}, np.arange(30) * 7.0, "Error", 100.0
    ),
    "network.shares": lambda: network.shares(
        {
            name: dict(zip(("flap", "burst", "misroute"), VALUES, strict=False))
            for name in ("cusum", "pca")
        },
        "Found",
    ),
    "service.against_clients": lambda: service.against_clients(
        {
            f"{name}, {how}": list(zip((1, 8, 64), VALUES, strict=False))
            for name in LONG[:3]
            for how in ("batched", "not batched")
        },
        "Server CPU a request [ms]",
        limit=0.08,
    ),
    "service.loop_times": lambda: service.loop_times(
        dict(zip(LONG, VALUES, strict=False)), VALUES[0]
    ),
    "trigger.against_bits": lambda: trigger.against_bits(
        {name: dict(zip((4, 8, 16), VALUES, strict=False)) for name in LONG[:3]},
        "Events in common with floats",
        0.9,
    ),
    "trigger.item_rates": lambda: trigger.item_rates(
        LONG, VALUES[: len(LONG)], [Value(v.value / 2, v.error) for v in VALUES[: len(LONG)]], "Hz"
    ),
    "trigger.overlaps": lambda: trigger.overlaps(
        LONG, np.random.default_rng(3).random((len(LONG), len(LONG)))
    ),
    "trigger.record_spectra": lambda: trigger.record_spectra(
        np.linspace(80, 300, 45),
        {
            name: (1e6 / 10**i * np.exp(-np.linspace(0, 5, 44)), np.full(44, 1e3 / 10**i))
            for i, name in enumerate(LONG[:2])
        },
        "an hour",
    ),
    "detection.event_image": lambda: detection.event_image(
        blobs(2, 1)[0], {"truth": blobs(2, 1)[1], "found": blobs(2, 1)[1].rotated(0.3)}, 0
    ),
    "detection.efficiency_over_false_objects": lambda: detection.efficiency_over_false_objects(
        {
            kind: {
                name: (np.logspace(-3, 0, 400), np.linspace(0.1, 0.9 - 0.1 * i, 400))
                for i, name in enumerate(("image", "jets and trees"))
            }
            for kind in ("jet", "W", "top")
        }
    ),
    "trigger.seeds_of_an_event": lambda: trigger.seeds_of_an_event(small_seeds(3, 1), 1),
    "trigger.tails": lambda: trigger.tails({name: RANDOM.random(2_000) for name in LONG}),
    "pileup.against_pileup": lambda: pileup.against_pileup(
        {
            name: {f"mu {mu}": Value(0.1 + 0.001 * mu * (i + 1), 0.01) for mu in (20, 60, 140)}
            for i, name in enumerate(NAMES)
        },
        ["mu 20", "mu 60", "mu 140"],
        "jet pT resolution",
        [20, 60, 140],
    ),
    "pileup.event_display": lambda: pileup.event_display(
        {
            "pt": RANDOM.exponential(1, 500) + 30 * (np.arange(500) < 3),
            "eta": RANDOM.uniform(-4, 4, 500),
            "phi": RANDOM.uniform(-np.pi, np.pi, 500),
            "vertex": np.arange(500) % 3 - 1,
            "truth": (np.arange(500) < 20).astype(float),
        },
        {"all": np.ones(500), "after": RANDOM.random(500), "truth": np.arange(500) < 20},
    ),
    "pileup.interactions": lambda: pileup.interactions(
        np.arange(100),
        {name: np.arange(100) + RANDOM.normal(0, 3, 100) for name in ("regression", "vertices")},
        "interactions",
    ),
    "vertexing.efficiency_over_false": lambda: vertexing.efficiency_over_false(
        {"network": ([0.001, 0.03, 1], [0.7, 0.9, 0.95]), "annealing": ([0.01, 1], [0.8, 0.9])},
        0.03,
    ),
    "vertexing.efficiency_by_tracks": lambda: vertexing.efficiency_by_tracks(
        {name: [Value(0.5, 0.02), Value(0.9, 0.01)] for name in ("network", "annealing")},
        [3, 10, 100],
    ),
    "vertexing.vertex_display": lambda: vertexing.vertex_display(
        RANDOM.normal(0, 5, 60), np.full(60, 0.1), [-3, 0, 4], {"network": [-3.1, 4.2]}, (-10, 10)
    ),
    "secondary_vertices.partition_quality": lambda: secondary_vertices.partition_quality(
        {name: [Value(0.5, 0.02), Value(0.9, 0.01)] for name in ("network", "adaptive fits")},
        ["c", "b"],
        "Adjusted Rand index",
        "Flavour of the jet",
    ),
    "secondary_vertices.jet_display": lambda: secondary_vertices.jet_display(
        JET, {"truth": JET.vertex, "set to graph": 0 * JET.vertex, "adaptive fits": JET.vertex}
    ),
    "taus.visible_response": lambda: taus.visible_response(
        {name: RANDOM.normal(1, 0.1, 500) for name in ("the jet's own pT", "transformer")}
    ),
    "trigger.rates": lambda: trigger.rates(
        {name: VALUES for name in LONG}, 0.05, 0.1, "Update", "Hz"
    ),
    "trigger.scores_and_threshold": lambda: trigger.scores_and_threshold(
        {name: RANDOM.exponential(size=2000) for name in LONG}, 3.0, np.linspace(0, 8, 41)
    ),
    "amplification.densities": lambda: amplification.densities(
        np.linspace(-3, 3, 50),
        np.exp(-(np.linspace(-3, 3, 50) ** 2) / 2),
        RANDOM.normal(size=100),
        {name: RANDOM.normal(size=20_000) for name in LONG},
    ),
    "amplification.quantile_errors": lambda: amplification.quantile_errors(
        np.array([100, 1000, 10_000]),
        {name: np.array([[0.1, 0.04, 0.03], [0.11, 0.05, 0.03]]) for name in LONG},
        0.08,
        100,
        10,
    ),
    "calibration.biases": lambda: calibration.biases(
        {name: RANDOM.normal(0, 0.1, (3, 20)) for name in LONG},
        np.linspace(-3, 3, 20),
        np.linspace(1, -1, 20),
        LOOKS,
        bar=0.02,
    ),
    "calibration.closures": lambda: calibration.closures(CURVES, "true pt"),
    "calibration.in_bins": lambda: calibration.in_bins(
        np.arange(3.0), {name: RANDOM.normal(1, 0.1, (3, 3)) for name in LONG}, "Pull", 1, LOOKS
    ),
    "calibration.residuals": lambda: calibration.residuals(
        {
            name: {method: response_trends(SEEN / TRUTH, {name: column})[name] for method in LONG}
            for name, column in zip(("jet_eta", "tau21", "width"), TREND.T, strict=True)
        }
    ),
    "calibration.resolutions": lambda: calibration.resolutions(
        PROFILES, LONG[0], "True $p_T$ [GeV]", PT
    ),
    "calibration.responses": lambda: calibration.responses(
        {name: {"flat": one, "falling": one} for name, one in PROFILES.items()},
        "True $p_T$ [GeV]",
        PT,
        half_range=0.002,
    ),
    "calorimeter.histograms": lambda: calorimeter.histograms(
        SPECTRA,
        SHOWER_EDGES,
        [RESPONSE, VOXELS, "E layer 0", "E layer 1", "width r layer 1"],
        floor="floor",
    ),
    "calorimeter.images": lambda: calorimeter.images(
        {name: each.mean for name, each in SPECTRA.items()}, TOY
    ),
    "calorimeter.profiles": lambda: calorimeter.profiles(SPECTRA, TOY, floor="floor"),
    "calorimeter.separation_by_layer": lambda: calorimeter.separation_by_layer(
        {name: separations(SPECTRA["Geant4"], SPECTRA[name]) for name in ("flow", "floor")},
        TOY,
        floor="floor",
    ),
    "calorimeter.view": lambda: calorimeter.view(
        {name: showers(1, seed).voxels[0] for seed, name in enumerate(("Geant4", "flow"))}, TOY
    ),
    "classifiers.calibration": lambda: classifiers.calibration(
        {name: metrics.calibration_curve(SCORE, LABEL, bins=8) for name in NAMES}
    ),
    "classifiers.confusion": lambda: classifiers.confusion(
        metrics.confusion(np.eye(2)[LABEL[::-1]], LABEL), ["QCD", "top"]
    ),
    "classifiers.importance": lambda: classifiers.importance(
        {name: Value(0.1 * i, 0.02) for i, name in enumerate(("tau32", "mass", "ptd", "width"))}
    ),
    "classifiers.overtraining": lambda: classifiers.overtraining(
        (SCORE[::2], LABEL[::2]), (SCORE[1::2], LABEL[1::2]), ["QCD", "top"]
    ),
    "classifiers.quality_by_time": lambda: classifiers.quality_by_time(
        {name: (10.0 * 3**i, Value(0.9 + 0.01 * i, 0.002)) for i, name in enumerate(NAMES)}
    ),
    "classifiers.roc": lambda: classifiers.roc(ROC, published={"PFN": (0.3, Value(891, 18))}),
    "classifiers.scores": lambda: classifiers.scores(SCORE, LABEL, classes=["QCD", "top"]),
    "conditioning.energy_lines": lambda: conditioning.energy_lines(
        np.linspace(1000, 2000, 5),
        np.outer(np.linspace(1000, 2000, 5), RANDOM.normal(1, 0.1, 6)),
        showers(200, 1),
        name="CaloGAN",
    ),
    "decorrelation.efficiencies": lambda: decorrelation.efficiencies(
        {name: (np.array([0.8, 1.0, 1.2]), np.full(3, 0.1)) for name in LONG}, EDGES
    ),
    "decorrelation.frontier": frontier,
    "diffusion.quality_by_calls": lambda: diffusion.quality_by_calls(
        {
            name: [(4, Value(0.9, 0.01)), (8, Value(0.8, 0.01)), (64, Value(0.7, 0.01))]
            for name in ("Heun", "DDIM", "DDPM, no layers")
        },
        Value(0.5, 0.01),
        "AUC",
    ),
    "distributions.distribution": two_samples,
    "distributions.spectra": lambda: distributions.spectra(jets(), ["QCD", "top"]),
    "images.filters": lambda: images.filters(RANDOM.uniform(size=(3, 20, 20)), 0.8),
    "images.jet_images": lambda: images.jet_images(
        {"QCD": RANDOM.uniform(size=(8, 8)), "top": RANDOM.uniform(size=(8, 8))}, 0.8
    ),
    "inference.error_training": lambda: inference.error_training(
        {name: EPOCHS for name in LONG}, {LONG[0]: 0.2}
    ),
    "inference.impacts": lambda: inference.impacts(templates()),
    "inference.prefit_postfit": lambda: inference.prefit_postfit(templates()),
    "inference.signal_profiles": lambda: inference.signal_profiles(
        {"inference-aware": templates(), "cross-entropy": templates(1)},
        np.linspace(0, 100, 11),
        {"ratio": (np.linspace(0, 100, 5), -((np.linspace(-3, 3, 5)) ** 2))},
    ),
    "inference.template_variations": lambda: inference.template_variations(templates()),
    "overlay.cell_spectrum": lambda: overlay.cell_spectrum(READINGS, threshold=10.0),
    "overlay.layer_images": lambda: overlay.layer_images(
        {name: each[0] for name, each in READINGS.items()}, GRID, 1, reach=0.4, threshold=10.0
    ),
    "overlay.ratio_histogram": lambda: overlay.ratio_histogram(
        {name: each.sum(1) for name, each in READINGS.items()}, "energy"
    ),
    "parameter_fit.corner": corner,
    "parameter_fit.histogram_ratios": ratios_of_histograms,
    "parameter_fit.likelihood": lambda: parameter_fit.likelihood(
        LikelihoodProfile(
            "alphaS", np.linspace(0.1, 0.2, 9), -(np.linspace(-2, 2, 9) ** 2), 0.14, 0.16, 0.68
        ),
        0.16,
    ),
    "parameter_fit.recovered": lambda: parameter_fit.recovered(
        "alphaS", np.linspace(0.1, 0.2, 9), np.linspace(0.11, 0.2, 9), np.full(9, 0.01)
    ),
    "pareto.pareto_front": lambda: pareto.pareto_front(
        {
            "pairs": {LONG[0]: [(Value(1, 0.1), Value(30, 3))]},
            "MDMM": {LONG[1]: [(Value(1, 0.1), Value(30, 3))]},
            "sum": {LONG[2]: [(Value(2, 0.1), Value(0.5, 0.1))]},
        },
        ("Pairs, mean Huber loss", r"Ensemble, MMD$^2$ $\times$ 1000"),
        limits={LONG[1]: 15.0},
        hollow=[LONG[0]],
    ),
    "ratio.closure": lambda: closure_of("mass"),
    "ratio.ratio_curves": lambda: ratio.ratio_curves(
        np.linspace(-3, 3, 30),
        np.exp(np.linspace(-3, 3, 30)),
        {name: np.exp(RANDOM.normal(np.linspace(-3, 3, 30), 0.05, (4, 30))) for name in LONG},
        "Gaussians, 1000 events",
    ),
    "regression.against_energy": lambda: regression.against_energy(
        [0.3, 0.6, 2.0],
        {name: VALUES for name in LONG},
        "Resolution [%]",
        curves={name: (0.1, 0.02) for name in LONG},
        zero=True,
    ),
    "regression.coverage_against": lambda: regression.coverage_against(
        [0.3, 0.6, 1.0, 2.0], {name: COVERED for name in LONG}, 0.9
    ),
    "regression.coverage_curves": lambda: regression.coverage_curves(
        LEVELS, {name: COVERED for name in LONG}, 100
    ),
    "regression.ranks": lambda: regression.ranks(
        {name: RANDOM.uniform(size=500) ** (1 + i) for i, name in enumerate(LONG)}
    ),
    "search.bump": lambda: search.bump(
        np.array([40.0, 30, 50, 20, 10]), np.linspace(50, 100, 6), BUMP, "unconstrained"
    ),
    "search.local_p_values": lambda: search.local_p_values(
        np.array([[50.0, 60.0], [60.0, 80.0], [70.0, 90.0]]), np.array([0.5, 1e-4, 0.3]), 0.02
    ),
    "slices.against_eta": lambda: slices.against_eta(
        {
            name: (np.repeat([0.1, 0.2, 0.3], 50), RANDOM.normal(1, 0.1, 150))
            for name in ("Geant4", "networks")
        },
        np.array([0.05, 0.15, 0.35]),
        r"$E_\mathrm{tot} / E_\mathrm{inc}$",
    ),
    "slices.means_by_slice": lambda: slices.means_by_slice(
        {
            name: (np.repeat([0.1, 0.2, 0.3], 50), RANDOM.normal(1, 0.1, 150))
            for name in ("Geant4", "networks")
        },
        np.array([0.05, 0.15, 0.35]),
        "Energy in the last two layers / total",
    ),
    "tracking.event_display": lambda: tracking.event_display(
        *tracker_event()[:3], tracker_event()[3], tracker_event()[3] == 3
    ),
    "tracking.pull_histograms": lambda: tracking.pull_histograms(
        {
            name: np.r_[2, np.round(300 * np.exp(-(np.linspace(-5, 5, 40) ** 2) / 2)), 3]
            for name in ("d0", "z0", "phi", "theta", "qop")
        }
    ),
    "tracking.rates_along": lambda: tracking.rates_along(
        {
            name: {
                "centre": [0.5, 2.0, 6.0],
                "half": [0.2, 1.0, 3.0],
                "share": [0.9, 0.95 - 0.02 * i, 0.99],
                "error": [0.02, 0.01, 0.01],
            }
            for i, name in enumerate(LONG)
        },
        "$p_T$ [GeV]",
        "Efficiency (double majority)",
        logarithmic=True,
        bound=0.97,
    ),
    "tracking.time_against_hits": lambda: tracking.time_against_hits(
        {
            name: {"hits": [1e3, 3e3, 1e4], "time": [8.0 + i, 30.0, 120.0], "error": [0.5, 1, 2]}
            for i, name in enumerate(LONG)
        }
    ),
    "training.training": lambda: training.training(histories()),
    "unfolding.by_bin": lambda: unfolding.by_bin(
        {name: np.array([1.0, 30.0, 2.0]) for name in ("learned number", "learned bins", *LONG)},
        np.array([-3.0, -2.0, -1.0, 0.0]),
        "y",
        "Unfolded / counting variance",
        line=1.0,
        log=True,
        powers=True,
    ),
    "unfolding.closure_spectra": closure_spectra,
    "unfolding.unfolded": closure_spectra,
    "unfolding.correlation": lambda: unfolding.correlation(BINNED),
    "unfolding.correlations": lambda: unfolding.correlations(
        np.eye(30) + 0.1,
        [np.arange(6.0)] * 6,
        ["mass", "multiplicity", "width", "ln_rho", "tau21", "zg"],
    ),
    "unfolding.iteration_choice": iterations,
    "unfolding.responses": lambda: unfolding.responses(
        {name: RANDOM.uniform(size=(4, 5)) for name in ("plain", "learned", "bins")}, "mass"
    ),
    "unfolding.spectrum": lambda: unfolding.spectrum(BINNED, COUNTS[::-1]),
}
