"""Inference-aware training on a toy with an exact answer (INFERNO, 1806.04743).

A signal of 50 events on a background of 1000 whose shape and yield are known in part. A
classifier ignores what is unknown; a summary trained for the error of the signal does not.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.intervals import profile_intervals
from colliderkit.methods.inference.nuisance_ratio import UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import Templates, fill
from colliderkit.metrics.value import Value
from colliderkit.report import plots
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.serve.histfactory import fit_workspace, workspace, write_workspace
from colliderkit.sources.toys.inferno import BENCHMARKS, Inferno
from colliderkit.training.settings import Training

__all__ = ["EDGES", "PUBLISHED", "SOURCE", "nuisances", "run"]

Floats = NDArray[np.float64]
Sample = tuple[Floats, NDArray[np.int64], Floats]
SOURCE = "arXiv:1806.04743"
AWARE, PLAIN, BEST, EXACT, RATIO = (
    "INFERNO",
    "cross-entropy",
    "best classifier",
    "exact likelihood",
    "ratio with nuisances, unbinned",
)
# Medians of 100 trainings; the exact rows from one large sample.
PUBLISHED: dict[str, tuple[float, ...]] = {
    AWARE: (15.51, 16.79, 16.95, 16.89, 18.68),
    PLAIN: (14.99, 18.94, 23.94, 21.54, 26.71),
    BEST: (14.97, 19.12, 24.93, 22.13, 27.98),
    EXACT: (14.71, 15.52, 15.65, 15.62, 16.89),
}
EDGES = np.linspace(0, 1, 11)
TEST_SEED = 10_047
PARTS = 5  # of the test events, for the counting error


@dataclass(frozen=True)
class Scale:
    """Say how much: events of a process, trainings, and benchmarks."""

    train: int
    test: int
    seeds: int
    benchmarks: Sequence[str]
    aware: Training
    plain: Training
    ratio: Training
    ratio_benchmarks: Sequence[str]
    ratio_train: int
    ratio_events: int


SCALES = {
    "smoke": Scale(
        4_000,
        20_000,
        1,
        ("B0", "B4"),
        Training(epochs=4, batch_size=500, learning_rate=3e-3),
        Training(epochs=2, batch_size=500),
        Training(epochs=2, batch_size=500, learning_rate=3e-3),
        ("B4",),
        10_000,
        512,
    ),
    "laptop": Scale(
        50_000,
        200_000,
        2,
        tuple(BENCHMARKS),
        Training(epochs=20, batch_size=2000, learning_rate=3e-3),
        Training(epochs=10, batch_size=500),
        Training(epochs=2, batch_size=1000, learning_rate=3e-3),
        ("B4",),
        1_000_000,
        4_096,
    ),
    "paper": Scale(
        100_000,
        500_000,
        5,
        tuple(BENCHMARKS),
        Training(epochs=40, batch_size=2000, learning_rate=3e-3),
        Training(epochs=20, batch_size=500),
        Training(epochs=5, batch_size=1000, learning_rate=3e-3),
        ("B1", "B2", "B3", "B4"),
        4_000_000,
        16_384,
    ),
}

SUMMARY = """Two processes in three observables, with a background whose position r, slope lambda
and yield b are uncertain: how well can the signal's yield be measured? A summary that is trained
for this error, a classifier, and the exact likelihood, in the benchmarks B0 (nothing floats), B1
(r), B2 (r, lambda), B3 (both constrained) and B4 (and b)."""

REMARKS = """
sigma(s) is the expected error of the signal yield (50 on 1000 events), the nuisance parameters of
the benchmark profiled: from the Fisher information of ten bins at their expectation, with r varied
by 0.2, lambda by 0.5 and b by 100. INFERNO is trained for each benchmark ("matched"); the
classifier once. Few test events bias it low: their fluctuations look like information. Published
are medians of 100 trainings, here are means. The exact likelihood is an integral: no summary can do
better. The signal stands at (0, 0), as in the program of the paper; its text says (1, 1), for which
the exact row would be 16.15 16.43 16.62 16.61 18.28.

