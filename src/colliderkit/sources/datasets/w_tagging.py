"""The published W and QCD jets of DisCo (2001.05310, Zenodo 3606767) as a table.

``W_high_level.npz`` holds the arrays ``train``, ``val`` and ``test``, each (N, 12): the jet mass as
(m / GeV - 50) / 250, ten observables, and a label that is 0 for W bosons and 1 for QCD. The units
of the observables are not stated and are left as published.
"""

from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable

__all__ = ["read_w_tagging"]

PARTS = {"training": "train", "validation": "val", "test": "test"}
# The columns between mass and label, under the names of `colliderkit.events.observables`.
COLUMNS = (
    *("pt", "tau21", "C2", "D2", "fox_wolfram", "planar_flow", "aplanarity", "zcut"),
    *("kt_dr", "sqrt_d12"),
)
LIGHTEST, SPAN = 50.0, 250.0  # GeV


def read_w_tagging(path: str | Path, part: str = "training") -> ak.Array:
    """Read one part, "training", "validation" or "test", as ``N * {jet_mass, pt, ..., label}``.

    ``jet_mass`` is in GeV, the ten observables of the preset "w-tagging" are as published, all
    float32; ``label`` is int64, 1 for W and 0 for QCD as everywhere in ColliderKit; ``event``
    numbers the rows.

    Raises `InputError` for an unknown part and for a file that is missing, broken, not of this
    layout, or of pickled objects: those are never loaded, since that would run code from the file.
    """
    if part not in PARTS:
        raise InputError(f"part '{part}' is none of {', '.join(PARTS)}.")
    path, name = existing_file(path), PARTS[part]
    with readable(path, "npz"), np.load(path, allow_pickle=False) as file:
        if name not in file.files:
            raise missing(path, name, file.files)
        try:
            rows = file[name]
        except ValueError as error:
            if "allow_pickle" not in str(error):
                raise
            raise InputError(
                f"{path}: '{name}' is of pickled objects, which are never loaded; fetch the"
                " published file, which holds numbers."
            ) from error
    wanted = len(COLUMNS) + 2
    if rows.ndim != 2 or rows.shape[1] != wanted or rows.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: '{name}' is {rows.dtype} of shape {rows.shape} where numbers of shape"
            f" (any, {wanted}) are due."
        )
    published = rows[:, -1]
    if not np.isin(published, (0, 1)).all():
        raise InputError(f"{path}: '{name}' has labels other than 0 (W) and 1 (QCD).")
    columns = {"jet_mass": (LIGHTEST + SPAN * rows[:, 0]).astype(np.float32)}
    columns |= {name: rows[:, i].astype(np.float32) for i, name in enumerate(COLUMNS, start=1)}
    numbers = {"label": (published == 0).astype(np.int64), "event": np.arange(len(rows))}
    return ak.zip({**columns, **numbers})
