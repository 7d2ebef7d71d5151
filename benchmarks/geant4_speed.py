"""Geant4 showers to HDF5 against a bare event loop over the same energies, and two workers.

    python benchmarks/geant4_speed.py

The bare loop is Geant4 itself with the same detector, physics and scoring: BeamOn, and nothing
read out. Rates are showers a second of CPU time on one core, the set-up of a process left out on
both sides, and of wall time for two workers (on a quiet machine only), set-up included. Energies
are log-uniform from 1 to 10 GeV; each side is a process of its own.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.shards import Request, generate_showers, make_shard
from colliderkit.sources.geant4.simulation import Beam
from comparison import options, row, save

COMMAND = "python benchmarks/geant4_speed.py"
CALORIMETERS = {"photons-368": "gamma", "electrons-6480": "e-"}
LOW, HIGH = 1e3, 1e4


def energies(count: int) -> np.ndarray:
    """Return the incident energies of shard 0 of `generate_showers`, [MeV]."""
    return request("photons-368", count).energies(0)


def request(name: str, count: int) -> Request:
    """Return a request of one shard, as `generate_showers` makes it."""
    beam = Beam(CALORIMETERS[name])
    return Request(calorimeter(name), count, LOW, HIGH, 1.0, beam, 1, 0.7, count, "")


def timed(action: Callable[[], object]) -> float:
    """Return the CPU seconds of this process."""
    begin = time.process_time()
    action()
    return time.process_time() - begin


def ours(name: str, count: int) -> float:
    """Return showers a CPU second of a shard, written to a file, once Geant4 is set up."""
    from colliderkit.sources.files.showers import write_showers

    make_shard(request(name, 2), 0)
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:

        def once() -> None:
            write_showers(Path(folder) / "showers.hdf5", *make_shard(request(name, count), 0))

        return count / timed(once)


def bare(name: str, count: int) -> float:
    """Return showers a CPU second of BeamOn, once Geant4 is set up."""
    from types import SimpleNamespace

    from colliderkit.sources.geant4 import simulation
    from colliderkit.sources.geant4.physics import geant4, physics_list

    g4 = geant4()
    run = SimpleNamespace(
        energy=energies(count), entry=np.zeros((count, 2)), beam=Beam(CALORIMETERS[name])
    )
    manager = g4.G4RunManager()
    kept = [simulation._construction(g4, calorimeter(name)), physics_list(0.7)]
    for part in kept:
        manager.SetUserInitialization(part)
    g4.G4EmParameters.Instance().SetVerbose(0)
    g4.G4EmParameters.Instance().SetFluo(False)
    gun = simulation._gun(g4, run)
    manager.SetUserAction(gun)
    manager.Initialize()
    manager.BeamOn(2)
    g4.G4Random.setTheSeed(1)
    return count / timed(lambda: manager.BeamOn(count))


def in_process(side: str, name: str, count: int) -> float:
    """Run one side in a process of its own and return its rate."""
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, "--calorimeter", name, "--count", str(count)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--side", choices=["ours", "bare"])
    parser.add_argument("--calorimeter", choices=list(CALORIMETERS))
    chosen = parser.parse_args()
    if chosen.side:
        rate = ours if chosen.side == "ours" else bare
        print(rate(chosen.calorimeter, chosen.count))
        return
    common = {
        "command": COMMAND,
        "versions": {name: version(name) for name in ("colliderkit", "geant4_pybind", "numpy")},
        "repetitions": chosen.repetitions,
        "showers": chosen.count,
    }
    rows = []
    for name in CALORIMETERS:
        pairs = [
            (in_process("ours", name, chosen.count), in_process("bare", name, chosen.count))
            for _ in range(chosen.repetitions)
        ]
        ratios = [a / b for a, b in pairs]
        rows.append(
            row(
                f"showers a CPU second of one core, {name}",
                statistics.median(a for a, _ in pairs),
                statistics.median(b for _, b in pairs),
                statistics.median(ratios),
                statistics.stdev(ratios) if len(ratios) > 1 else None,
                unit="1/s",
                bar=">= 0.9",
                threads=1,
                **common,
            )
        )
    one, two = [], []
    for repetition in range(chosen.repetitions):
        for workers, found in ((1, one), (2, two)):
            with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
                begin = time.perf_counter()
                generate_showers(
                    "photons-368",
                    2 * chosen.count,
                    Path(folder) / "showers.hdf5",
                    energies=(LOW, HIGH),
                    beam=Beam("gamma"),
                    seed=repetition,
                    workers=workers,
                    shard=chosen.count // 3,
                    progress=False,
                )
                found.append(2 * chosen.count / (time.perf_counter() - begin))
    ratios = [b / a for a, b in zip(one, two, strict=True)]
    rows.append(
        row(
            "showers a second, two workers over one, photons-368",
            statistics.median(two),
            statistics.median(one),
            statistics.median(ratios),
            statistics.stdev(ratios) if len(ratios) > 1 else None,
            unit="1/s",
            bar=">= 1.8",
            threads=2,
            **common,
        )
    )
    save("geant4_speed", rows)


if __name__ == "__main__":
    main()
