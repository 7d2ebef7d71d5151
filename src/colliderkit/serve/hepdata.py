"""HEPData submission of an unfolded spectrum with its covariance (YAML)."""

from contextlib import chdir
from pathlib import Path

import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import atomic_folder
from colliderkit.methods.unfolding.result import BinnedSpectrum

__all__ = ["write_hepdata"]

DIGITS = 10  # in YAML: enough for a covariance that is to be inverted


def write_hepdata(
    spectrum: BinnedSpectrum, folder: str | Path, *, description: str = "", force: bool = False
) -> Path:
    """Write a HEPData submission to `folder`: YAML, checked against its schema, and tarball.

    One table holds the spectrum with an uncertainty for each source, another the covariance
    (K^2 rows) in total and by source. Needs the extra `hepdata`.
    """
    try:
        from hepdata_lib import (  # type: ignore[import-untyped]
            Submission,
            Table,
            Uncertainty,
            Variable,
        )
    except ImportError as error:
        raise InputError(
            "hepdata-lib is not installed; pip install 'colliderkit[hepdata]'."
        ) from error
    if not np.isfinite(spectrum.edges).all():
        raise InputError("HEPData has no infinite bins; give finite edges.")
    bins = [(float(a), float(b)) for a, b in zip(spectrum.edges, spectrum.edges[1:], strict=False)]
    table = Table(f"{spectrum.observable} spectrum")
    table.description = description or f"Unfolded spectrum of {spectrum.observable}."
    x = Variable(spectrum.observable, is_independent=True, is_binned=True, units=spectrum.unit)
    x.values = bins
    y = Variable(spectrum.kind, is_independent=False, is_binned=False)
    y.digits = DIGITS
    y.values = spectrum.values.tolist()
    for source, part in spectrum.covariances.items():
        uncertainty = Uncertainty(source, is_symmetric=True)
        uncertainty.values = np.sqrt(np.diag(part)).tolist()
        y.add_uncertainty(uncertainty)
    table.add_variable(x)
    table.add_variable(y)
    covariance = Table(f"{spectrum.observable} covariance")
    covariance.description = f"Covariance of the spectrum of {spectrum.observable} between bins."
    size = len(bins)
    for axis, places in (
        ("first", np.repeat(np.arange(size), size)),
        ("second", np.tile(np.arange(size), size)),
    ):
        name = f"{spectrum.observable}, {axis} bin"
        variable = Variable(name, is_independent=True, is_binned=True, units=spectrum.unit)
        variable.values = [bins[i] for i in places]
        covariance.add_variable(variable)
    for source, part in {"total": spectrum.covariance, **spectrum.covariances}.items():
        variable = Variable(f"covariance, {source}", is_independent=False, is_binned=False)
        variable.digits = DIGITS
        variable.values = part.ravel().tolist()
        covariance.add_variable(variable)
    submission = Submission()
    submission.comment = description or f"Unfolded spectrum of {spectrum.observable}."
    submission.add_table(table)
    submission.add_table(covariance)
    # hepdata-lib leaves its tarball in the working folder: so it stands with the rest.
    with atomic_folder(folder, force) as part_folder, chdir(part_folder):
        submission.create_files(".", validate=True)
    return Path(folder)
