"""Tracks in pixels: what is found beside ACTS' Kalman filter, time and memory to 100,000 hits.

    colliderkit study tracking --scale laptop --out runs/tracking
    python benchmarks/tracking.py --study runs/tracking
    python benchmarks/tracking.py    # the source alone

The events and the fitted methods are those of the study: pions of 20 vertices x 10 in ACTS'
TrackML detector, about 1,000 pixel hits. Counted are primary particles of pT > 0.9 GeV,
|eta| < 2.5 with three pixel hits; thresholds are chosen on a tenth of the training events. The
Kalman filter has all layers and is cut down to the pixels. The source is timed beside a bare chain:
particle gun, Fatras and digitisation without tables. Times are CPU times of one thread; those of
two workers are the CPU time of both over that of one, so that another load does not count.
"""

import filecmp
import json
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Ints
from colliderkit.methods.method import load
from colliderkit.metrics.tracking import Interest, figures, pull_figures
from colliderkit.sources.acts import simulation
from colliderkit.sources.acts.refit import fit_tracks
from colliderkit.sources.acts.shards import generate_tracks
from colliderkit.sources.acts.simulation import PIXEL_VOLUMES, Guns
from colliderkit.sources.files.hits import TRACKS, read_hits
from colliderkit.sources.files.tracks import read_tracks
from colliderkit.studies.run import slug
from colliderkit.studies.tracking import DENSE, EDGES, SCALES
from colliderkit.tasks.tracking import pulls_of, seconds_of
from comparison import RESULTS, options, row, save

GUNS = Guns(20, 10, (0.3, 10.0), 2.5)
EFFICIENCY, FAKES = "efficiency, double majority", "fakes, double majority"
METHODS = (EDGES, DENSE, "object condensation", "triplets on a helix")
OVERLAID = (1, 3, 10, 30, 100)  # test events that make one


def bare(count: int, seed: int) -> float:
    """Return the CPU seconds of ACTS' chain alone for some events, without tables."""
    acts = simulation.acts_module()
    geometry = simulation.detector().trackingGeometry()
    field = acts.ConstantBField(acts.Vector3(0, 0, 2.0 * acts.UnitConstants.T))
    level = acts.logging.ERROR
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        chain = acts.examples.Sequencer(
            events=count, numThreads=1, logLevel=level, outputDir=folder, trackFpes=False
        )
        chain.defaultLogLevel = level
        common: dict[str, Any] = {
            "rnd": acts.examples.RandomNumbers(seed=seed),
            "logLevel": level,
        }
        with simulation.quiet():
            simulation.add_particles(chain, GUNS, common)
            acts.examples.simulation.addFatras(chain, geometry, field, **common)
            pitches = simulation.written(Path(folder) / "d.json", simulation.smearing())
            acts.examples.simulation.addDigitization(
                chain, geometry, field, digiConfigFile=pitches, **common
            )
        chain.run()
        return time.process_time() - begin


