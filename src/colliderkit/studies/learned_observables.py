"""Learned observables: what should be measured in place of what is unfolded (2203.16722).

One file of more than 500 lines: three set-ups, toys, deep-inelastic scattering and jets, are told
one after the other.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.observables import table
from colliderkit.files import refuse_existing
from colliderkit.methods.unfolding.binned import IterativeBayes, unfold_iteratively
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.omnifold import Sample
from colliderkit.methods.unfolding.quality import Quality, purity, quantile_edges, stability
from colliderkit.methods.unfolding.response import Response, bins_of, over, real_share
from colliderkit.metrics.separation import TriangularDiscriminator, binned_separation
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.learned import by_bin, responses
from colliderkit.report.results import Result
from colliderkit.sources.files.pairs import read_pairs
from colliderkit.sources.pythia.shards import generate
from colliderkit.sources.toys.dis import COLUMNS, METHODS, DisEvents, DisModel, dis_events
from colliderkit.sources.toys.linear import LinearToy, angle_toy, pair_toy
from colliderkit.training.settings import Training

__all__ = ["run"]

Floats = NDArray[np.float64]

SUMMARY = """
The particle-level quantity of an unfolding is given by physics; what the detector measures in its
place need not be its namesake. A function of all that the detector sees, learned for the purpose,
makes the response more diagonal (arXiv:2203.16722). Here it is tried on two toys whose answer is
known in closed form, on the kinematics of deep inelastic scattering at HERA against the classical
reconstructions, and on jets of Z + jet events.
"""

STAND_IN = """
The events of deep inelastic scattering are a stand-in: formulas for kinematics and for radiation
off the incoming electron, and a smearing detector of the size of H1's, in place of Rapgap and
Djangoh with the full simulation of H1 that the paper uses. There is no hadronisation, no radiation
off the scattered electron and no photon in the detector. As in the program that its authors made
public, 10 bins of truth are unfolded from 20 of the detector with 100,000 events in mind. No
published number stands beside ours: that program has none, and its inputs are not public.
"""

MEASURES = """
"Inflation" is the variance of an unfolded bin over that of counting its true events, for an
inversion that has no bias, in the geometric mean of the bins: 1 for a perfect detector. It follows
from the response alone, and no unfolding without a prior does better with this observable and
binning. Detector bins hold equal shares of the simulation with each truth bin weighted to 1, so
that the scale of an observable does not matter; "information" has as many bins of its own.
"Purity" and "stability" are for equal bins at both levels. "Bias" is that of four iterations of
D'Agostini in another nature, over its statistical error, root mean square over the bins; "total" is
(bias² + variance) / counting variance at the best iteration for each observable, which only who
knows the truth can choose. Under- and overflow of the truth are unfolded as bins of their own.
"""

LESSONS = """
"mean" learns E[truth | seen]; "flat" does so for a flat spectrum of the truth; "information" learns
the detector bins themselves, for the smallest inflation. The regression is drawn to where the
simulation has most events, and this costs purity at the ends of a falling spectrum, but unfolding
takes it back: bias that comes from the spectrum of the truth itself is in the response matrix. What
is not in it is the rest of the simulation, all else that the response depends on: nature with more
radiation is measured wrongly by whatever does not tell radiation.

