"""The verbs of a surrogate of showers: fit, apply and export."""

from pathlib import Path

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, read_xml
from colliderkit.files import refuse_existing
from colliderkit.methods.method import load
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.serve.showers import export_surrogate
from colliderkit.sources.files.showers import read_showers, write_showers
from colliderkit.sources.geant4.calorimeters import CALORIMETERS, calorimeter
from colliderkit.tasks import runs

__all__ = ["apply_surrogate", "export_showers", "fit_surrogate", "geometry_of"]


def fit_surrogate(
    files: list[str] | str,
    *,
    out: Path,
    method: ShowerSurrogate,
    geometry: str,
    particle: str | None = None,
    without: list[float] | None = None,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    configuration: str = "",
) -> Path:
    """Learn a surrogate of the simulation that made these showers.

    Args:
        files: HDF5 files of showers, in the CaloChallenge's or CaloGAN's layout.
        out: the folder that the fitted surrogate is written to.
        geometry: a calorimeter of generate, or an XML file of the CaloChallenge.
        particle: of an XML file with several.
        without: two incident energies [MeV], between which showers are left out: what `evaluate
            --bands` then says of these is interpolation, or extrapolation at an end.
        seed: of initial weights, batches, noise and the split.
        resume: go on from the last checkpoint of an interrupted run.
        force: overwrite `out`, and drop what an interrupted run left.
    """
    work = runs.begin(out, resume, force)
    voxels = geometry_of(geometry, particle)
    parts = [read_showers(file, voxels) for file in ([files] if isinstance(files, str) else files)]
    incident, showers = (np.concatenate(column) for column in zip(*parts, strict=True))
    if without is not None:
        if len(without) != 2 or not without[0] < without[1]:
            raise InputError(f"--without {without}: give two energies in MeV, the lower one first.")
        kept = (incident < without[0]) | (incident >= without[1])
        incident, showers = incident[kept], showers[kept]
    with runs.kept(work, "*.ckpt"):
        method.fit(incident, showers, voxels, seed=seed, folder=work, resume=resume)
    runs.finish(method, out, work, configuration, force)
    print(f"fitted surrogate: {out}")
    return out


def apply_surrogate(
    model: Path, files: str, *, out: Path, seed: int = 0, outside: bool = False, force: bool = False
) -> None:
    """Draw a shower for each incident energy of a file of showers, and write them as HDF5.

    Args:
        model: a folder written by fit.
        files: an HDF5 file of showers, whose incident energies are taken.
        out: the .hdf5 file.
        seed: fixes every shower.
        outside: also draw at energies outside the trained range.
        force: overwrite `out`.
    """
    refuse_existing(out, force)
    surrogate = load(model)
    incident, _ = read_showers(files)
    showers = surrogate.sample(incident, seed=seed, outside=outside)
    attributes = {"physics": f"surrogate {surrogate.generator}", "model": str(model)}
    write_showers(out, incident, showers, attributes=attributes, force=force)
    print(f"showers: {out}")


def export_showers(model: Path, *, out: Path, par04: bool = False, force: bool = False) -> None:
    """Export a surrogate as ONNX, with its sampler: noise and energy in, MeV a voxel out.

    Args:
        model: a folder written by fit.
        out: the .onnx file.
        par04: take and give what the inference of Geant4's example Par04 does.
        force: overwrite `out`.
    """
    difference = export_surrogate(load(model), out, par04=par04, force=force)
    print(
        f"exported: {out} (at most {difference:.1e} of a shower's energy from torch in 99% of"
        " the voxels)"
    )


def geometry_of(name: str, particle: str | None = None) -> Geometry:
    """Return the voxels of a calorimeter by name or XML file; raise `InputError` for neither."""
    if name in CALORIMETERS:
        return calorimeter(name).geometry
    if Path(name).suffix == ".xml":
        return read_xml(name, particle)
    raise InputError(
        f"--geometry {name}: is no XML file and no calorimeter; choose from"
        f" {', '.join(CALORIMETERS)}."
    )