def source(repetitions: int, count: int, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare hits a second with the bare chain, and two workers with one."""
    simulation.detector()
    ratios, rates = [], []
    for seed in range(1, 1 + repetitions):
        begin = time.process_time()
        made = simulation.simulate(GUNS, count, seed=seed)
        ours = time.process_time() - begin
        alone = bare(count, seed)
        ratios.append(alone / ours)
        rates.append((len(made.hits.x) / ours, len(made.hits.x) / alone))
    middle = int(np.argsort(ratios)[len(ratios) // 2])
    spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else None
    rows = [
        row("hits simulated, to arrays, over the bare chain", *rates[middle], ratios[middle],
            spread, unit="hits/s/core", bar=">= 0.9", **shared)
    ]  # fmt: skip
    spent = {}
    with tempfile.TemporaryDirectory() as temporary:
        folders = {n: Path(temporary) / str(n) for n in (1, 2)}
        for workers, folder in folders.items():
            begin_s = spent_cpu()
            generate_tracks(
                20 * count, folder, guns=GUNS, seed=1, shard=count, workers=workers, progress=False
            )
            spent[workers] = spent_cpu() - begin_s
        names = [p.name for p in sorted(folders[1].glob("*.parquet"))]
        same = [filecmp.cmp(folders[1] / n, folders[2] / n, shallow=False) for n in names]
    # Each worker builds the detector once; with more events that is less of it.
    gain = 2 * spent[1] / spent[2]
    what = "two workers over one: twice the CPU time of one over that of both"
    rows.append(row(what, gain, 1.0, gain, None, unit="", bar=">= 1.8", **shared))
    what = "files of equal bytes, one and two workers"
    share = sum(same) / len(same)
    rows.append(row(what, share, 1.0, share, None, unit="", bar=">= 1", **shared))
    return rows


def spent_cpu() -> float:
    """Return the CPU seconds of this process and of the children that have ended."""
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def found(
    finder: Any, name: str, test: TrackerHits, kalman: Any, shared: dict[str, Any]
) -> tuple[list[dict[str, Any]], Ints]:
    """Compare what a method finds with the Kalman filter."""
    rows, tracks = [], finder.find(test)
    made = figures(test, tracks, Interest())
    for quantity, bar in (
        (EFFICIENCY, ">= 0.97"),
        (FAKES, "<= 0.01"),
        ("efficiency, perfect", None),
        ("efficiency, LHC", None),
        ("TrackML score", None),
    ):
        value, peer = made[quantity], kalman[quantity].value
        asked = bar if name in (EDGES, "object condensation") else None
        met = None
        if asked is not None:
            met = value.value >= 0.97 if asked[0] == ">" else value.value <= 0.01
        rows.append(
            row(f"{quantity}: {name}, beside the Kalman filter", value.value, peer, None,
                value.error, unit="share", bar=asked, met=met, **shared)
        )  # fmt: skip
    took = seconds_of(finder, test).times(1e3)
    rows.append(
        row(f"time of one event: {name}", took.value, None, took.value, took.error, unit="ms",
            bar="<= 50", **shared)
    )  # fmt: skip
    return rows, tracks


def fitted(test: TrackerHits, tracks: Ints, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure pulls of found tracks that ACTS' Kalman filter has fitted."""
    made = fit_tracks(test, tracks)
    rows = []
    for quantity, value in pull_figures(pulls_of(made)).items():
        judged = quantity in ("pull width, d0", "pull width, z0", "pull width, qop")
        met = 0.9 <= value.value <= 1.1 if judged else None
        rows.append(
            row(f"{quantity}, tracks of {EDGES} refitted", value.value, None, None, value.error,
                unit="", bar="0.9 to 1.1" if judged else None, met=met, **shared)
        )  # fmt: skip
    share = len(made.event) / made.tried
    rows.append(row("tracks whose fit converges", share, None, None, None, unit="share", **shared))
    return rows


def dense(finder: Any, test: TrackerHits, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure what is found in denser events, with time and the most memory so far."""
    rows = []
    for count in OVERLAID:
        event = test.at(slice(0, count)).overlaid(count)
        size = len(event.x)
        if count > len(test):
            break
        begin = time.process_time()
        tracks = finder.find(event)
        took = time.process_time() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        made = figures(event, tracks, Interest())
        for quantity in (EFFICIENCY, FAKES):
            value = made[quantity]
            rows.append(
                row(f"{quantity}: one event of {size} hits, {DENSE}", value.value, None, None,
                    value.error, unit="share", **shared)
            )  # fmt: skip
        rows.append(
            row(f"time: one event of {size} hits, {DENSE}", took, None, None, None, unit="s",
                **shared)
        )  # fmt: skip
        rows.append(
            row(f"peak memory to an event of {size} hits", peak, None, peak, None, unit="GB",
                bar="<= 4", **shared)
        )  # fmt: skip
    return rows


def of_study(study: Path, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge what the methods of a study find in its test events."""
    folder = study / "data" / "events"
    hits = read_hits(folder, volumes=PIXEL_VOLUMES).hits
    train = SCALES["laptop"].train
    test = hits.at(slice(train, None))
    label = read_tracks(folder / TRACKS, hits)[int(hits.offsets[train]) :]
    kalman = figures(test, label, Interest())
    models = study / "models"
    finders = {name: load(models / slug(f"{name}, seed 0")) for name in METHODS}
    # First what takes little memory, and the densest event last: the peak is of all so far.
    rows = dense(finders[DENSE], test, shared)
    for name, finder in finders.items():
        more, tracks = found(finder, name, test, kalman, shared)
        rows += more
        if name == EDGES:
            rows += fitted(test, tracks, shared)
    return rows


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--study", type=Path, help="folder of the study tracking; none: the source")
    parser.add_argument("--events", type=int, default=50, help="to time the source with")
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": "python benchmarks/tracking.py"
        + (" --study runs/tracking" if chosen.study else ""),
        "versions": {n: version(n) for n in ("colliderkit", "pyacts", "torch", "numpy")},
        "threads": 1,
    }
    rows = of_study(chosen.study, shared) if chosen.study else []
    rows += source(chosen.repetitions, chosen.events, shared)
    if not chosen.study:
        made = {r["quantity"] for r in rows}
        before = json.loads((RESULTS / "tracking.json").read_text(encoding="utf-8"))
        rows = [r for r in before if r["quantity"] not in made] + rows
    save("tracking", rows)


if __name__ == "__main__":
    main()