The smallest squared error is not the smallest inflation. Where a measurement is poor, the
regression answers with the simulation's mean, and sets such events among good ones of that size;
learned bins can keep them apart, and begin with the best single number there is.
"""

JETS = """
Z + jet at 14 TeV from Pythia 8 with the package's fast detector, pT(Z) > 200 GeV, hardest anti-kT
jet of R = 0.4. The simulation is Pythia's default, nature a far tune (alphaS 0.16, aLund 0.9). The
observables learn from eight of the jet: mass, multiplicity, width, ln rho, tau21, zg, pT and pTD at
detector level. Half of the simulation trains, half gives the response in ten bins of equal shares;
half of nature is unfolded and compared with the truth of the other half. D is 10^3 times the
triangular discriminator.
"""

LEARNED = ("learned, mean", "learned, flat", "learned, information")
NAMES = {"Q2": "$Q^2$", "y": "$y$", "x": "$x$"}
EDGES = {
    "Q2": np.linspace(np.log10(200), np.log10(10_000), 11),
    "y": np.linspace(np.log10(0.02), np.log10(0.9), 11),
    "x": np.linspace(np.log10(0.003), np.log10(0.4), 11),
}
LABELS = {"Q2": "$Q^2$ [GeV$^2$]", "y": "$y$", "x": "$x$"}
DETECTOR_BINS = 20
DATA = 100_000  # events that errors are quoted for
ITERATIONS = 4
INNER = slice(1, -1)  # all but under- and overflow, which are unfolded with the others
LONGEST = 60
REPLICAS = 20
NATURES = {
    "other structure": DisModel(rise=0.3, small=0.4, large=4.5),
    "more radiation": DisModel(radiation=1.5),
}
FAR = ("TimeShower:alphaSvalue = 0.16", "StringZ:aLund = 0.9")
JET_COLUMNS = ("mass", "multiplicity", "width", "ln_rho", "tau21", "zg", "pt", "ptd")
JET_BINS = 10
JET_LABELS = {"mass": "Jet mass [GeV]", "width": "Jet width", "tau21": r"$\tau_{21}$"}


@dataclass(frozen=True)
class Scale:
    """Say how many events of each kind, and how the networks are trained."""

    toy: int
    train: int
    response: int
    quantities: tuple[str, ...]
    jets: int
    number: Training
    bins: Training
    jet_bins: Training
    seeds: int = 1


def _training(epochs: int, batch: int, rate: float) -> Training:
    return Training(epochs=epochs, batch_size=batch, learning_rate=rate, schedule="cosine")


SCALES = {
    "smoke": Scale(
        4_000,
        5_000,
        20_000,
        ("y",),
        0,
        _training(2, 512, 2e-3),
        _training(4, 1000, 5e-3),
        _training(4, 1000, 5e-3),
    ),
    "laptop": Scale(
        50_000,
        100_000,
        1_000_000,
        ("y", "Q2", "x"),
        15_000,
        _training(12, 1024, 2e-3),
        _training(15, 4000, 5e-3),
        _training(60, 4000, 5e-3),
    ),
    "paper": Scale(
        200_000,
        2_000_000,
        5_000_000,
        ("y", "Q2", "x"),
        200_000,
        _training(60, 2048, 2e-3),
        _training(60, 10_000, 5e-3),
        _training(100, 20_000, 5e-3),
        3,
    ),
}


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run the study into `out` and return the path of its report; jets are kept in `out/data`."""
    chosen = SCALES[scale]
    seeds = chosen.seeds if seeds is None else seeds
    if seeds < 1:
        raise InputError(f"--seeds is {seeds}; it must be at least 1.")
    refuse_existing(out / "report.html", force)
    timing: dict[str, float] = {}
    report = Report(
        "Learned observables for unfolding",
        SUMMARY,
        command=f"colliderkit study learned-observables --scale {scale} --seeds {seeds}",
        configuration=f"events trained on: {chosen.train}\nevents of the response:"
        f" {chosen.response}\njets: {chosen.jets}\nepochs: {chosen.number.epochs}\n",
        seeds=list(range(seeds)),
        timing=timing,
    )
    for title, part in (("Toys", _toys), ("Deep inelastic scattering", _dis)):
        began = time.perf_counter()
        report.add_heading(title)
        part(report, chosen, seeds)
        timing[title.lower()] = time.perf_counter() - began
    if chosen.jets:
        began = time.perf_counter()
        report.add_heading("Jets of Z + jet events")
        _jets(report, chosen, seeds, out / "data", workers, dask)
        timing["jets"] = time.perf_counter() - began
    return report.write(out, force=force)


