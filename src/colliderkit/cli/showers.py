"""The verbs of showers: generate, evaluate and report."""

import json
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file, refuse_existing
from colliderkit.methods.method import versions
from colliderkit.methods.simulation.comparison import PUBLISHED, Comparison, ShowerTest, check_band
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results, write_results
from colliderkit.report.showers import Drawn, add_showers, example
from colliderkit.sources.files.showers import mapped_showers
from colliderkit.sources.geant4 import gflash, shards
from colliderkit.sources.geant4.simulation import Beam
from colliderkit.tasks.showers import geometry_of
from colliderkit.training.settings import Training

__all__ = ["DRAWN", "evaluate_showers", "parametrise", "report_showers", "shoot"]

DRAWN = "showers.hdf5"
FLOOR = "floor"
Sample = tuple[NDArray[np.float32], NDArray[np.float32]]


def shoot(
    process: str,
    count: int,
    *,
    out: Path,
    energies: tuple[float, float] = (1000.0, 64000.0),
    index: float = 1.0,
    particle: Literal["gamma", "e-", "e+"] = "gamma",
    x: float = 0.0,
    y: float = 0.0,
    angle: float = 0.0,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    cut: float = 0.7,
    simulation: Literal["geant4"] = "geant4",
    force: bool = False,
) -> None:
    """Shoot particles into a calorimeter with Geant4 and write the showers as HDF5.

    Args:
        process: a calorimeter, such as photons-368.
        count: showers.
        out: the .hdf5 file, in the CaloChallenge's layout.
        energies: the lowest and the highest incident energy, in MeV.
        index: of the spectrum, dN/dE ~ E^-index; 1 is log-uniform.
        particle: what enters.
        x: where it enters, in mm.
        y: where it enters, in mm.
        angle: to the axis, in radian, in the plane of x.
        seed: fixes every shower, whatever the number of workers.
        workers: processes side by side.
        dask: address of a Dask scheduler to work on instead.
        cut: the range below which Geant4 makes no particles, in mm.
        simulation: geant4; gflash parametrises, with fewer options.
        force: overwrite `out`, and shards of another request.
    """
    path = shards.generate_showers(
        process,
        count,
        out,
        energies=energies,
        index=index,
        beam=Beam(particle, x, y, angle),
        seed=seed,
        cut=cut,
        workers=workers,
        dask=dask,
        force=force,
    )
    print(f"generated: {path}")


def parametrise(
    process: str,
    count: int,
    *,
    out: Path,
    energies: tuple[float, float] = (1000.0, 64000.0),
    index: float = 1.0,
    seed: int = 0,
    simulation: Literal["gflash"] = "gflash",
    force: bool = False,
) -> None:
    """Draw electromagnetic showers by the parametrisation of Grindhammer and Peters.

    Args:
        process: a calorimeter, such as photons-368.
        count: showers.
        out: the .hdf5 file, in the CaloChallenge's layout.
        energies: the lowest and the highest incident energy, in MeV.
        index: of the spectrum, dN/dE ~ E^-index; 1 is log-uniform.
        seed: fixes every shower.
        simulation: gflash.
        force: overwrite `out`.
    """
    path = gflash.generate_showers(
        process, count, out, energies=energies, index=index, seed=seed, force=force
    )
    print(f"generated: {path}")


