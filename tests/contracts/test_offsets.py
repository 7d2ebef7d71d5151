"""A column far from zero is learned as one near it: no table becomes float32 before it is centred.

Every method on tables is fitted twice: to small tables, and to the same with `OFFSET` added to each
column. The tables are in steps of 2^-20, so that float64 holds both without rounding; what may
differ is what the sums of a mean and a variance are rounded by, 1e-9 of a spread, and what the
steps of a training make of it.
"""

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from colliderkit.events.scaling import Standardise
from colliderkit.methods import METHODS
from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.parameter_fit import ParameterFit
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.search.bump_hunt import BumpHunt
from colliderkit.methods.search.mixtures.proportions import LabelProportions
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels
from colliderkit.methods.tagging.ensembles import CrossFit, Ensemble
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.methods.unfolding.binned import IterativeBayes, MatrixInversion
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.tasks.control import ControlTask
from colliderkit.training.settings import Training
from contracts.cases import CASES

OFFSET, STEP = 1e7, 2.0**-20
TOLERANCE = 1e-4  # of the spread of the answers
# Images of calorimeters have voxels, experiments and tokens are counted: none is a table.
NO_TABLE = {
    "certification",
    "latent-dirichlet",
    "neyman-construction",
    "shower-comparison",
    "shower-surrogate",
}
# Trials of a machine are conditions in their own ranges: one that is moved is another machine.
NO_TABLE |= set(ControlTask.methods)
NO_TABLE |= {"popularity", "eviction"}  # a trace of accesses
NO_TABLE |= {"pileup-graph", "pumml", "puppi", "soft-killer"}  # particles, not a table
NO_TABLE |= {"density-vertices", "annealed-vertices"}
NO_TABLE |= {"secondary-vertices", "adaptive-vertices"}  # tracks beside the collision
NO_TABLE |= {"constituent-subtraction", "charged-hadron-subtraction"}
# Hits of a calorimeter, in mm and GeV, whose places are taken from their middle.
NO_TABLE |= {"clue", "shower-clustering", "neutral-energy", "parametrised-subtraction"}
NO_TABLE |= {"superresolution", "raw-data", "shape-trees"}
NO_TABLE |= {"object-detection", "clustered-objects"}  # towers around the beams
NO_TABLE |= {"trigger-tagging"}  # towers and hits about the axis of a seed
NO_TABLE |= {"superresolution"}
NO_TABLE |= {"mlpf", "incidence-flow", "link-and-subtract", "energy-flow"}  # tracks and clusters
NO_TABLE |= {"congestion-forecast", "network-anomaly"}  # counters are shares, and times
NO_TABLE |= {"edge-tracks", "embedded-tracks", "helix-tracks"}  # helices through the beam
QUICK = Training(epochs=2, batch_size=64, learning_rate=1e-2, devices=1)
Answer = Callable[[float], NDArray[Any]]


def moved(value: Any, offset: float) -> Any:
    return np.round(np.asarray(value, dtype=np.float64) / STEP) * STEP + offset


def of_case(name: str, tables: tuple[int, ...], back: bool = False) -> Answer:
    """Return what the method of a case answers at an offset of the arguments `tables`.

    `back`: the answer is in units of what was moved.
    """

    def answer(offset: float) -> NDArray[Any]:
        case = CASES[name]
        args, kwargs = case.data(1)
        args = tuple(moved(a, offset) if i in tables else a for i, a in enumerate(args))
        method = case.make().fit(*args, **kwargs, seed=3, progress=False)
        return np.asarray(case.answer(method, args)) - back * offset

    return answer


def calibrated(name: str) -> Answer:
    """Return estimates less the offset, and resolutions."""

    def answer(offset: float) -> NDArray[Any]:
        estimates, resolutions = of_case(name, (0, 1, 2))(offset)
        return np.stack([estimates - offset, resolutions])

    return answer


def regressed(name: str) -> Answer:
    def answer(offset: float) -> NDArray[Any]:
        estimate, std, low, high = of_case(name, (0, 1))(offset)
        return np.stack([estimate - offset, std, low - offset, high - offset])

    return answer


def generated(offset: float) -> NDArray[Any]:
    case = CASES["conditional-generator"]
    x, c = (moved(table, offset) for table in case.data(1)[0])
    method = case.make().fit(x, c, seed=3, progress=False)
    return method.sample(c[:40], seed=1) - offset