# The toys, whose answer is known.


def _toys(report: Report, scale: Scale, seeds: int) -> None:
    """Compare what is learned with the exact combination, in information and in bias."""
    shift = np.array([0.0, 1.0])
    rows = []
    for title, toy, moved in (
        ("two estimates, correlated noise", pair_toy(), np.zeros(1)),
        ("response depends on an angle", angle_toy(), shift),
    ):
        tests = toy.sample(scale.toy, 1_000), _nature(toy, moved).sample(scale.toy, 1_001)
        exact = {
            "plain": np.eye(len(toy.noise))[0],
            "best regression": toy.regression,
            "best unbiased": toy.unbiased,
        }
        for name, combination in exact.items():
            rows.append([title, name, toy.information(combination), toy.bias(combination, moved)])
        found = [_learned_toy(toy, scale, tests, seed) for seed in range(seeds)]
        rows.append(
            [title, "learned, mean", *(_mean(values) for values in zip(*found, strict=True))]
        )
    report.add_table(
        ["toy", "observable", "information [nats]", "bias in another nature"],
        rows,
        "Mutual information of truth and observable, and by how much the mean of the truth is"
        " wrong when nature's angle has a mean of one width. Exact but for the learned row, which"
        f" is measured on {scale.toy} events that no training has seen. The regression trusts the"
        " simulation's distribution of the angle, as far as the angle is not measured.",
    )


def _nature(toy: LinearToy, shift: Floats) -> LinearToy:
    return LinearToy(toy.slopes, toy.noise, toy.mean + shift, toy.width)


def _learned_toy(
    toy: LinearToy, scale: Scale, tests: Sequence[tuple[Floats, Floats]], seed: int
) -> tuple[Value, Value]:
    """Return information and bias of the observable that is learned from other events."""
    method = LearnedObservable(training=scale.number).fit(*toy.sample(scale.toy, seed), seed=seed)
    (f, z), (f_nature, z_nature) = ((method.predict(x), z) for x, z in tests)
    rho = float(np.corrcoef(f, z)[0, 1])
    # The error of a correlation is (1 - rho^2) / sqrt(n), and dI = rho drho / (1 - rho^2).
    information = Value(-0.5 * math.log(1 - rho**2), abs(rho) / math.sqrt(len(z)))
    slope = float(np.cov(f, z)[0, 1] / z.var())
    rest, rest_nature = f / slope - z, f_nature / slope - z_nature
    error = math.hypot(rest.std(), rest_nature.std()) / math.sqrt(len(z))
    return information, Value(float(rest_nature.mean() - rest.mean()), error)


def _mean(values: Sequence[Value]) -> Value:
    """Combine seeds; the test events are the same for each."""
    found = Result.over_seeds("", "", values)
    return Value(found.value, found.error or 0.0)


# Deep inelastic scattering.


def _log(values: Floats) -> Floats:
    """Return log10, with what is no positive number put below all others."""
    return np.log10(np.where(values > 1e-5, values, 1e-5))


def _open(edges: Floats) -> Floats:
    """Add bins of under- and overflow."""
    return np.concatenate([[-np.inf], edges, [np.inf]])


def _detector_edges(values: Floats, truth: Floats, edges: Floats) -> Floats:
    """Return edges between which all truth bins together, each of weight 1, have equal shares."""
    place, inside = bins_of(truth, edges)
    share = 1 / np.bincount(place[inside], minlength=len(edges) - 1)
    weight = np.where(inside, share[np.where(inside, place, 0)], 0.0)
    return quantile_edges(values, DETECTOR_BINS, weight)


@dataclass(frozen=True)
class Judged:
    """Hold what is found of one observable."""

    quality: Quality
    response: Response
    purity: Floats
    stability: Floats
    bias: Mapping[str, Floats]  # over the statistical error, by nature
    size: Mapping[str, Value]  # root mean square of that
    total: Mapping[str, Value]


