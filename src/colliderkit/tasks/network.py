"""The tasks of a network: forecast congestion of links, and find anomalies with the link behind."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.methods.method import load
from colliderkit.methods.operations.congestion import CongestionForecast
from colliderkit.methods.operations.network_anomalies import NetworkAnomaly
from colliderkit.metrics.forecast import average_precision, brier, lead, precision_recall
from colliderkit.metrics.incidents import Incident, match, share
from colliderkit.metrics.value import number
from colliderkit.report.html import Report
from colliderkit.report.network import incidents_in_time
from colliderkit.report.network import precision_recall as drawn_curves
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.network.counters import COUNTERS, LinkCounters, of_rows
from colliderkit.sources.network.probes import MEASURED, PathProbes, probes_of_rows, read_faults
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["CongestionTask", "NetworkAnomalyTask", "forecast_rows"]

Files = list[str] | str
Texts = list[str] | str | None
AHEAD = "{} intervals ahead"
BASELINE = "persistence"


class CongestionTask(Task):
    """Forecast congestion of network links, from their counters by interval."""

    methods = ("congestion-forecast",)

    def read(
        self,
        method: CongestionForecast,
        reading: Reading,
        files: Files,
        *,
        features: Texts = None,
    ) -> Inputs:
        """Learn to forecast which links will be congested, from a table by interval and link.

        Args:
            files: ROOT, HDF5, Parquet or CSV files with the columns interval, link, utilisation,
                queue and loss, and source and target where known.
            features: further counters, columns or expressions (a,b,log(c)).

        Examples:
            colliderkit fit congestion counters.parquet --out forecast
        """
        more = features.split(",") if isinstance(features, str) else list(features or ())
        return Inputs(method, {"counters": counters_of(reading, files, more)})

    def apply(
        self,
        method: CongestionForecast,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write `congested_in_H`, the probability in H intervals, by interval and link.

        Args:
            files: files of counters, as of fit.

        Examples:
            colliderkit apply forecast new.parquet --out forecasts.parquet
        """
        counters = counters_of(reading, files, method.names_[len(COUNTERS) :])
        probability = method.predict_proba(counters)
        columns: dict[str, Any] = {
            "interval": np.repeat(counters.interval, len(counters.link)),
            "link": np.tile(counters.link, len(counters)),
        }
        for i, h in enumerate(method.horizons):
            columns[f"congested_in_{h}"] = probability[:, :, i].reshape(-1)
        write(out, columns, force=force)

    def evaluate(
        self, method: CongestionForecast, reading: Reading, files: Files, *, alarms: float = 1.0
    ) -> Evaluation:
        """Measure a forecast in later intervals, beside persistence: AUPRC, Brier, lead time.

        Args:
            files: files of counters that the fit has not seen.
            alarms: false ones a day and link, at which the lead time is told.

        Examples:
            colliderkit evaluate forecast later.parquet --out forecast-test
        """
        counters = counters_of(reading, files, method.names_[len(COUNTERS) :])
        found = method.predict_proba(counters)
        now = np.repeat(counters.congested[:, :, None], len(method.horizons), 2).astype(float)
        rows = [
            *forecast_rows(method.kind, found, counters, method, alarms=alarms),
            *forecast_rows(BASELINE, now, counters, method, alarms=alarms, judged=("AUPRC",)),
        ]
        # Once each, where it is persistence itself that was fitted.
        rows = list({(row.subject, row.quantity): row for row in reversed(rows)}.values())[::-1]
        shape = counters.values.shape[:2]
        events = {
            "interval": np.repeat(counters.interval, shape[1]),
            "link": np.tile(counters.link, shape[0]),
            "congested": counters.congested.reshape(-1),
            **{
                f"congested_in_{h}": found[:, :, i].reshape(-1)
                for i, h in enumerate(method.horizons)
            },
        }
        about = {"links": shape[1]}
        return Evaluation(
            f"a forecast of {shape[1]} links, {shape[0]} intervals", rows, events, about
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: precision over recall, intervals ahead.

        Examples:
            colliderkit report forecast-test
        """
        method: CongestionForecast = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        congested = np.asarray(events["congested"]).reshape(-1, note["links"])
        page = runs.page(
            "A forecast of congestion",
            f"Of {number(len(congested))} intervals and {note['links']} links"
            f" {congested.mean():.2%} are congested: a queue is fuller than 80% or packets are"
            " lost.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "Area under precision over recall, Brier score, and how long before congestion begins"
            " an alarm is raised; errors by blocks of time.",
        )
        for h in method.horizons:
            score = np.asarray(events[f"congested_in_{h}"]).reshape(congested.shape)[:-h]
            truth = congested[h:]
            curves = {
                method.kind: precision_recall(score, truth),
                BASELINE: precision_recall(congested[:-h], truth),
            }
            page.add_figure(
                drawn_curves(curves, float(truth.mean())),
                f"Precision over recall, {h} intervals ahead.",
            )
        page.conclude(
            [
                Aim("The forecast is better than persistence", "AUPRC, *", method.kind, "above",
                    against=BASELINE)
            ]
        )  # fmt: skip
        return page

    def summary(self, method: CongestionForecast) -> str:
        """Say how much was congested."""
        return f"{method.kind}: {method.rate_:.3%} of the intervals and links were congested"


class NetworkAnomalyTask(Task):
    """Find anomalies of a network by probes of its paths, and the link behind each."""

    methods = ("network-anomaly",)

    def read(
        self, method: NetworkAnomaly, reading: Reading, files: Files, *, routes: Files
    ) -> Inputs:
        """Learn what is usual of the paths between sites, without labels.

        Args:
            files: files with the columns interval, path, traffic, delay and loss.
            routes: files with the columns path and link, a row for each link of a path.

        Examples:
            colliderkit fit network-anomaly probes.parquet --routes routes.parquet --out monitor
        """
        return Inputs(method, {"probes": probes_of(reading, files, routes)})

    def apply(
        self,
        method: NetworkAnomaly,
        reading: Reading,
        files: Files,
        *,
        routes: Files,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write the score of each interval and link, and where it is above the threshold.

        Args:
            files: files of probes, as of fit.
            routes: the links of each path, as of fit.

        Examples:
            colliderkit apply monitor new.parquet --routes routes.parquet --out scored.parquet
        """
        probes = probes_of(reading, files, routes)
        score = method.score(probes)
        columns = {
            "interval": np.repeat(probes.interval, score.shape[1]),
            "link": np.tile(probes.link, len(score)),
            "score": score.reshape(-1),
            "anomalous": score.reshape(-1) > method.threshold_,
        }
        write(out, columns, force=force)

    def evaluate(
        self,
        method: NetworkAnomaly,
        reading: Reading,
        files: Files,
        *,
        routes: Files,
        faults: str,
        tolerance: int = 5,
    ) -> Evaluation:
        r"""Match what is found with known incidents: shares found and localised, false alarms.

        Args:
            files: files of probes that the fit has not seen.
            routes: the links of each path, as of fit.
            faults: a file of known incidents, columns begin, end, link and kind.
            tolerance: intervals between the two that are allowed.

        Examples:
            colliderkit evaluate monitor new.parquet --routes routes.parquet \
              --faults faults.parquet --out monitor-test
        """
        probes = probes_of(reading, files, routes)
        first, last = int(probes.interval[0]), int(probes.interval[-1])
        known = [f for f in read_faults(faults) if first <= f.begin <= last]
        if not known:
            raise InputError(f"{faults}: no incident begins in intervals {first} to {last}.")
        place = {int(number): i for i, number in enumerate(probes.link)}
        true = [Incident(f.begin - first, f.end - first, place.get(f.link, -1)) for f in known]
        score = method.score(probes)
        matching = match(method.incidents(probes), true, tolerance=tolerance)
        days = len(probes) / method.day
        false = float(matching.false.sum())
        rows = [
            Result(method.kind, name, value.value, value.error, counting=value.error)
            for name, value in (
                ("found", share(matching.found)),
                ("localised", share(matching.localised)),
            )
        ]
        error = max(false, 1.0) ** 0.5 / days
        rows.append(Result(method.kind, "false alarms a day", false / days, error, counting=error))
        events = {"interval": probes.interval, "score": score.max(1)}
        about = {"incidents": [[f.begin, f.end] for f in known]}
        return Evaluation(f"anomalies in {len(probes)} intervals", rows, events, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: the score in time, with the known incidents.

        Examples:
            colliderkit report monitor-test
        """
        method: NetworkAnomaly = load(model)
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        page = runs.page(
            "Anomalies of a network",
            f"{len(note['incidents'])} known incidents in {number(len(events))} intervals. No label"
            " entered the fit.",
            model,
            note,
        )
        page.add_heading("Incidents")
        page.add_results(
            read_results(evaluation / runs.RESULTS),
            "Shares of the known incidents that were found, and whose link was named first; errors"
            " of counting.",
        )
        page.add_figure(
            incidents_in_time(
                np.asarray(events["interval"]),
                {method.kind: np.asarray(events["score"])},
                {method.kind: method.threshold_},
                [(begin, end) for begin, end in note["incidents"]],
            ),
            "The largest score of all links over its threshold; known incidents are shaded.",
            wide=True,
        )
        page.conclude(
            [Aim("There are at most two false alarms a day", "false alarms a day", "*", "below", 2)]
        )
        return page

    def summary(self, method: NetworkAnomaly) -> str:
        """Give the threshold."""
        return f"{method.kind}: incidents are above a score of {method.threshold_:.4g}"


def forecast_rows(
    subject: str,
    probability: Any,
    counters: LinkCounters,
    method: CongestionForecast,
    *,
    alarms: float = 1.0,
    judged: tuple[str, ...] = ("AUPRC", "Brier score", "lead"),
) -> list[Result]:
    """Return the figures of merit of probabilities (T, L, H) of a forecast.

    Errors are by blocks of a quarter of a day, or shorter ones where there is less of time. The
    lead time is that of the middle horizon.
    """
    congested = counters.congested
    block = max(min(method.day // 4, len(counters) // 20), 1)
    rows = []
    for i, h in enumerate(method.horizons):
        score, truth = probability[:-h, :, i], congested[h:]
        values = {
            "AUPRC": average_precision(score, truth, block=block),
            "Brier score": brier(score, truth, block=block),
        }
        rows += [
            Result(subject, f"{name}, {AHEAD.format(h)}", v.value, v.error, counting=v.error)
            for name, v in values.items()
            if name in judged
        ]
    if "lead" in judged:
        middle = probability[:, :, len(method.horizons) // 2]
        window = max(method.horizons)
        rate = alarms / method.day
        time, warned, _ = lead(middle, congested, rate=rate, window=window, block=block)
        for name, v in (("lead time [intervals]", time), ("share warned of", warned)):
            rows.append(Result(subject, name, v.value, v.error, counting=v.error))
    return rows


def counters_of(reading: Reading, files: Files, features: list[str]) -> LinkCounters:
    """Read counters by interval and link."""
    names = [*COUNTERS, *features]
    rows = reading.rows(files, ["interval", "link", *names], optional=["source", "target"])
    return of_rows(rows, names)


def probes_of(reading: Reading, files: Files, routes: Files) -> PathProbes:
    """Read probes by interval and path, and the links of the paths."""
    rows = reading.rows(files, ["interval", "path", *MEASURED])
    # A selection is one of probes.
    return probes_of_rows(rows, Reading(tree=reading.tree).rows(routes, ["path", "link"]))