def unfolded(make: Callable[[], Any]) -> Answer:
    def answer(offset: float) -> NDArray[Any]:
        args = tuple(moved(a, offset) for a in CASES["omnifold"].data(1)[0])
        return make().fit(*args, seed=3, progress=False).weights()

    return answer


def counted(kind: type[IterativeBayes | MatrixInversion]) -> Answer:
    def answer(offset: float) -> NDArray[Any]:
        edges = tuple(moved((-4.0, -0.7, 0.0, 0.7, 4.0), offset).tolist())
        args = tuple(moved(a, offset) for a in CASES["iterative-bayes"].data(1)[0])
        method = kind(truth_edges=edges, reco_edges=edges, replicas=10)
        return method.fit(*args, seed=3, progress=False).spectrum_

    return answer


def hunted(offset: float) -> NDArray[Any]:
    edges = tuple(moved(np.linspace(50, 250, 21), offset).tolist())
    method = BumpHunt(edges=edges, orders=(1, 2), widths=(2, 3), toys=20)
    masses = moved(CASES["bump-hunt"].data(1)[0][0], offset)
    return method.fit(masses, seed=3, progress=False).significance_


def passed(offset: float) -> NDArray[Any]:
    method = MixtureEfficiencies(fractions={"a": 0.3, "b": 0.8}, cuts=(0.25 + offset,))
    score, sample = CASES["mixture-efficiencies"].data(1)[0]
    return method.fit(moved(score, offset), sample).efficiency_


def parted(offset: float) -> NDArray[Any]:
    edges = tuple(moved(np.linspace(-6, 6, 25), offset).tolist())
    observable, sample = CASES["topics"].data(1)[0]
    return Topics(edges=edges).fit(moved(observable, offset), sample).fractions_


def fitted_mean(offset: float) -> NDArray[Any]:
    """Return where the mean of data is found, and its error: events and theta are moved."""
    random = np.random.default_rng(4)
    theta = moved(random.uniform(-1, 1, (1000, 1)), 0.0)
    noise, reference = (moved(random.normal(size=(1000, 1)), offset) for _ in range(2))
    training = Training(epochs=3, batch_size=250, learning_rate=1e-2)
    ratio = Ratio(columns=["x"], parameters=["mean"], hidden=(8,), training=training)
    ratio.fit(noise + theta, reference, theta=theta + offset, progress=False)
    fit = ParameterFit().fit(reference, ratio, progress=False)
    data = moved(random.normal(0.2, 1, (300, 1)), offset)
    return fit.scan(data, np.linspace(-0.8, 0.8, 9) + offset)


def corrected(offset: float) -> NDArray[Any]:
    case = CASES["estimate-calibration"]
    estimates, truth = case.data(1)[0]
    far = [Estimate(e.names, moved(e.theta, offset), e.covariance) for e in estimates]
    found = case.make().fit(far, moved(truth, offset)).correct(far[0])
    return np.concatenate([found.theta - offset, found.covariance.ravel()])


def tagged(make: Callable[[Tagger], Any]) -> Answer:
    """Return probabilities of rows of a table, of two classes."""

    def answer(offset: float) -> NDArray[Any]:
        random = np.random.default_rng(5)
        label = np.arange(240) % 2
        table = moved(random.normal(label[:, None], 1, (240, 2)), offset)
        columns = {"a": table[:, 0], "b": table[:, 1]}
        events = ak.Array(
            columns | {"label": label, "weight": np.ones(240), "event": np.arange(240)}
        )
        network = Tagger("mlp", features=("a", "b"), options={"hidden": [8]}, training=QUICK)
        return make(network).fit(events, seed=3, progress=False).predict_proba(events)

    return answer


def placed(offset: float) -> NDArray[Any]:
    """Return how likely events are as background."""
    case = CASES["semi-supervised"]
    (background, signals), _ = case.data(1)
    background = moved(background, offset)
    signals = {name: moved(table, offset) for name, table in signals.items()}
    return case.make().fit(background, signals, seed=3, progress=False).space(background)[:, 0]


def simulated(offset: float) -> NDArray[Any]:
    case = CASES["salad"]
    (features, mass), more = case.data(1)
    far = moved(more["simulation"][0], offset), more["simulation"][1]
    args = moved(features, offset), mass
    search = case.make().fit(*args, simulation=far, seed=3, progress=False)
    return np.asarray(case.answer(search, args))


