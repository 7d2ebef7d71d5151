"""Cases of the simulation of detectors: surrogates, comparisons of showers, refinement."""

from dataclasses import replace

import h5py
import numpy as np

from colliderkit.events.calorimeter import Geometry
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.events.calorimeter.xml import write_xml
from colliderkit.methods.simulation.comparison import ShowerComparison
from colliderkit.methods.simulation.refinement import Refinement
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.sources.files.showers import write_showers
from colliderkit.training.settings import Training
from contracts.cases.case import Case, TaskCase

GEOMETRY = Geometry.regular("toy", 2, 4, (0, 5, 15), 11)
ONCE = Training(epochs=1, batch_size=50, devices=1)
ENERGIES = np.geomspace(1000, 3900, 20)


def showers(count: int, seed: int, response: float = 0.8) -> Showers:
    """Draw showers whose total is normal and whose shares say nothing."""
    random = np.random.default_rng(seed)
    incident = random.uniform(1000, 4000, count)
    shares = random.dirichlet(np.full(GEOMETRY.voxels, 2.0), count)
    total = incident * random.normal(response, 0.05, count)
    return Showers.checked(incident, (shares * total[:, None]).astype(np.float32))


def holed(args: tuple) -> tuple:
    """Return the arguments with a NaN in event 3 of the first sample."""
    voxels = args[0].voxels.copy()
    voxels[3, 2] = np.nan
    return replace(args[0], voxels=voxels), *args[1:]


def pairs(seed: int) -> tuple:
    """Draw pairs of a fast and a full simulation, and the truth, 200 each."""
    random = np.random.default_rng([9, seed])
    truth = random.normal(size=(200, 1))
    fast = truth + 0.5 * random.normal(size=(200, 2))
    return fast, 1 + 1.5 * truth + 0.6 * random.normal(size=(200, 2)), truth


def write_files(folder) -> None:
    """Write samples of showers and their geometry."""
    for seed, name in enumerate(("one", "two", "three")):
        sample = showers(300, seed)
        write_showers(folder / f"{name}.hdf5", sample.incident, sample.voxels)
    write_xml(folder / "toy.xml", GEOMETRY)


def write_pairs(folder) -> None:
    """Write pairs as columns."""
    fast, full, truth = pairs(1)
    with h5py.File(folder / "pairs.h5", "w") as file:
        columns = {"x": fast[:, 0], "y": fast[:, 1], "X": full[:, 0], "Y": full[:, 1]}
        for name, values in (columns | {"t": truth[:, 0], "n": np.arange(200)}).items():
            file[name] = values


CASES = {
    "shower-surrogate": Case(
        make=lambda: ShowerSurrogate(
            generator="vae",
            network=None,
            options={"latent": 4, "width": 16, "layers": 1},
            layer_options={"transforms": 1, "bins": 4, "hidden": [8]},
            validation=0.2,
            layers=ONCE,
            voxels=ONCE,
        ),
        data=lambda seed: ((showers(200, seed), GEOMETRY), {}),
        answer=lambda method, args: method.sample(ENERGIES, seed=1, outside=True),
        nan=holed,
        repeat=lambda args, kwargs, rows: ((args[0].at(rows), *args[1:]), kwargs),
    ),
    "shower-comparison": Case(
        make=lambda: ShowerComparison(
            levels=("low-level", "high-level"), classifier=ONCE, width=8, standardised=True
        ),
        data=lambda seed: ((showers(200, seed), showers(220, seed + 50, 0.9), GEOMETRY), {}),
        answer=lambda method, args: method.probability(args[0], level="low-level"),
        nan=holed,
        refuses_weight="weight cannot be honoured",
    ),
    "refinement": Case(
        make=lambda: Refinement(minimise="pairs", at_most=0.1, hidden=(8,), training=ONCE),
        data=lambda seed: (pairs(seed), {}),
        answer=lambda method, args: method.transform(args[0], args[2]),
        verbs={"losses": lambda method, args: method.losses(*args)},
    ),
}

QUICK = ("--classifier.epochs", "1", "--width", "8", "--levels", "[high-level]")

TASK_CASES = {
    "showers": TaskCase(
        write=write_files,
        fit=lambda folder: [
            *("--files", folder / "one.hdf5", "--geometry", folder / "toy.xml"),
            *("--generator", "vae", "--network", "null", "--options", "{latent: 4, width: 16}"),
            *("--layer_options", "{transforms: 1, bins: 4, hidden: [8]}"),
            *("--layers.epochs", "1", "--voxels.epochs", "1"),
        ],
        apply=lambda folder: ["--files", folder / "two.hdf5", "--outside"],
        evaluate=lambda folder: [
            *("--showers", folder / "one.hdf5", "--sample", folder / "two.hdf5"),
            *("--floor", folder / "three.hdf5", "--geometry", folder / "toy.xml", *QUICK),
        ],
        export=lambda folder: [],
        applied="showers.hdf5",
        exported="surrogate.onnx",
    ),
    "shower-comparison": TaskCase(
        write=write_files,
        fit=lambda folder: [
            *("--reference", folder / "one.hdf5", "--sample", folder / "two.hdf5"),
            *("--geometry", folder / "toy.xml", *QUICK),
        ],
        apply=lambda folder: ["--files", folder / "three.hdf5"],
        applied="scores.parquet",
    ),
    "refinement": TaskCase(
        write=write_pairs,
        fit=lambda folder: [
            *("--files", folder / "pairs.h5", "--fast", "x,y", "--full", "X,Y"),
            *("--condition", "t", "--event", "n", "--training.epochs", "1"),
        ],
        apply=lambda folder: [
            *("--files", folder / "pairs.h5", "--fast", "x,y", "--condition", "t"),
        ],
        evaluate=lambda folder: [
            *("--files", folder / "pairs.h5", "--fast", "x,y", "--full", "X,Y"),
            *("--condition", "t"),
        ],
        applied="refined.parquet",
    ),
}
