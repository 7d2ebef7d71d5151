"""Taus that decay to hadrons and the jets that look like them, as a detector sees them.

What is seen within R = 0.5 are tracks, photons and neutral hadrons of the package's detector, with
its energy flow; a pi0 is one photon or two. Which particle made a track is not told.
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.angles import turned
from colliderkit.events.tables import Floats
from colliderkit.sources.pythia.tau_decays import MODES

__all__ = ["CLASSES", "FEATURES", "VARIABLES", "generate_taus", "seen", "tau_variables"]

CLASSES = ("jet", *MODES)
# Of a constituent, beside its momentum.
FEATURES = ("charge", "photon", "d0_significance", "z0_significance")
PION = 0.13957
CORE, CENTRE = 0.2, 0.1  # around the axis; beyond the core a tau is isolated
TRACK, PHOTON = 1.0, 1.0  # GeV, pT of what is counted

VARIABLES = (
    *("jet_pt", "jet_mass", "core_share", "centre_share"),
    *("core_tracks", "other_tracks", "core_photons", "other_photons"),
    *("track_share", "photon_share", "hadron_share"),
    *("lead_track", "lead_photon", "second_photon"),
    *("track_radius", "photon_radius", "widest_track"),
    *("core_mass", "track_mass", "photon_mass"),
    *("lead_d0", "largest_d0", "core_charge"),
)


def generate_taus(
    taus: int,
    jets: int,
    path: str | Path,
    *,
    seed: int = 1,
    workers: int = 1,
    dask: str | None = None,
) -> Path:
    """Generate taus and jets of 20 to 100 GeV by Pythia 8 through the detector; return the path.

    The Parquet file holds jets (see `colliderkit.events.schema`) with the columns `FEATURES` of
    their constituents and `VARIABLES`; ``label`` is the place in `CLASSES`: 0 of a jet of quarks
    or gluons, 1 to 5 the decay mode of a tau. ``response`` is ln of the tau's visible pT over
    ``jet_pt``, 0 of jets; ``tau_pt`` [GeV] is 0 of jets. Decays are polarised as Pythia does it,
    those to leptons left out. What the two processes gave stays beside the file.
    """
    from colliderkit.sources import iterate, write
    from colliderkit.sources.pythia.shards import generate

    path = Path(path)
    parts = []
    for number, (process, count) in enumerate((("qcd-tau", jets), ("tau", taus))):
        file = path.with_name(f"{path.stem}-{process}.parquet")
        if not file.exists():
            generate(process, count, file, seed=seed, workers=workers, dask=dask, detector=True)
        for chunk in iterate(file):
            made = seen(chunk)
            # The numbers of the two processes' events overlap.
            made["event"] = np.asarray(chunk["event"]) | (number << 56)
            parts.append(made)
    whole = ak.concatenate(parts)
    random = np.random.default_rng(seed)
    write(path, ak.to_packed(whole[random.permutation(len(whole))]))
    return path


def seen(jets: ak.Array) -> ak.Array:
    """Return jets of the processes "tau" and "qcd-tau" as `generate_taus` writes them."""
    old: Any = jets["constituents"]
    counts = np.asarray(ak.num(old))
    flat = {name: np.asarray(ak.to_numpy(ak.flatten(old[name]))) for name in old.fields}
    px, py, pz = (flat[name].astype(np.float64) for name in ("px", "py", "pz"))
    charged = flat["charge"] != 0
    # A track is taken for a pion: its mass would tell what it is.
    energy = np.where(charged, np.sqrt(px**2 + py**2 + pz**2 + PION**2), flat["E"])
    jet = np.repeat(np.arange(len(counts)), counts)
    axis_phi, axis_eta = (np.asarray(jets[name])[jet] for name in ("jet_phi", "jet_eta"))
    pt = np.maximum(np.hypot(px, py), 1e-9)
    ahead = np.where(np.sin(np.arctan2(py, px) - axis_phi) < 0, -1, 1)
    beside = np.where(np.arcsinh(pz / pt) > axis_eta, -1, 1)
    columns = {
        **{"px": px, "py": py, "pz": pz, "E": energy},
        "charge": flat["charge"],
        "photon": (flat["pid"] == 22).astype(np.float64),
        "d0_significance": ahead * flat["d0"] / np.where(charged, flat["d0_error"], 1.0),
        "z0_significance": beside * flat["z0"] / np.where(charged, flat["z0_error"], 1.0),
    }
    tracks = {n: ak.unflatten(c.astype(np.float32), counts) for n, c in columns.items()}
    rows: dict[str, Any] = {"constituents": ak.zip(tracks)}
    rows |= {n: np.asarray(jets[n]) for n in ("jet_pt", "jet_eta", "jet_phi", "jet_mass", "event")}
    tau = "decay_mode" in jets.fields
    none = np.zeros(len(jets), dtype=np.float32)
    rows["label"] = np.asarray(jets["decay_mode"]).astype(np.int64) + 1 if tau else none.astype(int)
    rows["tau_pt"] = np.asarray(jets["tau_pt"]) if tau else none
    rows["response"] = np.log(rows["tau_pt"] / rows["jet_pt"]) if tau else none
    made = ak.zip(rows, depth_limit=1)
    for name, values in tau_variables(made).items():
        if name not in made.fields:
            made[name] = values
    return made


def tau_variables(jets: ak.Array) -> dict[str, NDArray[np.float32]]:
    """Return what tau identification usually reads of a jet, by `VARIABLES`, each (N,).

    Shares are of the jet's pT. The core is dR < 0.2, the centre dR < 0.1 about the jet's axis;
    `core_share` and `centre_share` are the pT in them, `track_share`, `photon_share` and
    `hadron_share` those of kinds in the core, `lead_track` and so on the hardest there. Tracks and
    photons are counted from 1 GeV. Radii are dR weighted by pT. Masses [GeV] are of tracks and
    photons in the core, `lead_d0` and `largest_d0` of its tracks in errors.
    """
    parts: Any = jets["constituents"]
    counts = np.asarray(ak.num(parts))
    total = len(counts)
    jet = np.repeat(np.arange(total), counts)
    flat = {n: np.asarray(ak.to_numpy(ak.flatten(parts[n]))).astype(float) for n in parts.fields}
    px, py, pz, energy = (flat[name] for name in ("px", "py", "pz", "E"))
    pt = np.maximum(np.hypot(px, py), 1e-9)
    whole = np.asarray(jets["jet_pt"], dtype=np.float64)
    turn = np.arctan2(py, px) - np.asarray(jets["jet_phi"])[jet]
    turn = turned(turn)
    away = np.hypot(np.arcsinh(pz / pt) - np.asarray(jets["jet_eta"])[jet], turn)
    track, photon, core = flat["charge"] != 0, flat["photon"] > 0.5, away < CORE
    kinds = {"track": track, "photon": photon, "hadron": ~track & ~photon}

    def summed(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
        return np.bincount(jet[chosen], values[chosen], total).astype(np.float64)

    def largest(values: Floats, chosen: NDArray[np.bool_]) -> Floats:
        found = np.zeros(total)
        np.maximum.at(found, jet[chosen], values[chosen])
        return found

    def mass(chosen: NDArray[np.bool_]) -> Floats:
        e, x, y, z = (summed(v, chosen) for v in (energy, px, py, pz))
        return np.sqrt(np.maximum(e**2 - x**2 - y**2 - z**2, 0.0))

    found: dict[str, Any] = {
        "jet_pt": whole,
        "jet_mass": np.asarray(jets["jet_mass"]),
        "core_share": summed(pt, core) / whole,
        "centre_share": summed(pt, away < CENTRE) / whole,
        "core_mass": mass(core & (track | photon)),
        "core_charge": np.abs(summed(flat["charge"], core & track & (pt > TRACK))),
        "widest_track": largest(away, core & track & (pt > TRACK)),
        "largest_d0": largest(np.abs(flat["d0_significance"]), core & track),
    }
    for name, kind in kinds.items():
        found[f"{name}_share"] = summed(pt, core & kind) / whole
    for name, least in (("track", TRACK), ("photon", PHOTON)):
        kind = kinds[name]
        hard = kind & (pt > least)
        found[f"core_{name}s"] = summed(np.ones_like(pt), hard & core)
        found[f"other_{name}s"] = summed(np.ones_like(pt), hard & ~core)
        found[f"lead_{name}"] = largest(pt, kind & core) / whole
        weight = np.maximum(summed(pt, kind), 1e-9)
        found[f"{name}_radius"] = summed(pt * away, kind) / weight
        found[f"{name}_mass"] = mass(kind & core)
    lead = pt / whole[jet]
    first = kinds["photon"] & core & (lead < found["lead_photon"][jet])
    found["second_photon"] = largest(lead, first)
    hardest = track & core & (lead >= found["lead_track"][jet])
    found["lead_d0"] = summed(flat["d0_significance"], hardest)
    return {name: np.asarray(found[name], dtype=np.float32) for name in VARIABLES}
