"""Few steps against many: FPD and AUC of one fitted surrogate at 8 and at 200 calls of its network.

    python benchmarks/sampler_steps.py --reference TEST --model FOLDER --work WORK

FOLDER holds the surrogate of benchmarks/surrogate.py, TEST its reference showers, of which the
first `--count` are used, with midpoint steps of two calls. Both samples start from the same noise;
the classifiers are those of benchmarks/surrogate.py. WORK keeps what is finished.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from colliderkit.events.calorimeter.showers import Showers
from colliderkit.files import atomic_file
from colliderkit.methods.method import load
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from comparison import options, row, save
from shower_models import CALORIMETER, comparison

COMMAND = "python benchmarks/sampler_steps.py --reference TEST --model FOLDER --work WORK"
FEW, MANY = 8, 200


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    for name in ("reference", "model", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5000)
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    geometry = calorimeter(CALORIMETER).geometry
    reference = read_showers(chosen.reference, geometry, stop=chosen.count)
    found: dict[int, dict[str, list[float]]] = {}
    for calls in (FEW, MANY):
        kept = chosen.work / f"calls-{calls}.json"
        if not kept.exists():
            surrogate = load(chosen.model)
            surrogate.voxels_.sample_by("midpoint", calls // 2)
            drawn = surrogate.sample(reference.incident, seed=1, outside=True)
            sample = Showers.checked(reference.incident, drawn)
            compared = comparison().fit(reference, sample, geometry)
            values = {k: [v.value, v.error] for k, v in compared.quantities_.items()}
            with atomic_file(kept) as part:
                part.write_text(json.dumps(values))
        found[calls] = json.loads(kept.read_text())
    rows = []
    for figure in ("unbiased FPD", "AUC low-level", "AUC high-level", "separation of voxel energy"):
        (few, error), (many, error2) = (found[calls][figure] for calls in (FEW, MANY))
        rows.append(
            row(
                f"{figure}, {FEW} calls against {MANY}",
                few,
                many,
                few / many,
                float(np.hypot(error, error2) / abs(many)),
                unit="",
                bar="<= 1.1",
                command=COMMAND,
                threads=1,
                showers=chosen.count,
                versions={name: version(name) for name in ("colliderkit", "torch")},
            )
        )
    save("sampler_steps", rows)


if __name__ == "__main__":
    main()
