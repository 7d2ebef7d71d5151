"""Searches of data without a signal have uniform p-values, and a hidden bump is found.

    python benchmarks/search_null.py --work FOLDER

The toy of sources/toys/resonance.py, four features, mass from 2.5 to 5 TeV; a stand-in for dijets.
- CWoLa hunting in all windows, nested folds of trees: each of `--searches` data sets without
  a signal is searched, and so are two data sets without a bump that are made of it (`WindowScan`
  with null=2), everything trained anew each time. The global p-value of a search is the share of
  all repeated ones whose least local p-value is as small.
- CATHODE likewise in one window (`--windows` data sets), with a flow of 2 transforms and 8 epochs.
- A bump of 2 standard deviations before the cut is injected, ten times; its global p-value is
  extrapolated by the trials of the repeated searches (`global_p`).
Each search is kept in FOLDER as soon as it is done, and a second run goes on from there.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chisquare, kstest, norm

from colliderkit.errors import InputError
from colliderkit.files import atomic_file
from colliderkit.methods.method import versions
from colliderkit.methods.search.resonant.cathode import Cathode
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.global_p import global_p
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.methods.search.spectrum import excess
from colliderkit.sources.toys.resonance import Resonance, ResonanceEvents
from colliderkit.training.settings import Training
from comparison import Answer, row, save

COMMAND = "python benchmarks/search_null.py --work FOLDER"
TOY = Resonance()
REGION = (3300.0, 3700.0)
EVENTS = {"cwola-hunting": 10_000, "cathode": 10_000}
TREES = {"rounds": 25, "leaves": 7, "learning_rate": 0.1}
QUICK = Training(epochs=8, batch_size=512, learning_rate=4e-3, schedule="one-cycle")
BUMP = 2.0  # standard deviations before the cut
REPEATED = 2  # searches without a bump that are made of each data set
Searched = dict[str, Any]


def scan(name: str) -> WindowScan:
    """Return the search: of CWoLa hunting in all windows, of others in one."""
    if name == "cwola-hunting":
        method = CwolaHunting(efficiency=0.02, options=TREES, members=1)
        return WindowScan(method, bins=12, null=REPEATED, toys=499)
    cathode = Cathode(
        signal_region=REGION, efficiency=0.02, folds=3, options=TREES, members=1,
        flow={"transforms": 2, "hidden": [32, 32], "bins": 8}, training=QUICK,
    )  # fmt: skip
    return WindowScan(cathode, windows=[REGION], null=REPEATED, toys=499)


def kept(path: Path, make: Callable[[], Searched]) -> Searched:
    """Return what a file holds, made first where there is none."""
    if not path.is_file():
        begin = time.process_time()
        made = make()
        made["cpu_s"] = time.process_time() - begin
        with atomic_file(path) as part:
            part.write_text(json.dumps(made))
        print(f"{path.name}: {made['cpu_s']:.0f} CPU s, load {os.getloadavg()[0]:.1f}", flush=True)
    found: Searched = json.loads(path.read_text())
    return found


def searched(name: str, events: ResonanceEvents, seed: int, repeated: int = REPEATED) -> Searched:
    """Search one data set, and what is repeated of it without a bump."""
    search = scan(name).set_params(null=repeated)
    try:
        search.fit(events.features, events.mass, seed=seed, progress=False)
    except InputError as error:
        return {"failed": str(error)}
    return {
        "local_p": search.local_p_.tolist(),
        "null": search.null_.tolist(),
        "toys_p": search.toys_p_,
        "goodness": [one.goodness for one in search.excesses_],
        "before": [one.significance for one in search.before_],
    }


def without_signal(name: str, count: int, work: Path) -> list[Searched]:
    """Search data sets without a signal."""
    found = []
    for i in range(count):
        path = work / f"{name}-{i}.json"
        found.append(
            kept(path, lambda i=i: searched(name, TOY.events(EVENTS[name], 0, [7, i]), i))  # type: ignore[misc]
        )
    return found


def bump(events: int) -> int:
    """Return how many signal events are an excess of 2 standard deviations before the cut."""
    inside = TOY.signal(REGION)
    expected = [TOY.events(events, 0, [8, i]).mass for i in range(10)]
    error = np.mean([one.uncertainty for one in map(fitted, expected)])
    background = events * TOY.background(REGION)
    return round(BUMP * float(np.hypot(np.sqrt(background), error)) / inside)


def fitted(mass: NDArray[np.float64]) -> Any:
    """Return the fit of a spectrum before the cut."""
    edges = np.linspace(*TOY.range, 41)
    return excess(mass, region=REGION, edges=edges, orders=(2, 3))


def of_null(name: str, found: list[Searched]) -> list[Answer]:
    """Return the rows on data sets without a signal."""
    good = [one for one in found if "failed" not in one]
    local = np.array([one["local_p"] for one in good])
    null = np.array([p for one in good for p in one["null"]])
    least = np.sort(null.min(1))
    share = (1 + np.searchsorted(least, local.min(1), side="right")) / (1 + len(least))
    where = "all windows" if local.shape[1] > 1 else "one window"
    about = f"{name}, {where}, {len(good)} data sets without a signal"
    rest = {"command": COMMAND, "versions": versions(), "events": EVENTS[name]}
    # The repeated searches are as random as those that they judge: a test of two samples.
    uniform = float(kstest(local.min(1), least).pvalue)
    rows = [
        row(
            f"{about}: KS p-value of the global p-values against {len(null)} repeated searches",
            uniform, None, uniform, None, unit="p-value", bar=">= 0.05", **rest,
        ),
        row(
            f"{about}: share of global p-values of .05 or less", float((share <= 0.05).mean()),
            0.05, None, float(np.sqrt(0.05 * 0.95 * (1 / len(good) + 1 / len(null)))),
            unit="share", **rest,
        ),
        row(
            f"{about}: KS p-value of the toys of the spectrum after the cut, a cross-check",
            float(kstest([one["toys_p"] for one in good], "uniform").pvalue), None, None, None,
            unit="p-value", **rest,
        ),
        row(
            f"{about}: searches that failed", float(len(found) - len(good)), None, None, None,
            unit="searches", **rest,
        ),
    ]  # fmt: skip
    if local.shape[1] > 1:
        times = np.bincount(local.argmin(1), minlength=local.shape[1])
        favoured = float(chisquare(times).pvalue)
        rows.append(
            row(
                f"{about}: chi2 p-value of the windows of least p-value, {times.tolist()}",
                favoured, None, favoured, None, unit="p-value", bar=">= 0.05", **rest,
            )
        )  # fmt: skip
    return rows


def of_bump(name: str, null: list[Searched], work: Path) -> list[Answer]:
    """Return the rows on an injected bump."""
    signal = bump(EVENTS[name])
    least = np.array([min(p) for one in null if "failed" not in one for p in one["null"]])
    significance, before = [], []
    for i in range(10):
        events = TOY.events(EVENTS[name], signal, [9, i])
        path = work / f"{name}-bump-{i}.json"
        one = kept(path, lambda e=events, i=i: searched(name, e, 1000 + i, 0))  # type: ignore[misc]
        before.append(fitted(events.mass).significance)
        found = 1.0 if "failed" in one else global_p(min(one["local_p"]), least).value.value
        significance.append(float(norm.isf(max(found, 1e-300))))
    count = sum(z >= 4 for z in significance)
    return [
        row(
            f"{name}, {signal} signal events in {EVENTS[name]} (local {np.mean(before):.2f} before"
            " the cut): injections found with a global significance of 4 or more, of 10",
            float(count), None, float(count), None, unit="injections", bar=">= 8",
            significance=significance, before=before, command=COMMAND, versions=versions(),
        )
    ]  # fmt: skip


def main() -> None:
    """Search, and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of finished searches")
    parser.add_argument("--searches", type=int, default=100, help="of CWoLa hunting")
    parser.add_argument("--windows", type=int, default=20, help="searches of CATHODE")
    parsed = parser.parse_args()
    parsed.work.mkdir(parents=True, exist_ok=True)
    rows: list[Answer] = []
    if parsed.searches:
        found = without_signal("cwola-hunting", parsed.searches, parsed.work)
        rows += of_null("cwola-hunting", found) + of_bump("cwola-hunting", found, parsed.work)
    if parsed.windows:
        rows += of_null("cathode", without_signal("cathode", parsed.windows, parsed.work))
    save("search_null", rows)


if __name__ == "__main__":
    main()
