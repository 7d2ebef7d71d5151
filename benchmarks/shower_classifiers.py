"""What each classifier finds between a surrogate's showers and Geant4's, beside the floor.

    python benchmarks/shower_classifiers.py --training TRAIN --reference TEST --sample MADE \
        --work WORK

The files are those of README's commands of showers, of as many showers as were made:

    colliderkit generate photons-368 N --particle gamma --energies '[500, 8000]' --index 2 \
        --seed 1 --out TRAIN         (TEST: --seed 2)
    colliderkit fit showers --files TRAIN --geometry photons-368 --network ring-mixer --out FOLDER
    colliderkit apply FOLDER --files TEST --out MADE

The classifiers are the published network on E/E_inc, the same on log10 E, standardised, that on the
challenge's features, and boosted trees on both kinds of voxels; the floor is TRAIN against TEST.
Beside them stand the unbiased FPD and KPD. WORK keeps what is finished.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from colliderkit.files import atomic_file
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from comparison import options, row, save
from shower_models import CALORIMETER, THRESHOLD

COMMAND = (
    "python benchmarks/shower_classifiers.py"
    " --training TRAIN --reference TEST --sample MADE --work WORK"
)
STRONGEST = "AUC strongest"


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    for name in ("training", "reference", "sample", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=40, help="of the surrogate, to be noted")
    parser.add_argument("--only", choices=["floor", "sample"], help="compare one and stop")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    geometry = calorimeter(CALORIMETER).geometry
    reference = read_showers(chosen.reference, geometry)
    found: dict[str, Any] = {}
    for name, path in (("floor", chosen.training), ("sample", chosen.sample)):
        if chosen.only not in (None, name):
            continue
        kept = chosen.work / f"{name}.json"
        if not kept.exists():
            compared = ShowerComparison(threshold=THRESHOLD).fit(
                reference, read_showers(path, geometry), geometry
            )
            values = {k: [v.value, v.error] for k, v in compared.quantities_.items()}
            with atomic_file(kept) as part:
                part.write_text(json.dumps({"strongest": compared.strongest_, **values}))
        found[name] = json.loads(kept.read_text())
    if chosen.only is not None:
        return
    strongest = found["sample"].pop("strongest")
    rows = []
    for quantity, (value, error) in found["sample"].items():
        if not quantity.startswith(("AUC", "unbiased")):
            continue
        name = f"AUC {strongest}" if quantity == STRONGEST else quantity
        floor, floor_error = found["floor"][name]
        rows.append(
            row(
                f"{quantity} ({strongest})" if quantity == STRONGEST else quantity,
                *(value, floor, None, error),
                unit="",
                command=COMMAND,
                threads=1,
                floor_error=floor_error,
                showers=len(reference),
                surrogate_epochs=chosen.epochs,
                versions={name: version(name) for name in ("colliderkit", "torch", "scikit-learn")},
            )
        )
    save("shower_classifiers", rows)


if __name__ == "__main__":
    main()
