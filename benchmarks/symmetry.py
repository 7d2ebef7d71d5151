"""Symmetries: an angle to 1e-2, azimuth in jets, and no false one.

    python benchmarks/symmetry.py --jets jets.parquet

A Gaussian in three dimensions is twice as wide along a hidden axis; three Gaussians stand at the
corners of a triangle; the two leading particles of a jet have an azimuth. Each is repeated, and so
are densities without a symmetry: skewed ones, and momenta of which one component is 1.3 times too
large. `jets.parquet` has top quarks and light jets (colliderkit generate top-qcd 8000).
"""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.symmetry import Symmetry, angle_between
from colliderkit.sources import read
from comparison import options, row, save

Floats = NDArray[np.float64]
COUNT, REPETITIONS = 30_000, 30
BAR = 1e-2  # rad
PLANE = np.array([[0.0, -1.0], [1.0, 0.0]])
AZIMUTH = np.kron(np.eye(2), PLANE)


def axis(random: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw a Gaussian with a hidden axis, and return the generator of turns around it."""
    x, y, z = unit = (lambda v: v / np.linalg.norm(v))(random.normal(size=3))
    events = random.normal(size=(COUNT, 3))
    return events + np.outer(events @ unit, unit), np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def triangle(random: np.random.Generator) -> Floats:
    """Draw three Gaussians at the corners of a triangle."""
    turn = random.integers(0, 3, COUNT) * 2 * np.pi / 3
    return random.normal(0, 0.4, (COUNT, 2)) + np.stack([np.cos(turn), np.sin(turn)], 1)


def main() -> None:
    arguments = options(__doc__, peers=False).parse_args()
    jets = read(arguments.jets)
    particles = jets["constituents"][ak.num(jets["constituents"]["px"]) > 1]
    momenta = np.stack(
        [ak.to_numpy(particles[c][:, i]) for i in (0, 1) for c in ("px", "py")], 1
    ).astype(np.float64)

    def half(random: np.random.Generator, stretch: float) -> Floats:
        rows = random.permutation(len(momenta))[: len(momenta) // 2]
        return momenta[rows] * np.tile([1.0, stretch], 2)

    begin = time.process_time()
    angles, thirds, azimuths, false = [], [], [], []
    missed = {"axis": 0, "triangle": 0, "azimuth": 0}
    none: dict[str, Callable[[np.random.Generator], Floats]] = {
        "skewed": lambda random: random.gamma(2, 1, (COUNT, 3)) * [1, 1.5, 2],
        "stretched momenta": lambda random: half(random, 1.3),
    }
    for repetition in range(REPETITIONS):
        random = np.random.default_rng([repetition, 7])
        events, truth = axis(random)
        found = Symmetry().fit(events, seed=repetition)
        if len(found.generators_) == 1:
            angles.append(angle_between(found.generators_[0], truth))
        missed["axis"] += len(found.generators_) != 1
        turns = Symmetry().fit(triangle(random), seed=repetition).angles_
        right = turns is not None and len(turns.found) == 2
        if turns is not None and right:
            thirds += np.abs(turns.found - 2 * np.pi * np.array([1, 2]) / 3).tolist()
        missed["triangle"] += not right
        found = Symmetry().fit(half(random, 1.0), seed=repetition)
        if len(found.generators_) == 1:
            azimuths.append(angle_between(found.generators_[0], AZIMUTH))
        missed["azimuth"] += len(found.generators_) != 1
        false += [
            len(Symmetry().fit(draw(random), seed=repetition).generators_) > 0
            for draw in none.values()
        ]
    common: dict[str, Any] = {
        "command": "python benchmarks/symmetry.py --jets jets.parquet",
        "threads": 1,
        "versions": {name: version(name) for name in ("colliderkit", "numpy", "scipy")},
        "cpu_s": time.process_time() - begin,
    }

    def angle(quantity: str, values: list[float], **bar: Any) -> Any:
        error = float(np.std(values, ddof=1) / len(values) ** 0.5)
        ours = float(np.mean(values))
        return row(quantity, ours, None, None, error, unit="rad", **bar, **common)

    def count(quantity: str, ours: int, of: int, most: int) -> Any:
        return row(
            quantity, ours, None, None, None, unit=f"of {of}", bar=f"<= {most} of {of}",
            met=ours <= most, **common,
        )  # fmt: skip

    least = {"bar": f"<= {BAR:g}"}
    save(
        "symmetry",
        [
            angle("hidden axis of a Gaussian: mean angle to the truth", angles,
                  **least, met=bool(np.mean(angles) <= BAR)),
            angle("triangle: mean distance from 120 and 240 degrees", thirds,
                  **least, met=bool(np.mean(thirds) <= BAR)),
            angle("azimuth of jets: mean angle of the generator to the truth", azimuths),
            # A true symmetry is refused in 1% by the level of the test.
            *(count(f"{name}: not found, or not alone", number, REPETITIONS, 3)
              for name, number in missed.items()),
            count("densities without a symmetry: one is found", sum(false), len(false), 0),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