Unlike the paper, the optimiser is Adam with one cycle up to 3e-3 and the temperature of the soft
bins is 1. The unbinned ratio has no published figure on this toy: its sigma(s) is half the width
of the interval where the profile likelihood of the expected events falls by 1/2, and the s that it
finds for them shows its bias, of one training.
"""


def nuisances(benchmark: str) -> tuple[Nuisance, ...]:
    """Return the nuisance parameters of a benchmark of the toy, with the published steps."""
    if benchmark not in BENCHMARKS:
        raise InputError(f"benchmark '{benchmark}' is unknown; choose from {list(BENCHMARKS)}.")
    chosen = BENCHMARKS[benchmark]
    widths = chosen.constraints
    known = {
        "r": Nuisance("r", "shift", column=0, step=0.2, width=widths.get("r")),
        "lambda": Nuisance(
            "lambda", "rate", column=2, nominal=3.0, step=0.5, width=widths.get("lambda")
        ),
        "b": Nuisance("b", "yield", nominal=1000.0, step=100.0, width=widths.get("b")),
    }
    return tuple(known[name] for name in chosen.floating)


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run the study into `out` and return the path of its report.

    Events are drawn in a moment: `workers` and `dask` have nothing to do. Fitted models are kept
    in `out` by scale and seed, and not fitted again.
    """
    chosen = SCALES[scale]
    seeds = chosen.seeds if seeds is None else seeds
    if seeds < 1:
        raise InputError(f"--seeds is {seeds}; it must be at least 1.")
    refuse_existing(out / "report.html", force)
    toy = Inferno()
    test = toy.sample(chosen.test, TEST_SEED)
    timing: dict[str, float] = {}
    aware: dict[str, list[InferenceAware]] = {name: [] for name in chosen.benchmarks}
    plain: list[UncertaintyAware] = []
    for seed in range(seeds):
        for name in chosen.benchmarks:
            fresh = InferenceAware(nuisances(name), training=chosen.aware)
            where = out / "models" / f"{scale}-{AWARE}-{name}-{seed}"
            aware[name].append(_fitted(fresh, where, chosen.train, seed, timing))
        classifier = UncertaintyAware(training=chosen.plain)
        where = out / "models" / f"{scale}-{PLAIN}-{seed}"
        plain.append(_fitted(classifier, where, chosen.train, seed, timing))
    ratios = {}
    for name in chosen.ratio_benchmarks:
        fresh = UncertaintyAware(nuisances(name), validation=0.1, training=chosen.ratio)
        where = out / "models" / f"{scale}-ratio-{name}-0"
        ratios[name] = _fitted(fresh, where, chosen.ratio_train, 0, timing)
    began = time.perf_counter()
    same = "same" if scale == "paper" else "stand-in"
    results = _results(chosen, toy, test, aware, plain, same)
    curves, failures = _ratio_curves(chosen, toy, ratios)
    results += [found for name, curve in curves.items() for found in _of_ratio(name, *curve)]
    timing["evaluation"] = time.perf_counter() - began
    report = Report(
        "Inference-aware training",
        SUMMARY,
        command=f"colliderkit study inference-aware --scale {scale} --seeds {seeds}",
        configuration=yaml.safe_dump(_configuration(aware, plain, ratios), sort_keys=False),
        seeds=list(range(seeds)),
        timing=timing,
    )
    report.add_heading("Expected error of the signal")
    report.add_results(results)
    report.add_text("\n\n".join([REMARKS, *failures]))
    _add_bounds(report, results, chosen.benchmarks, toy)
    last = chosen.benchmarks[-1]
    templates = {
        AWARE: aware[last][0].templates(*test),
        PLAIN: _counted(_score(plain[0]), test, last),
        BEST: _counted(_optimal(toy), test, last),
    }
    report.add_heading("Summaries")
    for name in (AWARE, PLAIN):
        report.add_figure(
            _summary_figure(templates[name]),
            f"Expected counts in the bins of {name}, {last}, first seed; bins in the order of their"
            " share of signal. Below, what each nuisance parameter a step off does to the"
            " background. The training for the error makes bins in which these are unlike the"
            " signal.",
        )
    report.add_heading("Profile likelihood")
    report.add_figure(
        _profile_figure(templates, curves.get(last)),
        f"Expected log-likelihood of the signal yield, {last}: nuisance parameters profiled (full)"
        " and known (dotted). The horizontal lines are at one and two standard deviations.",
    )
    report.add_heading("Training")
    report.add_figure(
        _training_figure({name: models[0] for name, models in aware.items()}, toy),
        "The loss is the expected error itself: sigma(s) of soft bins on batches of validation"
        " events, by epoch, first seed. Lines at the right: what the exact likelihood allows.",
    )
    _add_workspace(report, templates[AWARE], out, force)
    return report.write(out, force=force)