def evaluate_showers(
    showers: Path,
    *,
    sample: dict[str, str] | list[str] | str,
    geometry: str,
    out: Path,
    threshold: float = 0.0,
    particle: str | None = None,
    floor: Path | None = None,
    training: Path | None = None,
    bands: list[float] | None = None,
    count: int | None = None,
    levels: list[str] | None = None,
    width: int = 512,
    repetitions: int = 1,
    standardised: bool = False,
    classifier: Training = PUBLISHED,
    seed: int = 0,
    force: bool = False,
    configuration: str = "",
) -> None:
    """Compare files of showers with a reference, all figures of the CaloChallenge.

    Args:
        showers: the reference: HDF5 in the layout of the CaloChallenge or of CaloGAN.
        sample: a file to compare with it, several as "[A, B]", or by name as "{name: A}".
        geometry: a calorimeter's name, such as photons-368, or an XML file of the CaloChallenge.
        out: a folder for results.json and what report draws.
        threshold: in MeV; voxels below it count as empty.
        particle: which one of the XML file, where it has several.
        floor: a second file of the reference's density, which is what a perfect model would give.
        training: what the samples' model was fitted to, to see whether it copies.
        bands: edges in MeV of bands of incident energy, whose figures are given too.
        count: showers of each file that are used, the first ones; all if not given.
        levels: what classifiers see, of low-level, high-level and 3-D ResNet, which is slow; the
            first two if not given.
        width: of the classifiers' layers; 2048 is published.
        repetitions: trainings of each classifier, whose scatter enters the errors.
        standardised: scale the classifiers' inputs, which makes them see more than the published.
        classifier: how the classifiers are trained.
        seed: of splits, initial weights and draws.
        force: overwrite what is in `out`.
    """
    for name in ("results.json", DRAWN):
        refuse_existing(out / name, force)
    chosen = geometry_of(geometry, particle)
    files = _named(sample, floor)
    edges = sorted(bands or [])
    if bands is not None and (len(edges) < 2 or edges[0] < 0):
        raise InputError(f"--bands {bands} must be at least two energies in MeV, 0 or more.")
    test = ShowerTest(
        chosen,
        threshold,
        classifier=classifier,
        seed=seed,
        width=width,
        repetitions=repetitions,
        levels=levels if levels is not None else ("low-level", "high-level"),
        standardised=standardised,
    )
    timing: dict[str, float] = {}
    found: dict[str, Comparison] = {}
    rows: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="colliderkit-showers-") as folder:

        def read(path: Path | str) -> Sample:
            incident, voxels = mapped_showers(path, folder, chosen, stop=count)
            return incident, voxels

        begin = time.perf_counter()
        reference = read(showers)
        trained_on = None if training is None else read(training)
        samples = {name: read(file) for name, file in files.items()}
        pairs = list(zip(edges[:-1], edges[1:], strict=True))
        for low, high in pairs:  # before what takes long
            check_band([reference[0], *(incident for incident, _ in samples.values())], low, high)
        timing["reading"] = time.perf_counter() - begin
        energy = float(reference[0].mean())
        examples = {"reference": example(*reference, energy)}
        for name, events in samples.items():
            begin = time.perf_counter()
            found[name] = test.compare(
                reference, events, training=None if name == FLOOR else trained_on
            )
            examples[name] = example(*events, examples["reference"][0])
            timing[name] = time.perf_counter() - begin
            rows += [_result(name, figure, v) for figure, v in found[name].figures.items()]
            for low, high in pairs:
                band = f"{low / 1e3:g} to {high / 1e3:g} GeV"
                within = test.within(found[name], low, high)
                rows += [_result(name, f"{figure}, {band}", v) for figure, v in within.items()]
    first = next(iter(found.values()))
    drawn = Drawn(
        chosen,
        threshold,
        first.edges,
        {"reference": first.spectra[0], **{n: c.spectra[1] for n, c in found.items()}},
        examples,
        FLOOR if floor is not None else None,
    )
    about = {
        "title": f"{', '.join(n for n in files if n != FLOOR)} against {showers}",
        "command": "colliderkit evaluate --config, with the configuration below",
        "seeds": [seed],
        "versions": versions(),
        "timing": timing,
        "configuration": configuration,
    }
    drawn.write(out / DRAWN, force)
    write_results(out / "results.json", rows, about, force)
    _print(rows)
    print(f"results: {out / 'results.json'}\nreport:  colliderkit report {out}")


def report_showers(evaluation: Path, *, force: bool = False) -> None:
    """Draw an evaluation of showers into report.html of its folder.

    Args:
        evaluation: a folder written by evaluate --showers.
        force: overwrite report.html.
    """
    path = refuse_existing(evaluation / "report.html", force)
    results = read_results(evaluation / "results.json")
    about = json.loads((evaluation / "results.json").read_text())
    drawn = Drawn.read(existing_file(evaluation / DRAWN))
    sizes = ", ".join(f"{s.showers} of {name}" for name, s in drawn.spectra.items())
    page = Report(
        "Showers in a calorimeter",
        f"{about['title']}: {sizes}, in {drawn.geometry.voxels} voxels of"
        f" {len(drawn.geometry.layers)} layers (geometry “{drawn.geometry.name}”).",
        command=about["command"],
        configuration=about["configuration"],
        seeds=about["seeds"],
        timing=about["timing"],
    )
    add_showers(page, results, drawn)
    with atomic_file(path, force) as part:
        part.write_text(page.html(), encoding="utf-8")
    print(f"report: {path}")


def _named(sample: dict[str, str] | list[str] | str, floor: Path | None) -> dict[str, Path]:
    """Return the files by name, the floor first; by their stems if no name is given."""
    if isinstance(sample, dict):
        files = {name: Path(path) for name, path in sample.items()}
    else:
        paths = [Path(p) for p in ([sample] if isinstance(sample, str) else sample)]
        files = {path.stem: path for path in paths}
        if len(files) < len(paths):
            raise InputError("two samples have one name; name them, as --sample '{one: FILE}'.")
    for name in (FLOOR, "reference"):
        if name in files:
            raise InputError(f"a sample cannot be called '{name}'; name it by --sample '{{x: F}}'.")
    if not files:
        raise InputError("name a file to compare by --sample.")
    return {**({FLOOR: floor} if floor is not None else {}), **files}


def _result(subject: str, figure: str, value: Value) -> Result:
    return Result(subject, figure, value.value, value.error, counting=value.error)


def _print(rows: list[Result]) -> None:
    subjects = list(dict.fromkeys(row.subject for row in rows))
    table = Table("against the reference", *subjects)
    cells = {(r.subject, r.quantity): str(Value(r.value, r.error or np.nan)) for r in rows}
    for figure in dict.fromkeys(row.quantity for row in rows):
        table.add_row(figure, *(cells.get((subject, figure), "") for subject in subjects))
    Console().print(table)
