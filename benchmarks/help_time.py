"""Time `colliderkit --help`.

python benchmarks/help_time.py
"""

import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

from comparison import options, row, save


def main() -> None:
    chosen = options(__doc__, jets=False, peers=False).parse_args()
    command = [sys.executable, "-m", "colliderkit.cli", "--help"]
    wall, cpu = [], []
    subprocess.run(command, check=True, capture_output=True)  # compiles bytecode
    for _ in range(max(chosen.repetitions, 3)):
        before, start = os.times(), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        wall.append(time.perf_counter() - start)
        after = os.times()
        cpu.append(
            after.children_user
            - before.children_user
            + after.children_system
            - before.children_system
        )
    median = statistics.median(wall)
    line = row(
        "colliderkit --help",
        median,
        None,
        None,
        statistics.stdev(wall),
        unit="s",
        bar="< 0.5 s",
        met=median < 0.5,
        cpu=statistics.median(cpu),
        command="python benchmarks/help_time.py",
        versions={"colliderkit": version("colliderkit"), "python": sys.version.split()[0]},
        threads=1,
    )
    save("help_time", [line])


if __name__ == "__main__":
    main()