def _dis(report: Report, scale: Scale, seeds: int) -> None:
    """Judge four classical and three learned reconstructions of each quantity."""
    report.add_text(STAND_IN)
    train = dis_events(scale.train, seed=1)
    train = train.at(train.pass_reco)
    simulation = dis_events(scale.response, seed=2)
    natures = {
        name: dis_events(scale.response, model, seed=[3, i])
        for i, (name, model) in enumerate(NATURES.items())
    }
    everything = {"simulation": simulation, **natures}
    seen = {name: events.at(events.pass_reco) for name, events in everything.items()}
    tables = {name: events.table() for name, events in seen.items()}
    classical = {
        method: {name: events.reconstructed(method) for name, events in seen.items()}
        for method in METHODS
    }
    results: list[Result] = []
    figures = []
    for quantity in scale.quantities:
        judged: dict[str, list[Judged]] = {}
        shown: dict[str, Floats] = {}
        truth = np.log10(getattr(seen["simulation"], quantity))
        for method in METHODS:
            values = {name: _log(found[quantity]) for name, found in classical[method].items()}
            edges = _detector_edges(values["simulation"], truth, _open(EDGES[quantity]))
            judged[method] = [_judge(quantity, everything, values, edges)]
            shown[method] = values["simulation"]
        for name in LEARNED:
            judged[name] = []
            for seed in range(seeds):
                print(f"{quantity}, {name}, seed {seed}", flush=True)
                observable = _learned(name, scale, EDGES[quantity], COLUMNS)
                observable.fit(train.table(), np.log10(getattr(train, quantity)), seed=seed)
                values = {key: observable.predict(x) for key, x in tables.items()}
                own = observable.criterion == "information"
                edges = (
                    observable.edges()
                    if own
                    else _detector_edges(values["simulation"], truth, _open(EDGES[quantity]))
                )
                judged[name].append(_judge(quantity, everything, values, edges))
                if not own and seed == 0:
                    shown[name] = values["simulation"]
        results += _results(quantity, judged)
        figures.append((quantity, judged, shown))
    report.add_results(
        results,
        "Inflation, total error and bias of each observable for the unfolding of"
        f" log10 of {', '.join(scale.quantities)}; errors from the counting of the simulation and,"
        " of several, from the seeds.",
    )
    report.add_text(MEASURES + "\n\n" + LESSONS)
    report.add_table(
        ["", "observable", "condition", "purity", "stability", *(f"bias, {n}" for n in NATURES)],
        [
            [
                quantity,
                name,
                found[0].quality.condition,
                _number(found[0].purity.mean()),
                _number(found[0].stability.mean()),
                *(found[0].size[nature] for nature in NATURES),
            ]
            for quantity, judged, _ in figures
            for name, found in judged.items()
        ],
        "First seed: condition number of the response, mean purity and stability in equal bins"
        " (of bins that are learned there is none), and root mean square over the bins of the bias"
        f" of {ITERATIONS} iterations over the statistical error of {DATA} events seen. The natures"
        f" are {scale.response} events: {_floor(scale.response):.2f} is counting.",
    )
    for quantity, judged, shown in figures:
        _dis_figures(report, quantity, judged, shown, seen["simulation"])


def _number(value: float) -> float | str:
    return "-" if math.isnan(value) else float(value)


def _learned(
    name: str,
    scale: Scale,
    edges: Floats,
    columns: Sequence[str],
    bins: Training | None = None,
) -> LearnedObservable:
    """Choose what is learned; `edges` (T + 1,) are finite, under- and overflow come with them."""
    criterion: Any = name.removeprefix("learned, ")
    own = criterion == "information"
    return LearnedObservable(
        criterion=criterion,
        truth_edges=(_open(edges) if own else edges).tolist(),
        bins=DETECTOR_BINS,
        columns=columns,
        training=(bins or scale.bins) if own else scale.number,
    )


