"""Tracks in pixels: what is found beside ACTS' Kalman filter, time and memory to 100,000 hits.

    python benchmarks/tracking.py --train 400 --test 200 --epochs 12

Pions of 20 vertices x 10 in ACTS' TrackML detector (log-uniform 0.3 to 10 GeV, |eta| < 2.5), about
1,000 pixel hits. Counted are primary particles of pT > 0.9 GeV, |eta| < 2.5 with three pixel hits;
thresholds are chosen on a tenth of the training events. The Kalman filter has all layers and is cut
down to the pixels. The source is timed beside a bare chain: particle gun, Fatras and digitisation
without tables. Times are CPU times of one thread.
"""

import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.reconstruction.edge_tracks import EdgeTracks
from colliderkit.methods.reconstruction.embedded_tracks import EmbeddedTracks
from colliderkit.methods.reconstruction.helix_tracks import HelixTracks
from colliderkit.methods.reconstruction.tracking import TrackFinder
from colliderkit.metrics.tracking import Interest, figures
from colliderkit.sources.acts import simulation
from colliderkit.sources.acts.shards import generate_tracks
from colliderkit.sources.acts.simulation import PIXEL_VOLUMES, Guns
from colliderkit.sources.files.hits import TRACKS, read_hits
from colliderkit.sources.files.tracks import read_tracks
from colliderkit.tasks.tracking import seconds_of
from colliderkit.training.settings import Training
from comparison import options, row, save

GUNS = Guns(20, 10, (0.3, 10.0), 2.5)
DENSE = 100_000  # hits of an event


def bare(count: int, seed: int) -> tuple[float, int]:
    """Return the CPU seconds of ACTS' chain alone for some events, without tables."""
    acts = simulation.acts_module()
    geometry = simulation.detector().trackingGeometry()
    field = acts.ConstantBField(acts.Vector3(0, 0, 2.0 * acts.UnitConstants.T))
    level = acts.logging.ERROR
    with tempfile.TemporaryDirectory() as folder:
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
        begin = time.process_time()
        chain.run()
        return time.process_time() - begin, count


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--train", type=int, default=400)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--events", type=Path, help="a folder made before, of these events")
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": f"python benchmarks/tracking.py --train {chosen.train} --test {chosen.test}"
        f" --epochs {chosen.epochs}",
        "versions": {n: version(n) for n in ("colliderkit", "pyacts", "torch", "numpy")},
        "threads": 1,
    }
    rows = []
    simulation.detector()
    ratios, rates = [], []
    for seed in range(1, 1 + chosen.repetitions):
        begin = time.process_time()
        made = simulation.simulate(GUNS, 20, seed=seed)
        ours = time.process_time() - begin
        alone, _ = bare(20, seed)
        ratios.append(alone / ours)
        rates.append((len(made.hits.x) / ours, len(made.hits.x) / alone))
    middle = int(np.argsort(ratios)[len(ratios) // 2])
    rows.append(
        row("hits simulated, to arrays, over the bare chain", *rates[middle], ratios[middle],
            float(np.std(ratios, ddof=1)) if len(ratios) > 1 else None, unit="hits/s/core",
            bar=">= 0.9", **shared)
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.events or generate_tracks(
            chosen.train + chosen.test, Path(temporary) / "events", guns=GUNS, tracks=True, seed=1
        )
        hits = read_hits(folder, volumes=PIXEL_VOLUMES).hits
        label = read_tracks(Path(folder) / TRACKS, hits)
    train = hits.at(slice(0, chosen.train))
    test = hits.at(slice(chosen.train, chosen.train + chosen.test))
    begin = int(hits.offsets[chosen.train])
    kalman = figures(test, label[begin : begin + len(test.x)], Interest())
    training = Training(epochs=chosen.epochs, batch_size=4, learning_rate=2e-3, devices=1)
    finders: dict[str, TrackFinder] = {
        "edge classification": EdgeTracks(training=training),
        "object condensation": EmbeddedTracks(training=training),
        "hinge embedding": EmbeddedTracks(loss="hinge", training=training),
        "triplets on a helix": HelixTracks(),
    }
    for name, finder in finders.items():
        finder.fit(train, seed=0, progress=False)
        found = figures(test, finder.find(test), Interest())
        for quantity, bar in (
            ("efficiency, double majority", ">= 0.97"),
            ("fakes, double majority", "<= 0.01"),
            ("efficiency, perfect", None),
            ("efficiency, LHC", None),
        ):
            value, peer = found[quantity], kalman[quantity].value
            asked = bar if name in ("edge classification", "object condensation") else None
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
    one = test.overlaid(max(1, min(len(test), round(DENSE / (len(test.x) / len(test))))))
    finder = finders["edge classification"]
    begin_s = time.process_time()
    finder.find(one.at([0]))
    took_s = time.process_time() - begin_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    count = int(one.offsets[1])
    rows.append(
        row(f"one event of {count} hits: time", took_s, None, None, None, unit="s", **shared)
    )
    rows.append(
        row(f"one event of {count} hits: peak memory of all that stands above", peak, None, peak,
            None, unit="GB", bar="<= 4", **shared)
    )  # fmt: skip
    save("tracking", rows)


if __name__ == "__main__":
    main()
