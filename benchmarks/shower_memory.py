"""Peak memory of `colliderkit evaluate showers` on 100,000 showers of 6,480 voxels a file.

    python benchmarks/shower_memory.py

Two files of parametrised electrons of 0.5 to 1 GeV, 2.6 GB of float32 each, compared by all
figures in a process of its own, whose peak it is; the classifiers at their published width, for
one epoch, as further ones take time and no memory.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path

from colliderkit.sources.geant4.gflash import generate_showers
from comparison import options, row, run, save

COMMAND = "python benchmarks/shower_memory.py"


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.set_defaults(threads=1)
    parser.add_argument("--events", type=int, default=100_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        files = [Path(folder) / f"{name}.hdf5" for name in ("reference", "other")]
        for seed, file in enumerate(files):
            generate_showers(
                "electrons-6480", chosen.events, file, energies=(500.0, 1000.0), seed=seed
            )
        answer = run(
            "colliderkit",
            "showers",
            file=files[0],
            test=files[1],
            found=Path(folder) / "evaluation",
            threads=chosen.threads,
            epochs=1,
        )
    peak, minutes = answer["peak_gb"], answer["wall_s"] / 60
    common = {
        "command": COMMAND,
        "threads": chosen.threads,
        "versions": {name: version(name) for name in ("colliderkit", "torch", "numpy")},
        "events": chosen.events,
    }
    what = "evaluate --showers, two files of 100,000 x 6,480 voxels, one epoch"
    save(
        "shower_memory",
        [
            row(
                f"{what}: peak memory",
                *(peak, None, None, None),
                unit="GB",
                bar="< 6 GB",
                met=peak < 6,
                **common,
            ),
            row(
                f"{what}: wall time",
                *(minutes, None, None, None),
                unit="min",
                cpu_minutes=answer["cpu_s"] / 60,
                **common,
            ),
        ],
    )


if __name__ == "__main__":
    main()