def _floor(nature: int) -> float:
    """Return the root mean square of bias / error that the counting of both samples makes."""
    return math.sqrt(2 * DATA / nature)


def _judge(
    quantity: str,
    everything: Mapping[str, DisEvents],
    values: Mapping[str, Floats],
    reco_edges: Floats,
) -> Judged:
    """Make the response of one observable, and unfold the expectation of each nature by it."""
    edges = _open(EDGES[quantity])
    simulation = everything["simulation"]
    truth = np.log10(getattr(simulation, quantity))
    response = _response(values["simulation"], simulation.pass_reco, truth, edges, reco_edges)
    pure = stable = np.full(len(edges) - 3, np.nan)
    if reco_edges[0] == -np.inf:  # learned bins have no equal ones in truth
        same = _response(values["simulation"], simulation.pass_reco, truth, edges, edges)
        pure, stable = purity(same)[INNER], stability(same)[INNER]
    bias, size, total = {}, {}, {}
    for name in NATURES:
        measured = np.histogram(values[name], reco_edges)[0].astype(np.float64)
        factor = DATA / measured.sum()
        known = np.histogram(np.log10(getattr(everything[name], quantity)), edges)[0] * factor
        bias[name], size[name], total[name] = _against(response, measured * factor, known)
    return Judged(
        Quality.of(response, bins=INNER),
        response,
        pure,
        stable,
        bias,
        size,
        total,
    )


def _response(
    values: Floats, seen: NDArray[np.bool_], truth: Floats, edges: Floats, reco_edges: Floats
) -> Response:
    """Count the response of events of which `values` are those seen."""
    reco = np.zeros(len(truth))
    reco[seen] = values
    sample = Sample.checked(values[:1], reco, truth, pass_reco=seen, data_weight=[len(truth)])
    return Response.of(sample, edges, reco_edges)


def _against(response: Response, measured: Floats, known: Floats) -> tuple[Floats, Value, Value]:
    """Unfold the expectation `measured` (R,) of a nature whose spectrum `known` (T,) is known.

    Returns bias / error after the fixed iterations in the inner bins (T - 2,), its root mean
    square, and the total error at the best iteration. Their errors are from replicas of the
    simulation, which come after the simulation itself in the batch.
    """
    again = response.replicas(REPLICAS, 0)
    counts, missed, fakes = (
        np.concatenate([one[None], many])
        for one, many in zip((response.counts, response.missed, response.fakes), again, strict=True)
    )
    truth = counts.sum(-1) + missed
    real = real_share(counts, fakes)
    prior = truth / truth.sum(-1, keepdims=True) * known.sum()
    matrix = over(counts, truth[..., None])
    spectra, slopes = unfold_iteratively(measured * real, matrix, prior, LONGEST)
    variance = np.einsum("kbtr,br->kbt", slopes[1:] ** 2, measured * real**2)
    bias, variance = (spectra[1:] - known)[..., INNER], variance[..., INNER]
    total = ((bias**2 + variance) / known[INNER]).mean(-1).min(0)
    relative = bias[ITERATIONS - 1] / np.sqrt(variance[ITERATIONS - 1])
    size = np.sqrt((relative**2).mean(-1))
    return relative[0], _spread(size), _spread(total)


def _spread(values: Floats) -> Value:
    """Take the first as the value and the standard deviation of the replicas as its error."""
    return Value(float(values[0]), float(values[1:].std(ddof=1)))


def _results(quantity: str, judged: Mapping[str, Sequence[Judged]]) -> list[Result]:
    """List inflation, total error and bias of each observable, over seeds."""
    first = next(iter(NATURES))
    rows = []
    for name, found in judged.items():
        for figure, values in (
            ("inflation", [Value(one.quality.mean, one.quality.mean_error) for one in found]),
            ("total", [one.total[first] for one in found]),
            ("bias / error", [one.size[first] for one in found]),
        ):
            rows.append(Result.over_seeds(name, f"{quantity}: {figure}", values))
    return rows


