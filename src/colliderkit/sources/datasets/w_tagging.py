"""W and QCD jets of DisCo (2001.05310): the published ones (Zenodo 3606767) and a stand-in.

``W_high_level.npz`` holds the arrays ``train``, ``val`` and ``test``, each (N, 12): the jet mass as
(m / GeV - 50) / 250, ten observables, and a label that is 0 for W bosons and 1 for QCD. The units
of the observables are not stated and are left as published.
"""

from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.observables import PRESETS, table
from colliderkit.events.schema import split
from colliderkit.events.tables import Floats, Ints
from colliderkit.events.weights import spectrum_weights
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable

__all__ = ["INPUTS", "OBSERVABLES", "generate_w_tagging", "halves", "read_w_tagging"]

PARTS = {"training": "train", "validation": "val", "test": "test"}
# The columns between mass and label, under the names of `colliderkit.events.observables`.
COLUMNS = (
    *("pt", "tau21", "C2", "D2", "fox_wolfram", "planar_flow", "aplanarity", "zcut"),
    *("kt_dr", "sqrt_d12"),
)
LIGHTEST, SPAN = 50.0, 250.0  # GeV, of the mass
OBSERVABLES = PRESETS["w-tagging"]
INPUTS = ("jet_mass", *OBSERVABLES)
NO_MPI = "PartonLevel:MPI = off"


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


def generate_w_tagging(
    w: int,
    qcd: int,
    path: str | Path,
    *,
    seed: int = 1,
    workers: int = 1,
    dask: str | None = None,
) -> Path:
    """Generate a stand-in by Pythia 8 and write its observables to a Parquet file; return its path.

    Of `w` and `qcd` jets (13 TeV, anti-kT R = 1.0, 300 < pt < 400 GeV, |eta| < 2, W bosons and
    their quarks matched, particle level, no multiple interactions) those between 50 and 300 GeV are
    kept: ``jet_pt``, ``jet_eta``, ``jet_mass`` [GeV], the ten `OBSERVABLES`, ``label`` (1 for W),
    ``event`` and a ``weight`` that gives the QCD jets the pt spectrum of the others. The jets
    themselves are left beside the file, and are not generated again.
    """
    from colliderkit.sources import iterate, write
    from colliderkit.sources.pythia.shards import generate

    path = Path(path)
    parts = []
    for label, (process, count) in enumerate((("qcd-w", qcd), ("w", w))):
        file = path.with_name(f"{process}.parquet")
        if not file.exists():
            options = {"seed": seed, "workers": workers, "dask": dask}
            generate(process, count, file, settings=NO_MPI, **options)  # type: ignore[arg-type]
        for chunk in iterate(file):
            mass = np.asarray(chunk["jet_mass"])
            jets = chunk[(mass > LIGHTEST) & (mass < LIGHTEST + SPAN)]
            values, names = table(jets, OBSERVABLES)
            columns = {name: jets[name] for name in ("jet_pt", "jet_eta", "jet_mass")}
            columns |= {name: values[:, i] for i, name in enumerate(names)}
            # The numbers of the two processes' events overlap.
            columns["event"] = np.asarray(jets["event"]) | (label << 56)
            columns["label"] = np.full(len(jets), label, dtype=np.int64)
            parts.append(ak.zip(columns))
    whole = ak.concatenate(parts)
    edges = np.linspace(300, 400, 21).tolist()
    weight = spectrum_weights(whole, reference=1, pt_bins=edges, eta_bins=[-2.0, 2.0])
    write(path, ak.with_field(whole, weight, "weight"))
    return path


def halves(path: str | Path) -> list[tuple[Floats, Ints]]:
    """Return tables of `INPUTS` (N, 11) and labels (N,), 1 for W, of both halves of the jets.

    `path` is what `generate_w_tagging` wrote; a hash of the event parts the halves. The weights are
    left out: the QCD jets have their own falling spectrum.
    """
    return [
        (
            np.column_stack([np.asarray(part[name], dtype=np.float64) for name in INPUTS]),
            np.asarray(part["label"]),
        )
        for part in split(ak.from_parquet(path), (0.5, 0.5), seed=1)
    ]
