"""What a model of the layers is worth: separation of E_tot/E_inc with it and without.

    python benchmarks/layer_model.py --training TRAIN --reference TEST --model FOLDER --bare BARE

TRAIN, TEST and FOLDER are those of benchmarks/surrogate.py; BARE holds the same surrogate without
the layer model, which `--fit` makes of TRAIN: the same network, trained as long, given the incident
energy alone.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from colliderkit.events.calorimeter.showers import Showers
from colliderkit.methods.method import load
from colliderkit.metrics.showers import RESPONSE
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import calorimeter
from comparison import options, row, save
from shower_models import CALORIMETER, comparison, diffusion

COMMAND = (
    "python benchmarks/layer_model.py"
    " --training TRAIN --reference TEST --model FOLDER --bare BARE --fit"
)
SEPARATION = f"separation of {RESPONSE}"
BAR = 5.0


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    for name in ("training", "reference", "model", "bare"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--fit", action="store_true", help="fit the bare surrogate into BARE first")
    chosen = parser.parse_args()
    geometry = calorimeter(CALORIMETER).geometry
    training, reference = (
        read_showers(file, geometry) for file in (chosen.training, chosen.reference)
    )
    if chosen.fit:
        bare = diffusion().set_params(layer_generator=None)
        bare.fit(training, geometry, seed=1).save(chosen.bare)
    samples = {"floor": training}
    for name, folder in (("with", chosen.model), ("without", chosen.bare)):
        drawn = load(folder).sample(reference.incident, seed=1, outside=True)
        samples[name] = Showers.checked(reference.incident, drawn)
    found = {
        name: comparison(levels=()).fit(reference, sample, geometry).quantities_[SEPARATION]
        for name, sample in samples.items()
    }
    common: dict[str, Any] = {
        "command": COMMAND,
        "threads": 1,
        "versions": {name: version(name) for name in ("colliderkit", "torch", "geant4_pybind")},
        "training_showers": len(training),
        "reference_showers": len(reference),
    }
    ours, without, floor = found["with"], found["without"], found["floor"]
    ratio = without.value / ours.value
    save(
        "layer_model",
        [
            row(
                f"{SEPARATION} without the layer model, beside with it",
                without.value,
                ours.value,
                ratio,
                ratio
                * ((without.error / without.value) ** 2 + (ours.error / ours.value) ** 2) ** 0.5,
                unit="",
                bar=f">= {BAR:g}",
                met=ratio >= BAR,
                **common,
            ),
            row(
                f"{SEPARATION} with the layer model, beside the Geant4 floor",
                ours.value,
                floor.value,
                ours.value / floor.value,
                ours.value
                / floor.value
                * ((ours.error / ours.value) ** 2 + (floor.error / floor.value) ** 2) ** 0.5,
                unit="",
                ours_error=ours.error,
                floor_error=floor.error,
                **common,
            ),
        ],
    )


if __name__ == "__main__":
    main()