def _dis_figures(
    report: Report,
    quantity: str,
    judged: Mapping[str, Sequence[Judged]],
    shown: Mapping[str, Floats],
    events: DisEvents,
) -> None:
    """Draw resolution and bias by range of y, inflation, bias by bin, and responses."""
    edges, label = EDGES[quantity], LABELS[quantity]
    width, centre = _resolution(shown, np.log10(getattr(events, quantity)), events.y)
    options: dict[str, Any] = {"powers": True}
    report.add_figure(
        by_bin(width, EDGES["y"], "$y$", f"Resolution of {NAMES[quantity]}", log=True, **options),
        f"Resolution of {quantity}: half the width of the central 68% of ln(measured / true), by"
        " true y. Of the learned bins there is none.",
    )
    report.add_figure(
        by_bin(
            centre,
            EDGES["y"],
            "$y$",
            f"Bias of {NAMES[quantity]}",
            line=0.0,
            limits=(-0.3, 0.3),
            **options,
        ),
        f"Median of ln(measured / true) of {quantity}, by true y. The classical methods are not"
        " calibrated, and need not be for unfolding.",
    )
    report.add_figure(
        by_bin(
            {name: found[0].quality.inflation for name, found in judged.items()},
            edges,
            label,
            "Unfolded / counting variance",
            line=1.0,
            log=True,
            **options,
        ),
        f"What each bin of {quantity} costs: variance of the inversion over that of counting the"
        " true events.",
    )
    first = next(iter(NATURES))
    report.add_figure(
        by_bin(
            {name: found[0].bias[first] for name, found in judged.items()},
            edges,
            label,
            "Bias / statistical error",
            line=0.0,
            **options,
        ),
        f"Nature of {first}, unfolded with {ITERATIONS} iterations from the simulation's prior:"
        f" bias over the statistical error of {DATA} events.",
    )
    chosen = ("electron", "double angle", LEARNED[0], LEARNED[2])
    report.add_figure(
        responses({name: judged[name][0].response.matrix for name in chosen}, NAMES[quantity]),
        f"Response of {quantity}; detector bins hold equal shares of the truth bins.",
        wide=True,
    )


def _resolution(
    shown: Mapping[str, Floats], truth: Floats, y: Floats
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return half the central 68% of ln(measured / true) and its median, by range of y."""
    place = np.digitize(np.log10(y), EDGES["y"]) - 1
    width, centre = {}, {}
    for name, values in shown.items():
        rest = (values - truth) * math.log(10)
        cuts = np.array(
            [np.quantile(rest[place == i], (0.16, 0.5, 0.84)) for i in range(len(EDGES["y"]) - 1)]
        )
        width[name], centre[name] = (cuts[:, 2] - cuts[:, 0]) / 2, cuts[:, 1]
    return width, centre


# Jets.


def _jets(
    report: Report, scale: Scale, seeds: int, folder: Path, workers: int, dask: str | None
) -> None:
    """Unfold jet observables of a far tune by their namesake and by what is learned."""
    report.add_text(JETS)
    simulation = _jet_tables(folder / "simulation.parquet", scale.jets, 1, (), workers, dask)
    nature = _jet_tables(folder / "far.parquet", scale.jets, 2, FAR, workers, dask)
    results = []
    for target in JET_LABELS:
        edges = _jet_edges(simulation, target)
        curves: dict[str, Floats] = {}
        for name in ("plain", *LEARNED):
            found = []
            for seed in range(seeds if name in LEARNED else 1):
                print(f"{target}, {name}, seed {seed}", flush=True)
                found.append(_unfold_jets(name, target, edges, simulation, nature, scale, seed))
            curves[name] = found[0][0].inflation
            inflation = [Value(quality.mean, quality.mean_error) for quality, _ in found]
            apart = [Value(1e3 * d.value.value, 1e3 * d.value.error) for _, d in found]
            results.append(Result.over_seeds(name, f"{target}: inflation", inflation))
            results.append(Result.over_seeds(name, f"{target}: D", apart))
            floor = Value(1e3 * found[0][1].floor, 1e3 * found[0][1].floor_spread)
            results.append(Result.over_seeds(name, f"{target}: floor", [floor]))
        figure = by_bin(
            curves, edges, JET_LABELS[target], "Unfolded / counting variance", line=1.0, log=True
        )
        report.add_figure(figure, f"What each bin of {target} costs to unfold.")
    report.add_results(
        results,
        f"Inflation by the response, and 10^3 D between nature unfolded ({ITERATIONS} iterations)"
        " and its truth, with its counting floor: what D would be, and its spread, if both were"
        " one spectrum.",
    )


def _jet_tables(
    path: Path, count: int, seed: int, settings: Sequence[str], workers: int, dask: str | None
) -> dict[str, NDArray[Any]]:
    """Generate (or read what is kept of) paired jets; return tables and flags."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        generate(
            "z-jets",
            count,
            path,
            seed=seed,
            workers=workers,
            dask=dask,
            settings=settings,
            paired=True,
        )
    events = read_pairs(path)
    found: dict[str, NDArray[Any]] = {}
    for level in ("truth", "reco"):
        passed = np.asarray(events[f"pass_{level}"])
        values = np.zeros((len(events), len(JET_COLUMNS)))
        values[passed] = table(events[level][passed], JET_COLUMNS)[0]
        found[level], found[f"pass_{level}"] = values, passed
    return found