def behind_cuts(offset: float) -> NDArray[Any]:
    """Return an estimate and its closure, and the cuts, which are moved with the scores."""
    counts, first, second, closure = of_case("abcd", (0,))(offset)
    return np.array([counts, first - offset, second - offset, closure])


RESONANT = (
    "anode",
    "cathode",
    "cwola-hunting",
    "idealised-bound",
    "lacathode",
    "r-anode",
    "supervised-bound",
    "transport",
    "window-scan",
)
REGRESSIONS = (
    "deep-ensemble",
    "quantile-regression",
    "bayesian-last-layer",
    "variational-regression",
    "evidential-regression",
    "boosted-regression",
    "conformal",
)
CALIBRATIONS = (
    "regression-calibration",
    "numerical-inversion",
    "sequential-calibration",
    "generalised-inversion",
    "gaussian-ansatz",
    "flow-calibration",
    "posterior-calibration",
)
ANSWERS: dict[str, Answer] = {
    "tagging": tagged(lambda network: network),
    "ensemble": tagged(lambda network: Ensemble(network, members=2)),
    "cross-fit": tagged(lambda network: CrossFit(network, folds=2)),
    "ratio": of_case("ratio", (0, 1)),
    "omnifold": unfolded(lambda: OmniFold(iterations=2, hidden=(8,), family=True, training=QUICK)),
    "generative-unfolding": unfolded(CASES["generative-unfolding"].make),
    "iterative-bayes": counted(IterativeBayes),
    "matrix-inversion": counted(MatrixInversion),
    "learned-observable": of_case("learned-observable", (0, 1), back=True),
    "autoencoder": of_case("autoencoder", (0,)),
    "semi-supervised": placed,
    "symmetry": of_case("symmetry", (0,)),
    "bump-hunt": hunted,
    "salad": simulated,
    "abcd": behind_cuts,
    "abcdiscotec": of_case("abcdiscotec", (0,)),
    "trigger": of_case("trigger", (0,)),
    "run-scores": of_case("run-scores", (0,)),
    **{name: of_case(name, (0,)) for name in RESONANT},
    "label-proportions": tagged(
        lambda network: LabelProportions(network, fractions={"a": 0.3, "b": 0.8})
    ),
    "without-labels": tagged(WithoutLabels),
    "mixture-efficiencies": passed,
    "topics": parted,
    "inference-aware": of_case("inference-aware", (0,)),
    "uncertainty-aware": of_case("uncertainty-aware", (0,)),
    "parameter-fit": fitted_mean,
    "estimate-calibration": corrected,
    "refinement": of_case("refinement", (0, 1, 2), back=True),
    "conditional-generator": generated,
    "flow-decorrelation": of_case("flow-decorrelation", (0, 1)),
    "transport-decorrelation": of_case("transport-decorrelation", (0, 1), back=True),
    **{name: regressed(name) for name in REGRESSIONS},
    **{name: calibrated(name) for name in CALIBRATIONS},
}


def test_every_method_on_tables_is_here() -> None:
    assert sorted(ANSWERS) == sorted(set(METHODS) - NO_TABLE)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ANSWERS)
def test_an_offset_changes_nothing(name: str) -> None:
    near, far = ANSWERS[name](0.0), ANSWERS[name](OFFSET)
    # Of estimates and their errors, which are rows, each has a size of its own.
    rows = near if near.ndim == 2 and len(near) < 5 else near.reshape(1, -1)
    size = np.maximum(rows.std(1), 0.01 * np.abs(rows).mean(1)).reshape(-1, 1)
    assert (size > 0).all()
    difference = np.abs(far - near).reshape(rows.shape) / size
    assert difference.max() < TOLERANCE


def test_a_table_of_float64_keeps_its_digits() -> None:
    x = moved(np.random.default_rng(0).normal(size=(1000, 2)), 0.0)
    near, far = (
        Standardise(2).fit(values)(values)
        for values in (torch.from_numpy(x), torch.from_numpy(x + np.array([1e7, -3e7])))
    )
    assert near.dtype == far.dtype
    np.testing.assert_allclose(far.numpy(), near.numpy(), atol=1e-6)
