"""The time of a shower at 50 GeV: Geant4 against fitted surrogates, on one core, in one run.

    python benchmarks/shower_time.py --model NAME=FOLDER...

Each FOLDER holds a surrogate of photons-368, such as those that `colliderkit study calo-surrogate`
leaves in models. CPU time with one thread: Geant4's event loop, set-up left out; the surrogate by
torch and by onnxruntime, the faster of which counts, for one shower and for a hundred at once. The
difference of the two is that of 200 showers, as the export finds it.
"""

import json
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.serve.showers import shower_times
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.sources.geant4.timing import seconds_a_shower as geant4_seconds
from comparison import options, row, save
from shower_models import CALORIMETER, TIMED

COMMAND = "python benchmarks/shower_time.py --model NAME=FOLDER..."
BARS = {1: ">= 10", 100: ">= 100"}
PARITY = 1e-5


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--model", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--showers", type=int, default=15, help="of Geant4, a repetition")
    chosen = parser.parse_args()
    models = dict(pair.split("=", 1) for pair in chosen.model)
    ratios: dict[tuple[str, int], list[float]] = {}
    times: dict[tuple[str, int], list[tuple[float, float]]] = {}
    geant4, beam = [], Beam("gamma")
    detector = calorimeter(CALORIMETER)
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        files = {name: Path(folder) / f"{name.replace(' ', '-')}.onnx" for name in models}
        for repetition in range(chosen.repetitions):
            geant4.append(
                geant4_seconds(detector, TIMED, chosen.showers, beam=beam, seed=3 + repetition)
            )
            for name, model in models.items():
                try:
                    found = shower_times(load(model), files[name], TIMED)
                except InputError as error:
                    raise SystemExit(str(error)) from error
                for each in found:
                    both = each.torch, each.onnx
                    times.setdefault((name, each.batch), []).append(both)
                    ratios.setdefault((name, each.batch), []).append(geant4[-1] / min(both))
        apart = {name: _differences(file) for name, file in files.items()}
    rows = []
    for (name, batch), each in ratios.items():
        by_torch, by_onnx = (statistics.median(t) for t in zip(*times[name, batch], strict=True))
        rows.append(
            row(
                f"ms a shower of {TIMED / 1e3:g} GeV, batch {batch}, {name}",
                1e3 * min(by_torch, by_onnx),
                1e3 * statistics.median(geant4),
                statistics.median(each),
                statistics.stdev(each) if len(each) > 1 else None,
                unit="ms",
                bar=BARS[batch],
                command=COMMAND,
                threads=1,
                versions={
                    package: version(package)
                    for package in ("colliderkit", "torch", "onnxruntime", "geant4_pybind")
                },
                repetitions=chosen.repetitions,
                torch_ms=1e3 * by_torch,
                onnx_ms=1e3 * by_onnx,
            )
        )
    for name, (usual, largest) in apart.items():
        rows.append(
            row(
                f"largest difference of a voxel, torch to onnxruntime, {name}",
                largest,
                None,
                None,
                None,
                unit="of the shower's energy",
                bar=f"<= {PARITY:g}",
                met=largest <= PARITY,
                command=COMMAND,
                threads=1,
                versions={package: version(package) for package in ("torch", "onnxruntime")},
                usual=usual,
            )
        )
    save("shower_time", rows)


def _differences(file: Path) -> tuple[float, float]:
    """Return what 99% of the voxels, and all of them, differ by at most."""
    import onnx

    kept = {p.key: p.value for p in onnx.load(file).metadata_props}
    return json.loads(kept["difference"]), json.loads(kept["largest_difference"])


if __name__ == "__main__":
    main()