def _jet_edges(simulation: Mapping[str, NDArray[Any]], target: str) -> Floats:
    """Return edges of equal shares of the simulated truth; the outer ones are for the eye."""
    values = simulation["truth"][simulation["pass_truth"], JET_COLUMNS.index(target)]
    edges = quantile_edges(values, JET_BINS)
    edges[0], edges[-1] = values.min(), np.quantile(values, 0.995)
    return edges


def _unfold_jets(
    name: str,
    target: str,
    edges: Floats,
    simulation: Mapping[str, NDArray[Any]],
    nature: Mapping[str, NDArray[Any]],
    scale: Scale,
    seed: int,
) -> tuple[Quality, TriangularDiscriminator]:
    """Unfold half of nature with half of the simulation, by an observable of the other half."""
    column, every = JET_COLUMNS.index(target), _open(edges[1:-1])
    half = np.arange(len(simulation["truth"])) % 2 == 0
    both = half & simulation["pass_truth"] & simulation["pass_reco"]
    measured = nature["reco"][nature["pass_reco"] & (np.arange(len(nature["reco"])) % 2 == 0)]
    other = nature["truth"][nature["pass_truth"] & (np.arange(len(nature["truth"])) % 2 == 1)]
    reco, truth = simulation["reco"][~half], simulation["truth"][~half, column]
    reco_edges: Floats
    if name in LEARNED:
        observable = _learned(name, scale, edges[1:-1], JET_COLUMNS, scale.jet_bins)
        observable.fit(simulation["reco"][both], simulation["truth"][both, column], seed=seed)
        data, seen = observable.predict(measured), observable.predict(reco)
    else:
        data, seen = measured[:, column], reco[:, column]
    passed = simulation["pass_reco"][~half]
    if name == LEARNED[-1]:
        reco_edges = observable.edges()
    else:
        true = passed & simulation["pass_truth"][~half]
        reco_edges = _detector_edges(seen[true], truth[true], every)
    method = IterativeBayes(
        truth_edges=every.tolist(), reco_edges=reco_edges.tolist(), iterations=ITERATIONS
    )
    flags = {"pass_reco": passed, "pass_truth": simulation["pass_truth"][~half]}
    method.fit(data, seen, truth, seed=seed, **flags)
    counts = np.histogram(other[:, column], every)[0]
    apart = binned_separation(method.spectrum_, method.covariance_, counts, counts)
    return Quality.of(method.response_), apart
