"""Reading and training beside an earlier revision, in interleaved pairs of CPU times.

    git worktree add ../before 7bda370
    python benchmarks/before.py --jets top_qcd.parquet --before ../before

Both sides read the same files, and train the same networks on the same jets for three epochs with
batches of 256, each in a process of its own. The order within a pair alternates. Quoted is the
median of the ratios, with 1.25 sigma / sqrt(pairs) for its error.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import awkward as ak
import h5py
import numpy as np

from colliderkit.sources import read, write
from comparison import mixed, options, row, save, slim

# One side: what it imports has these names in both revisions, or had them in the earlier one.
SIDE = """
import json, sys, time
what, path = sys.argv[1:]
from colliderkit.sources import read
jets = read(path)
if what == "read":
    begin = time.process_time()
    for _ in range(3):
        read(path)
else:
    try:
        from colliderkit.methods.tagging.tagger import Tagger
        from colliderkit.training.settings import Training
    except ImportError:
        from colliderkit.methods.tagging import Tagger
        from colliderkit.training.fit import Training
    tagger = Tagger(what, training=Training(epochs=3, batch_size=256, devices=1))
    begin = time.process_time()
    tagger.fit(jets, seed=1, progress=False)
print(json.dumps(time.process_time() - begin))
"""
HERE = Path(__file__).resolve().parents[1]
SLOTS = 200
READ, TRAINED = 16_000, 12_000  # jets


def frame(jets: ak.Array, path: Path) -> Path:
    """Write jets as the Top Tagging Reference set has them: a pandas table of 804 columns."""
    particles = jets["constituents"]
    slots = [
        ak.to_numpy(ak.fill_none(ak.pad_none(particles[name], SLOTS, clip=True), 0.0))
        for name in ("E", "px", "py", "pz")
    ]
    momenta = np.stack(slots, -1).reshape(len(jets), -1).astype(np.float32)
    names = [f"{name}_{i}" for i in range(SLOTS) for name in ("E", "PX", "PY", "PZ")]
    kinds = [("values_block_0", "f4", (len(names),)), ("values_block_1", "i8", (1,))]
    rows = np.empty(len(jets), [("index", "i8"), *kinds])
    rows["index"], rows["values_block_0"] = np.arange(len(jets)), momenta
    rows["values_block_1"][:, 0] = ak.to_numpy(jets["label"])
    with h5py.File(path, "w") as file:
        table = file.create_dataset("table/table", data=rows)
        for i, kept in enumerate((names, ["is_signal_new"])):
            table.attrs[f"values_block_{i}_kind"] = np.bytes_(pickle.dumps(kept, 0))
    return path


def seconds(tree: Path, what: str, file: Path) -> float:
    """Return the CPU seconds of one side."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree / "src")}
    command = [sys.executable, "-W", "ignore", "-c", SIDE, what, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{tree}, {what}: {done.stderr[-2000:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    parser = options(__doc__, peers=False)
    parser.add_argument("--before", type=Path, required=True, help="worktree of the revision")
    parser.set_defaults(repetitions=10)
    chosen = parser.parse_args()
    revision = subprocess.run(
        ["git", "-C", str(chosen.before), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    jets = slim(mixed(read(chosen.jets), READ))
    rows = []
    with tempfile.TemporaryDirectory(prefix="colliderkit-before-") as name:
        folder = Path(name)
        files = {suffix: folder / f"jets.{suffix}" for suffix in ("parquet", "root")}
        for file in files.values():
            write(file, jets)
        few = folder / "few.parquet"
        write(few, jets[:TRAINED])
        cases = [(f"reading {suffix}", "read", file) for suffix, file in files.items()]
        cases.append(("reading a Top Tagging frame", "read", frame(jets, folder / "frame.h5")))
        cases += [(f"training {net}", net, few) for net in ("pfn", "particle-net-lite")]
        for title, what, file in cases:
            sides: dict[Path, list[float]] = {HERE: [], chosen.before: []}
            for pair in range(chosen.repetitions):
                for tree in list(sides)[:: 1 if pair % 2 else -1]:
                    sides[tree].append(seconds(tree, what, file))
            ours, theirs = np.array(sides[HERE]), np.array(sides[chosen.before])
            ratios = ours / theirs
            ratio, error = float(np.median(ratios)), float(1.25 * ratios.std(ddof=1))
            error /= len(ratios) ** 0.5
            rows.append(
                row(
                    f"{title}, CPU time beside {revision}",
                    float(np.median(ours)),
                    float(np.median(theirs)),
                    ratio,
                    error,
                    unit="s",
                    bar="<= 1.03, or two errors above",
                    met=ratio <= 1.03 or ratio - 2 * error <= 1,
                    command="python benchmarks/before.py --jets JETS --before WORKTREE",
                    threads=1,
                    versions={name: version(name) for name in ("torch", "awkward")},
                )
            )
            save("before", rows)  # what is done stays, if the rest is stopped


if __name__ == "__main__":
    main()