def _fitted(fresh: Any, where: Path, count: int, seed: int, timing: dict[str, float]) -> Any:
    """Fit a method to `count` events of a process and save it, or load what stands there."""
    if where.exists():
        return type(fresh).load(where)
    print(where.name, flush=True)
    began = time.perf_counter()
    fresh.fit(*Inferno().sample(count, seed), seed=seed)
    step = f"training {fresh.name}" + ("" if fresh.nuisances else ", no nuisances")
    timing[step] = timing.get(step, 0.0) + time.perf_counter() - began
    fresh.save(where)
    return fresh


def _optimal(toy: Inferno) -> Callable[[Floats], Floats]:
    return lambda x: 1 / (1 + np.exp(-toy.log_ratio(x)))


def _score(model: UncertaintyAware) -> Callable[[Floats], Floats]:
    return lambda x: model.predict_proba(x)[:, 1]


def _counted(summary: Callable[[Floats], Floats], test: Sample, benchmark: str) -> Templates:
    return fill(summary, *test, EDGES, nuisances(benchmark))


def _results(
    scale: Scale,
    toy: Inferno,
    test: Sample,
    aware: Mapping[str, Sequence[InferenceAware]],
    plain: Sequence[UncertaintyAware],
    setup: Any,
) -> list[Result]:
    results = []
    for subject in (AWARE, PLAIN, BEST, EXACT):
        for name in scale.benchmarks:
            figure = f"sigma(s) {name}"
            published: dict[str, Any] = {
                "published": PUBLISHED[subject][list(BENCHMARKS).index(name)],
                "source": SOURCE,
            }
            if subject == EXACT:
                # An integral, whatever the scale.
                exact = toy.expected_error(name)
                results.append(Result(subject, figure, exact, setup="same", **published))
                continue
            if subject == AWARE:
                values = [_error(model.templates, test) for model in aware[name]]
            else:
                scores = [_optimal(toy)] if subject == BEST else [_score(m) for m in plain]
                values = [
                    _error(lambda *part, s=score, b=name: _counted(s, part, b), test)
                    for score in scores
                ]
            results.append(Result.over_seeds(subject, figure, values, setup=setup, **published))
    return results


def _error(templates: Callable[..., Templates], test: Sample) -> Value:
    """Return sigma(s) with its counting error: the scatter over parts of the test events."""
    x, label, weight = test
    parts = [
        templates(x[i::PARTS], label[i::PARTS], PARTS * weight[i::PARTS]).expected_error()
        for i in range(PARTS)
    ]
    counting = float(np.std(parts, ddof=1) / np.sqrt(PARTS))
    return Value(templates(x, label, weight).expected_error(), counting)


def _ratio_curves(
    scale: Scale, toy: Inferno, ratios: Mapping[str, UncertaintyAware]
) -> tuple[dict[str, tuple[Floats, Floats]], list[str]]:
    """Return the scan and the profile of each nuisance-parametrised ratio, and what failed.

    Its events are spread evenly: of random ones the exact likelihood finds 39 for 50 events of
    signal, once in a while, even where ten times as many as expected are drawn.
    """
    x, _, weight = toy.asimov(scale.ratio_events)
    scan = np.linspace(10, 90, 9)
    curves, failures = {}, []
    for name, model in ratios.items():
        try:
            curves[name] = scan, model.profile(scan, x, weight)
        except InputError as error:
            # A ratio of too short a training may prefer a theta that it has not been shown.
            failures.append(f"{RATIO}, {name}: {error}")
    return curves, failures


def _of_ratio(name: str, scan: Floats, curve: Floats) -> list[Result]:
    """Return sigma(s), if the interval lies in the scan, and the s that is found for 50."""
    found = profile_intervals(scan, curve)
    width = float(found.high[0] - found.low[0]) / 2
    results = [Result(RATIO, f"s found for 50, {name}", float(found.best[0]))]
    if np.isfinite(width):
        results.insert(0, Result(RATIO, f"sigma(s) {name}", width))
    return results


def _add_bounds(
    report: Report, results: Sequence[Result], benchmarks: Sequence[str], toy: Inferno
) -> None:
    """Set every figure over what the exact likelihood allows."""
    exact = {f"sigma(s) {name}": toy.expected_error(name) for name in benchmarks}
    rows = []
    for subject in dict.fromkeys(result.subject for result in results):
        own = {r.quantity: r.value for r in results if r.subject == subject}
        rows.append(
            [subject] + [f"{own[f] / e - 1:+.1%}" if f in own else "" for f, e in exact.items()]
        )
    report.add_table(
        ["", *benchmarks], rows, "How far sigma(s) lies above that of the exact likelihood."
    )


