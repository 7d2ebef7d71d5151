"""The task of data popularity: fit, apply, evaluate and page."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.files import existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.operations.caches import Misses, replay, share_closed
from colliderkit.methods.operations.eviction import Eviction
from colliderkit.methods.operations.popularity import KINDS, Popularity, deviance, log_error
from colliderkit.metrics.value import Value, binomial_variance, number
from colliderkit.report.accesses import miss_ratios, over_time
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.files.accesses import TimeUnit, read_accesses
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["PopularityTask"]

Files = list[str] | str
BASELINES: dict[str, str] = {"LRU": "lru", "LFU": "lfu", "FIFO": "fifo", "Belady": "belady"}
OURS, LRU, BELADY = "eviction", "LRU", "Belady"
MISS, BYTES, CLOSED = "miss ratio", "byte-miss ratio", "share of the gap to Belady"
CACHES = (0.02, 0.05, 0.1)


class PopularityTask(Task):
    """Forecast how often data sets are read, and what a cache should keep of them."""

    methods = ("popularity", "eviction")
    around: ClassVar[Mapping[str, str]] = {"eviction": "popularity"}

    def read(
        self,
        method: Popularity | Eviction,
        *,
        files: Files,
        columns: dict[str, str] | None = None,
        time_unit: TimeUnit | None = None,
        sort: bool = False,
        until: float | None = None,
    ) -> Inputs:
        r"""Learn from accesses to data sets, one a row, how often each will be read.

        Args:
            files: csv or Parquet files with time, data set and size of each access.
            columns: those of time, dataset, size, born and of features, such as
                ``{time: when, dataset: lfn, tier: data_type}``; found by usual names if not given.
            time_unit: of times that are numbers and not seconds since 1970.
            sort: sort accesses that are out of order; else these are refused.
            until: the day (of the files' time, in days) on which the training ends; the last if
                not given.

        Examples:
            colliderkit fit popularity 2024.csv --out popularity
            colliderkit fit popularity 2024.csv --method eviction --cache 0.05 --out eviction
        """
        accesses = read_and_say(files, columns, time_unit, sort)
        if until is not None:
            accesses = accesses.before(until)
            account(f"the training ends on day {until:g}, after {len(accesses)} accesses")
        return Inputs(method, {"accesses": accesses})

    def apply(
        self,
        method: Popularity | Eviction,
        *,
        files: Files,
        columns: dict[str, str] | None = None,
        time_unit: TimeUnit | None = None,
        sort: bool = False,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write each data set with its size and the accesses that are expected after the files.

        Args:
            files: csv or Parquet files of the accesses until today.
            columns: as in fit.
            time_unit: as in fit.
            sort: as in fit.

        Examples:
            colliderkit apply popularity 2024.csv --out ranking.parquet
        """
        accesses = read_and_say(files, columns, time_unit, sort)
        day = float(np.nextafter(accesses.end, np.inf))
        expected = forecast_of(method).predict(accesses, day)
        order = np.argsort(-expected, kind="stable")
        table = {
            "dataset": ak.Array([accesses.names[i] for i in order]),
            "size_gb": accesses.size[order],
            "idle_days": accesses.idle(day)[order],
            "expected": expected[order],
        }
        write(out, ak.zip(table), force=force)

    def evaluate(
        self,
        method: Popularity | Eviction,
        *,
        files: Files,
        columns: dict[str, str] | None = None,
        time_unit: TimeUnit | None = None,
        sort: bool = False,
        caches: list[float] | None = None,
    ) -> Evaluation:
        """Measure forecasts and misses after the training; accesses before it warm the cache.

        Args:
            files: csv or Parquet files that begin before the end of the training and go on.
            columns: as in fit.
            time_unit: as in fit.
            sort: as in fit.
            caches: sizes of caches over that of all data sets.

        Examples:
            colliderkit evaluate eviction "[2024.csv, 2025.csv]" --out test
        """
        accesses = read_and_say(files, columns, time_unit, sort)
        forecast = forecast_of(method)
        days = np.arange(forecast.until_, accesses.end - forecast.horizon, forecast.horizon)
        if not len(days):
            raise InputError(
                f"the files end on day {accesses.end:g} and the training on day"
                f" {forecast.until_:g}; give accesses of {forecast.horizon:g} days after it."
            )
        rows, errors = self._forecasts(forecast, accesses, days)
        about: dict[str, Any] = {"days": days.tolist(), "errors": errors}
        if isinstance(method, Eviction):
            sizes = list(caches or CACHES)
            found = self._misses(method, accesses, sizes)
            about |= {"caches": sizes, "misses": {n: [r[0] for r in v] for n, v in found.items()}}
            about["counting"] = {n: [r[1] for r in v] for n, v in found.items()}
            for i, size in enumerate(sizes):
                of = f"{size:.0%}" if size >= 0.01 else f"{size:.2%}"
                ratio = {name: values[i][0] for name, values in found.items()}
                for name, values in found.items():
                    rows.append(Result(f"{name}, {of}", MISS, values[i][0], values[i][1]))
                    rows.append(Result(f"{name}, {of}", BYTES, values[i][2], values[i][3]))
                gap = share_closed(ratio[OURS], ratio[LRU], ratio[BELADY])
                if math.isfinite(gap):
                    error = found[OURS][i][1] / (ratio[LRU] - ratio[BELADY])
                    rows.append(Result(f"{OURS}, {of}", CLOSED, gap, error))
        title = f"{method.name} on {len(accesses)} accesses to {len(accesses.size)} data sets"
        return Evaluation(title, rows, None, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: the error of the forecast by week, and misses by size of the cache.

        Examples:
            colliderkit report test
        """
        method = load(model)
        forecast, note = forecast_of(method), runs.about(evaluation)
        page = runs.page(
            "Popularity of data sets",
            f"Accesses to data sets in the next {forecast.horizon:g} days, forecast from what was"
            f" before. The training ended on day {forecast.until_:.6g}; all below is later.",
            model,
            note,
        )
        rows = read_results(existing_file(evaluation / runs.RESULTS))
        page.add_heading("Forecasts")
        page.add_results(
            [row for row in rows if row.quantity not in (MISS, BYTES, CLOSED)],
            "Root mean square of ln(1 + forecast) - ln(1 + counted) and Poisson deviance, means"
            " over the times of forecast, with their standard errors.",
        )
        page.add_figure(
            over_time(note["errors"], note["days"], "Error of ln(1 + accesses)"),
            "Root mean square error of each forecast, over time.",
        )
        aims = [Aim("The forecast errs less than repeating the last accesses", "log error",
                    forecast.kind, "below", against="last")]  # fmt: skip
        if "caches" in note:
            page.add_heading("Caches")
            page.add_results(
                [row for row in rows if row.quantity in (MISS, BYTES, CLOSED)],
                "Misses over accesses and missed over read GB, after the training. Errors are of"
                " counting alone; accesses of one task are not independent. Belady knows the"
                " future, and is a bound where all sizes are equal.",
            )
            series = {
                name: [Value(*pair) for pair in zip(found, note["counting"][name], strict=True)]
                for name, found in note["misses"].items()
            }
            page.add_figure(
                miss_ratios(series, note["caches"], LRU),
                "Miss ratio by the size of the cache, and over that of LRU.",
            )
            aims += [
                Aim("The eviction misses less than LRU", MISS, f"{OURS}, *", "below",
                    against=f"{LRU}, *")
            ]  # fmt: skip
        page.conclude(aims)
        return page

    def summary(self, method: Method) -> str:
        """Say what was chosen."""
        if isinstance(method, Eviction):
            choice = method.choice_
            rule = (
                f"forecast and {choice['strength']:g} of each access of the last"
                f" {choice['time']:g} days"
                if choice["strength"]
                else f"least popular of the oldest {choice['oldest']:.0%}"
            )
            return f"evicts by: {rule}"
        assert isinstance(method, Popularity)
        return f"{method.kind}, chosen {method.chosen_:g}, trained until day {method.until_:.6g}"

    def _forecasts(
        self, forecast: Popularity, accesses: Accesses, days: Any
    ) -> tuple[list[Result], dict[str, list[float]]]:
        """Judge the forecast beside those that need no training but two, on the same days."""
        rows: list[Result] = []
        errors: dict[str, list[float]] = {}
        past = accesses.before(forecast.until_)
        for kind in dict.fromkeys((forecast.kind, *KINDS[1:])):
            used = forecast
            if kind != forecast.kind:
                used = Popularity(kind=kind, horizon=forecast.horizon).fit(past, progress=False)
            each = []
            for day in days:
                live = accesses.known(day)
                expected = used.predict(accesses, day)[live]
                counted = accesses.counts(day, day + forecast.horizon)[live]
                each.append((log_error(expected, counted), deviance(expected, counted)))
            table = np.array(each)
            spread = table.std(0, ddof=1) / len(table) ** 0.5 if len(table) > 1 else [math.nan] * 2
            for i, quantity in enumerate(("log error", "deviance")):
                rows.append(Result(kind, quantity, float(table[:, i].mean()), float(spread[i])))
            errors[kind] = table[:, 0].tolist()
        return rows, errors

    def _misses(
        self, method: Eviction, accesses: Accesses, sizes: list[float]
    ) -> dict[str, list[tuple[float, float, float, float]]]:
        """Replay all policies at all sizes."""
        since = method.popularity_.until_
        rates = method.rates(accesses, since, accesses.end)
        total = float(accesses.size.sum())
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for size in sizes:
            found.setdefault(OURS, []).append(counted(method.replay(accesses, size, rates=rates)))
            for name, policy in BASELINES.items():
                found.setdefault(name, []).append(
                    counted(replay(accesses, size * total, policy, since=since))
                )
        return found


def counted(found: Misses) -> tuple[float, float, float, float]:
    """Return miss and byte-miss ratio, each with its counting error."""
    ratio, count = found.ratio, max(found.accesses, 1)
    error = float(binomial_variance(ratio, ratio / count, 1 / count) ** 0.5)
    return ratio, error, found.byte_ratio, found.byte_ratio / max(found.misses, 1) ** 0.5


def forecast_of(method: Popularity | Eviction) -> Popularity:
    """Return the fitted forecast of a method."""
    return method.popularity_ if isinstance(method, Eviction) else method


def read_and_say(
    files: Files, columns: dict[str, str] | None, time_unit: TimeUnit | None, sort: bool
) -> Accesses:
    """Read accesses and say what was read."""
    accesses, said = read_accesses(files, columns, time_unit=time_unit, sort=sort)
    for line in said:
        account(line)
    account(f"days {number(accesses.begin)} to {number(accesses.end)}")
    return accesses
