"""Peak memory of `colliderkit fit` on a file, and on one that is ten times longer.

    python benchmarks/memory.py --jets top_qcd.parquet

The longer file repeats the jets. The peak is that of resident memory, in which the pages of
the memory-mapped events count too, though the system may take them back at any time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import awkward as ak

from colliderkit.sources import read, write
from comparison import mixed, options, row, save, slim


def main() -> None:
    parser = options(__doc__, peers=False)
    parser.add_argument("--count", type=int, default=20_000, help="jets of the shorter file")
    parser.add_argument("--network", default="pfn")
    chosen = parser.parse_args()
    jets = slim(mixed(read(chosen.jets), chosen.count))
    label = jets["label"]
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        peaks = []
        for times in (1, 10):
            paths = {}
            for name, kind in (("background", 0), ("signal", 1)):
                paths[name] = Path(folder) / f"{name}-{times}.parquet"
                write(paths[name], ak.concatenate([jets[label == kind]] * times))
            peaks.append(
                max(peak(paths, Path(folder) / "out", chosen) for _ in range(chosen.repetitions))
            )
            print(f"{chosen.count * times} jets: {peaks[-1]:.3f} GB", flush=True)
    line = row(
        f"memory of training {chosen.network} on a 10x longer file",
        peaks[1],
        None,
        peaks[1] / peaks[0],
        None,
        unit="GB",
        bar="<= 1.5",
        jets=[chosen.count, 10 * chosen.count],
        command="python benchmarks/memory.py --jets JETS",
        versions={name: version(name) for name in ("colliderkit", "torch")},
        threads=chosen.threads,
    )
    save("memory", [line])


def peak(files: dict[str, Path], out: Path, chosen: argparse.Namespace) -> float:
    """Return the peak resident memory [GB] of one `colliderkit fit`."""
    command = [sys.executable, "-m", "colliderkit.cli", "fit", "tagging"]
    command += [f"--{name}={path}" for name, path in files.items()]
    command += ["--network", chosen.network, "--training.epochs", "1"]
    command += ["--out", str(out), "--force", "true"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_maxrss / 2**20


if __name__ == "__main__":
    main()