@plots.style()
def _summary_figure(templates: Templates) -> Figure:
    """Draw counts by bin, and the relative change of the background with each nuisance."""
    background, signal = templates.counts
    kept = np.flatnonzero(background > 0)
    order = kept[np.argsort(signal[kept] / background[kept])]
    edges = np.arange(len(order) + 1) + 0.5
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    top.stairs(background[order], edges, label="background", linewidth=2, color=plots.COLOURS[0])
    top.stairs(signal[order], edges, label="signal", linewidth=2, color=plots.COLOURS[2])
    top.set_yscale("log")
    top.set_ylabel("Expected events")
    top.set_ylim(top=30 * background.max())
    top.legend()
    for i, nuisance in enumerate(templates.nuisances):
        colour = plots.COLOURS[3 + i]
        for side, line in ((templates.up, "-"), (templates.down, ":")):
            change = side[i, 0][order] / background[order] - 1
            bottom.stairs(
                change, edges, color=colour, linestyle=line, linewidth=2, label=nuisance.name
            )
    bottom.axhline(0, color="k", linewidth=1)
    handles, names = bottom.get_legend_handles_labels()
    if names:
        bottom.legend(handles[::2], names[::2], ncols=3, fontsize=14)
    bottom.set_ylabel("Relative change")
    bottom.set_xlabel("Bin")
    return figure


@plots.style()
def _profile_figure(
    templates: Mapping[str, Templates], ratio: tuple[Floats, Floats] | None
) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    scan = np.linspace(0, 100, 41)
    looks = plots.styles([*templates, RATIO])
    for name, counted in templates.items():
        colour = looks[name]["color"]
        full = counted.profile(scan)
        axes.plot(scan, 2 * (full.max() - full), color=colour, label=name)
        known = counted.profile(scan, floating=False)
        axes.plot(scan, 2 * (known.max() - known), color=colour, linestyle=":")
    if ratio is not None:
        points, curve = ratio
        height = 2 * (curve.max() - curve)
        axes.plot(points, height, "o--", color=looks[RATIO]["color"], label=RATIO)
    for level in (1, 4):
        axes.axhline(level, color="k", linewidth=1, alpha=0.5)
    axes.set_ylim(0, 9)
    axes.set_xlim(scan[0], scan[-1])
    axes.set_xlabel("Signal events s")
    axes.set_ylabel(r"$-2\,\Delta\,\ln L$")
    axes.legend(fontsize=15)
    return figure


@plots.style()
def _training_figure(models: Mapping[str, InferenceAware], toy: Inferno) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    for name, colour in zip(models, plots.COLOURS, strict=False):
        history = models[name].history_
        epochs = [epoch.epoch + 1 for epoch in history]
        axes.plot(epochs, [e.validation_loss for e in history], color=colour, label=name)
        axes.plot(
            epochs[-1] * np.array([0.85, 1.0]),
            2 * [toy.expected_error(name)],
            color=colour,
            linestyle="--",
        )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Epoch")
    axes.set_ylabel("sigma(s) [events]")
    axes.legend(ncols=2)
    return figure


def _add_workspace(report: Report, templates: Templates, out: Path, force: bool) -> None:
    """Write the summary's histograms for pyhf, and fit them where it is installed."""
    report.add_heading("For pyhf")
    try:
        spec = workspace(templates)
    except InputError as error:
        report.add_text(f"Not written: {error}")
        return
    path = write_workspace(spec, out / "workspace.json", force=True)
    try:
        strength = fit_workspace(spec)["mu"]
    except InputError as error:
        report.add_text(f"The histograms of {AWARE} are in {path.name}. {error}")
        return
    report.add_text(
        f"The histograms of {AWARE} are in {path.name} as a HistFactory workspace. pyhf fits mu ="
        f" {strength} to their expectation, sigma(s) ="
        f" {strength.error * templates.nominal_signal:.2f} with the fluctuations of the simulation,"
        f" {templates.expected_error():.2f} by the Fisher information without."
    )


def _configuration(
    aware: Mapping[str, Sequence[InferenceAware]],
    plain: Sequence[UncertaintyAware],
    ratios: Mapping[str, UncertaintyAware],
) -> dict[str, Any]:
    chosen: dict[str, Any] = {f"{AWARE} {k}": models[0] for k, models in aware.items()}
    chosen[PLAIN] = plain[0]
    chosen |= {f"ratio {k}": model for k, model in ratios.items()}
    # JSON's types are YAML's; tuples are neither's.
    return {name: _plain(model._parameters()) for name, model in chosen.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
