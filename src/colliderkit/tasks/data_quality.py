"""The task of data quality: fit on good runs, certify later ones, evaluate, a shifter's page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.files import atomic_file, atomic_folder, existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.operations.beta_binomial import BetaBinomial
from colliderkit.methods.operations.certification import Certificates, Certification
from colliderkit.methods.operations.run_scores import RunScores
from colliderkit.methods.operations.timing import Means
from colliderkit.metrics.turn_on import efficiency_of
from colliderkit.metrics.value import Value, number
from colliderkit.report.data_quality import (
    flags_by_month,
    monitor_histogram,
    monitor_map,
    sections_lost,
)
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.golden import write_golden
from colliderkit.sources.files.monitors import read_monitors
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["CertifyingTask", "DataQualityTask"]

Files = list[str] | str
GOLDEN, FLAGS = "golden.json", "flags.csv"
RATIO = "bad flagged / good flagged"
SHOWN = 3  # flagged runs that a page draws
# What a shifter looks at first, by the test that flagged the run.
ADVICE = {
    "pull": "single bins against the reference runs: a dead or noisy channel, or a wrong reference",
    "chi2": "many bins a little: a change of conditions, of pileup or of the high voltage",
    "pca": "a pattern that good runs do not have: the gain or the supply of a region",
    "sections": "the sections shaded: a module or tower that failed inside the run",
    "mean": "the timing or scale of this region: its clock, delays or calibration",
    "autoencoder": "the sections shaded: what the network does not know from good runs",
    "high": "this score: it is higher than in good runs",
    "low": "this score: it is lower than in good runs",
}
AIMS = (
    Aim("Bad runs are flagged four times as often as good ones", RATIO, "*", "above", 4.0),
)  # fmt: skip


class CertifyingTask(Task):
    """Base of tasks that flag runs: the shifter's page, and what was calibrated."""

    writes_folder = True

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw a shifter's page: flagged runs with the place marked, drift, what to look at.

        Examples:
            colliderkit report shift
        """
        method = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        judged = {name: np.asarray(ak.to_list(events[name])) for name in events.fields}
        flagged = judged["flagged"].astype(bool)
        calibrated = len(method.joint_.calibration)
        page = runs.page(
            "Data quality",
            f"{number(int(flagged.sum()))} of {number(len(flagged))} runs are flagged, by"
            f" {len(method.joint_.names)} statistics whose joint rate of false alarms,"
            f" {method.rate:.2g}, {number(calibrated)} good runs until run {method.last_} have"
            " calibrated.",
            model,
            note,
        )
        page.add_heading("What to look at")
        order = np.flatnonzero(flagged)[np.argsort(judged["p"][flagged], kind="stable")][:20]
        page.add_table(
            ["run", "p", "test", "where", "look at"],
            [
                [
                    str(judged["run"][r]),
                    number(float(judged["p"][r]), 2),
                    str(judged["test"][r]),
                    str(judged["place"][r]),
                    ADVICE[str(judged["test"][r]).replace(":", " ").split()[-1]],
                ]
                for r in order
            ],
            "The runs with the smallest joint p-values, the test whose own is the smallest, and"
            " its worst bin. The smallest possible p is one over the calibrating runs and one.",
        )
        for run in note.get("shown", []):
            add_run(page, run)
        page.add_heading("Rates")
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "Shares of runs with binomial errors; luminosity of the lumi sections that are lost.",
        )
        months, series = by_month(judged)
        if months:
            what = "runs" if "good" not in judged else "good runs"
            page.add_figure(
                flags_by_month(months, series, method.rate, what),
                f"Share of {what} that is flagged, month by month, with binomial errors: where it"
                " leaves the line, the detector has drifted from the runs that calibrated, and the"
                " fit is to be made anew.",
            )
        page.conclude(AIMS if "good" in judged else [])
        return page

    def summary(self, method: Method) -> str:
        """Say on what was calibrated."""
        assert isinstance(method, Certification | RunScores)
        joint = method.joint_
        return (
            f"{len(joint.names)} statistics at a joint rate of {method.rate:g}, calibrated on"
            f" {len(joint.calibration)} good runs, until run {method.last_}"
        )


class DataQualityTask(CertifyingTask):
    """Certify the runs of a detector by its monitors in each lumi section."""

    methods = ("certification",)

    def read(
        self,
        method: Certification,
        files: Files,
        *,
        monitors: list[str] | None = None,
        means: list[str] | None = None,
        good: str | None = None,
        tree: str | None = None,
    ) -> Inputs:
        r"""Learn what good runs look like, and calibrate the rate of false alarms on them.

        Args:
            files: Parquet or ROOT with a row a lumi section (columns run, section, and a list or
                list of lists of numbers for each monitor; date, luminosity and a label where they
                are there), or ROOT histograms in folders RUN/SECTION/NAME. Runs labelled bad are
                left out.
            monitors: those to look at, all if not given.
            means: monitors that are no counts but means in the bins of another.
            good: the value of the label of a good run, where it is not "good".
            tree: of ROOT.

        Examples:
            colliderkit fit data-quality 'runs/*.parquet' --out certification
        """
        read = monitors_of(files, monitors=monitors, means=means, good=good, tree=tree)
        if read.good is None:
            account("no label: all runs are taken for good ones")
        elif not read.good.all():
            account(f"{int((~read.good).sum())} runs labelled bad are left out")
            read = read.at(read.good)
        return Inputs(method, {"runs": read})

    def apply(
        self,
        method: Certification,
        files: Files,
        *,
        out: Path,
        good: str | None = None,
        tree: str | None = None,
        force: bool = False,
    ) -> None:
        """Certify: write a folder with flags.csv (reasons and places) and golden.json.

        Args:
            files: of later runs, as those of the fit.
            good: the value of the label of a good run, where it is not "good".
            tree: of ROOT.

        Examples:
            colliderkit apply certification new.parquet --out certified
        """
        read = later(method, monitors_of(files, **as_fitted(method), good=good, tree=tree))
        found = method.certify(read, progress=True)
        with atomic_folder(out, force) as part:
            write_flags(part / FLAGS, judged_runs(method, read, found))
            write_golden(part / GOLDEN, found.golden())

    def evaluate(
        self,
        method: Certification,
        files: Files,
        *,
        good: str | None = None,
        tree: str | None = None,
    ) -> Evaluation:
        r"""Certify later runs and judge it: flags of good and bad, luminosity lost, drift.

        Without labels the shares are those of all runs. Runs that are not later than those of the
        fit are left out, which is said.

        Args:
            files: of later runs, as those of the fit.
            good: the value of the label of a good run, where it is not "good".
            tree: of ROOT.

        Examples:
            colliderkit evaluate certification new.parquet --out shift
        """
        read = later(method, monitors_of(files, **as_fitted(method), good=good, tree=tree))
        found = method.certify(read, progress=True)
        judged = judged_runs(method, read, found)
        shown = [drawn_run(method, read, found, int(r)) for r in worst(found)]

        def write(folder: Path) -> None:
            write_flags(folder / FLAGS, judged)
            write_golden(folder / GOLDEN, found.golden())

        rows = [*figures(judged), *luminosity(read, found)]
        return Evaluation(f"{len(read)} runs certified", rows, judged, {"shown": shown}, write)


def monitors_of(files: Files, **options: Any) -> MonitorRuns:
    """Read monitors, and say what was read."""
    read = read_monitors(files, **options)
    shapes = {name: " x ".join(map(str, shape)) for name, shape in read.shapes().items()}
    entries = ", ".join(
        f"{name} ({shapes[name]} bins, {'mean' if name in read.means else 'counts'})"
        for name in shapes
    )
    labels = ""
    if read.good is not None:
        labels = f"; {int(read.good.sum())} good and {int((~read.good).sum())} bad"
    account(
        f"read {files}: {len(read)} runs, {read.run[0]} to {read.run[-1]}, with"
        f" {len(read.section)} lumi sections; {entries}{labels}"
    )
    return read


def as_fitted(method: Certification) -> dict[str, list[str]]:
    """Return which monitors the fit has looked at, and which of them are means."""
    means = sorted({test.monitor for test in method.tests_ if isinstance(test, Means)})
    return {"monitors": list(method.shapes_), "means": means}


def later(method: Certification | RunScores, read: Any) -> Any:
    """Return the runs that are later than those of the fit, and say which are left out."""
    late = read.run > method.last_
    if not late.any():
        raise InputError(
            f"no run is later than run {method.last_}, the last of the fit: what is certified is"
            " compared with the past; give later runs."
        )
    if not late.all():
        account(f"{int((~late).sum())} runs until {method.last_}, the last of the fit, left out")
    return read.at(late)


def judged_runs(method: Certification, read: MonitorRuns, found: Certificates) -> dict[str, Any]:
    """Return columns of what is found of runs by their monitors."""
    lost = found.lost_luminosity()
    columns: dict[str, Any] = {
        "run": found.run,
        "p": found.p,
        "flagged": found.flagged,
        "test": np.array(found.names)[found.leading],
        "place": np.array([place_text(method, found, r) for r in range(len(found))]),
        "sections_lost": np.add.reduceat(found.lost.astype(np.int64), found.offsets[:-1]),
        "luminosity_lost": lost,
    }
    columns |= {f"p {name}": found.p_values[:, i] for i, name in enumerate(found.names)}
    columns |= {} if read.day is None else {"day": read.day}
    return columns | ({} if read.good is None else {"good": read.good})


def place_text(method: Certification, found: Certificates, r: int) -> str:
    """Write the worst bin of a run, and how many bins are named."""
    shape = tuple(method.shapes_[found.monitor[r]])
    where = np.unravel_index(int(found.place[r]), shape)
    name = next(n for n in found.bins if n.split(":")[0] == found.monitor[r])
    for key in found.bins:
        if key.split(": ")[1] == found.names[found.leading[r]].split(": ")[1]:
            name = key if key.split(":")[0] == found.monitor[r] else name
    more = int(found.bins[name][r].sum())
    text = f"{found.monitor[r]} bin {' '.join(str(int(i)) for i in where)}"
    return f"{text} ({more} bins named)" if more else text


def worst(found: Certificates) -> NDArray[np.int64]:
    """Return the flagged runs with the smallest p-values, few of them."""
    flagged = np.flatnonzero(found.flagged)
    order: NDArray[np.int64] = flagged[np.argsort(found.p[flagged], kind="stable")][:SHOWN]
    return order


def drawn_run(
    method: Certification, read: MonitorRuns, found: Certificates, r: int
) -> dict[str, Any]:
    """Return what a page draws of a run, as JSON."""
    one = read.at([r])
    statistic = found.names[found.leading[r]]
    monitor = found.monitor[r]
    shape = tuple(method.shapes_[monitor])
    which = next(i for i, test in enumerate(method.tests_) if statistic in test.names)
    test = method.tests_[which]
    values = method.maps(one)[test.names[0]][0]
    counts = read.entries_of(monitor) if monitor in one.means else monitor
    mine = slice(found.offsets[r], found.offsets[r + 1])
    alarms: dict[str, Any] = {}
    for each in method.tests_:
        sections = each.measure(one).sections
        if sections is not None and each.monitor == monitor:
            cut = method.joint_.cuts()[method.joint_.names.index(each.names[0])]
            alarms[each.names[0]] = (sections / cut).round(4).tolist()
    reference = None
    if isinstance(test, BetaBinomial):
        reference = test.references.sum(0).tolist()
    return {
        "run": int(found.run[r]),
        "p": float(found.p[r]),
        "test": statistic,
        "monitor": monitor,
        "place": [int(i) for i in np.unravel_index(int(found.place[r]), shape)],
        "values": values.round(3).tolist(),
        "entries": one.sums(counts)[0].tolist(),
        "counts": counts,
        "reference": reference,
        "bins": found.bins[test.names[0]][r].reshape(shape).astype(int).tolist(),
        "section": found.section[mine].tolist(),
        "lost": found.lost[mine].astype(int).tolist(),
        "alarms": alarms,
    }


def add_run(page: Report, run: Mapping[str, Any]) -> None:
    """Draw one flagged run on a page."""
    page.add_heading(f"Run {run['run']}")
    lost = f"{sum(run['lost'])} of {len(run['lost'])} lumi sections are not to be used"
    say = f"{run['test']}, p = {number(run['p'], 2)}; {lost}."
    values, bins = np.array(run["values"]), np.array(run["bins"], dtype=bool)
    if values.ndim == 2:
        place = (run["place"][0], run["place"][1])
        page.add_figure(
            monitor_map(values, run["test"], marked=bins, place=place),
            f"{say} The worst bin is ringed; bins that Benjamini-Hochberg names are outlined.",
            wide=True,
        )
        page.add_figure(
            monitor_map(np.array(run["entries"]), f"{run['counts']}: entries", place=place),
            "Entries of the run.",
            wide=True,
        )
    elif values.ndim == 1 and run["reference"] is not None:
        page.add_figure(monitor_histogram(run["entries"], run["reference"], values), say)
    else:
        page.add_text(say)
    if run["alarms"]:
        page.add_figure(
            sections_lost(run["section"], run["alarms"], run["lost"]),
            "The worst bin of the stretch of lumi sections that ends with each, over the cut.",
        )


def figures(judged: Mapping[str, Any]) -> list[Result]:
    """Return the shares that are flagged, with binomial errors, and their ratio."""
    flagged = np.asarray(judged["flagged"], dtype=bool)
    if "good" not in judged:
        share = efficiency_of(flagged.sum(), len(flagged))
        return [Result("all runs", "flagged", share.value, share.error, counting=share.error)]
    good = np.asarray(judged["good"], dtype=bool)
    shares: dict[str, Value] = {}
    for name, rows in (("good", good), ("bad", ~good)):
        if rows.any():
            shares[name] = efficiency_of(flagged[rows].sum(), int(rows.sum()))
    results = [
        Result(f"{name} runs", f"{name} flagged", s.value, s.error, counting=s.error)
        for name, s in shares.items()
    ]
    if len(shares) == 2:
        # Of no good run flagged, as if half of one were: the ratio is not infinite.
        below = max(shares["good"].value, 0.5 / int(good.sum()))
        ratio = shares["bad"].value / below
        relative = np.hypot(
            shares["good"].error / below, shares["bad"].error / max(shares["bad"].value, 1e-9)
        )
        results.append(Result("all runs", RATIO, ratio, float(ratio * relative)))
    return results


def luminosity(read: MonitorRuns, found: Certificates) -> list[Result]:
    """Return the share of the luminosity that is lost, of good runs by false alarms."""
    lost, each = found.lost_luminosity(), np.add.reduceat(found.luminosity, found.offsets[:-1])
    samples = {"all runs": np.ones(len(found), dtype=bool)}
    if read.good is not None:
        samples |= {"good runs": read.good, "bad runs": ~read.good}
    rows = []
    for name, mine in samples.items():
        if not mine.any() or not (total := each[mine].sum()):
            continue
        share = lost[mine].sum() / total
        # Runs are lost or kept one by one.
        error = float(np.sqrt(((lost[mine] - share * each[mine]) ** 2).sum()) / total)
        floor = float(each[mine].mean() / total)
        rows.append(Result(name, "luminosity lost", float(share), max(error, 0.5 * floor)))
    return rows


def by_month(judged: Mapping[str, Any]) -> tuple[list[str], dict[str, list[Value]]]:
    """Return the months of runs, and the shares of good ones (or of all) that are flagged."""
    if "day" not in judged:
        return [], {}
    month = np.asarray(judged["day"]).astype("datetime64[D]").astype("datetime64[M]")
    rows = np.asarray(judged.get("good", np.ones(len(month))), dtype=bool)
    names = np.unique(month[rows])
    flagged = np.asarray(judged["flagged"], dtype=bool)
    shares = [
        efficiency_of(flagged[rows & (month == m)].sum(), int((rows & (month == m)).sum()))
        for m in names
    ]
    return [str(m) for m in names], {"flagged": shares}


def write_flags(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write a run a line, with what is found of it, as CSV."""
    names = list(columns)
    values = [np.asarray(columns[name]).tolist() for name in names]
    with atomic_file(path) as part:
        lines = [",".join(json.dumps(n) if "," in n else n for n in names)]
        lines += [",".join(cell(x) for x in row) for row in zip(*values, strict=True)]
        part.write_text("\n".join(lines) + "\n")
    return path


def cell(value: Any) -> str:
    """Write a value of a CSV."""
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
