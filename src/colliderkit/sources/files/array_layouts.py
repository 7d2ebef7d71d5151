"""Published layouts without names that say all: flavour tagging, challenges, EnergyFlow."""

from collections.abc import Mapping

from colliderkit.sources.files.columns import Kind
from colliderkit.sources.files.padded import QUARK_GLUON_MASSES

__all__ = [
    "dark_machines",
    "energies_of_flavour_tagging",
    "energyflow",
    "flavour_tagging",
    "lhc_olympics",
    "massless_particles",
    "trigger_challenge",
]

Columns = Mapping[str, Kind]
# Collections of particles in flavour-tagging files, tried in this order.
COLLECTIONS = ("tracks", "tracks_loose", "consts", "flows", "constituents")
# What the columns of the collections are called elsewhere in this package.
TRACK = {"d0Uncertainty": "d0_error", "z0SinThetaUncertainty": "z0_error", "z0SinTheta": "z0"}


def flavour_tagging(columns: Columns) -> dict[str, str]:
    """Map the flavour-tagging files of ATLAS: compound datasets `jets` (N,), `tracks` (N, M).

    - particles are the slots with `valid`, their directions those of the jet plus `deta`, `dphi`
      where they have none of their own; they are massless where they have no energy;
    - energies are MeV and become GeV, unless an attribute or a name says GeV;
    - the label is that of `HadronConeExclTruthLabelID`: light 0, c 1, b 2, tau 3, others -1; or
      `flavour_label` of files that were preprocessed (umami-preprocessing);
    - all other numbers of a track stay under their names.
    """
    known = [name for name in COLLECTIONS if f"{name}.valid" in columns]
    flagged = [name[:-6] for name in columns if name.endswith(".valid")]
    stem = next(iter([*known, *flagged]), "tracks")
    jet = {name: f"jets.{name}" for name in ("pt", "eta", "phi", "mass")}
    for name in ("pt", "eta"):
        if jet[name] not in columns and f"jets.{name}_btagJes" in columns:
            jet[name] = f"jets.{name}_btagJes"
    pt, eta, phi = (f"{stem}.{name}" for name in ("pt", "eta", "phi"))
    jet_pt = in_gev(jet["pt"], columns)
    if pt not in columns and f"{stem}.ptfrac" in columns:
        momentum = f"{stem}.ptfrac * {jet_pt}"
    elif pt not in columns and f"{stem}.qOverP" in columns:
        # 1 / MeV.
        momentum = f"sin({stem}.theta) / abs({stem}.qOverP) / 1000"
    else:
        momentum = in_gev(pt, columns)
    if eta not in columns:
        eta = f"({jet['eta']} + {stem}.deta)"
    if phi not in columns:
        phi = f"({jet['phi']} + {stem}.dphi)"
    energy = next((f"{stem}.{e}" for e in ("energy", "e", "E") if f"{stem}.{e}" in columns), "")
    mapping = {
        "constituents.px": f"{momentum} * cos({phi})",
        "constituents.py": f"{momentum} * sin({phi})",
        "constituents.pz": f"{momentum} * sinh({eta})",
        "constituents.E": in_gev(energy, columns) if energy else f"{momentum} * cosh({eta})",
    }
    used = {f"{stem}.{name}" for name in ("pt", "eta", "phi", "valid")} | {energy}
    for name, kind in columns.items():
        if name.startswith(f"{stem}.") and kind.level == 1 and name not in used:
            own = name[len(stem) + 1 :]
            mapping[f"constituents.{TRACK.get(own, own)}"] = name
    if f"{stem}.charge" not in columns and f"{stem}.qOverP" in columns:
        mapping["constituents.charge"] = f"where({stem}.qOverP > 0, 1, -1)"
    mapping |= {
        "jet_pt": jet_pt,
        "jet_eta": jet["eta"],
        "jet_phi": jet["phi"],
        "jet_mass": in_gev(jet["mass"], columns),
        "event": "jets.eventNumber",
    }
    if "jets.eventNumber" in columns and columns["jets.eventNumber"].type == "uint64":
        # Numbers of 64 bits without a sign: the same where they fit, still distinct where not.
        mapping["event"] = f"jets.eventNumber % {2**63 - 1}"
    flavour = "jets.HadronConeExclTruthLabelID"
    if "jets.flavour_label" in columns:
        mapping["label"] = "jets.flavour_label"
    elif flavour in columns:
        classes = {5: 2, 4: 1, 15: 3, 0: 0}
        label = "-1"
        for code, number in reversed(classes.items()):
            label = f"where({flavour} == {code}, {number}, {label})"
        mapping["label"] = label
    for weight in ("jets.weight", "jets.mcEventWeight"):
        if weight in columns:
            mapping.setdefault("weight", weight)
    return mapping


def in_gev(name: str, columns: Columns) -> str:
    """Write a column of energies in GeV; those of ATLAS are in MeV where nothing says GeV."""
    kind = columns.get(name)
    return name if kind is not None and kind.unit == "GeV" else f"{name} / 1000"


def energies_of_flavour_tagging(columns: Columns) -> str:
    """Say in which unit the energies are read, and why."""
    name = next((x for x in ("jets.pt", "jets.pt_btagJes") if x in columns), "jets.pt")
    unit = columns[name].unit if name in columns else ""
    if unit == "GeV":
        return "energies are in GeV, as its attributes say"
    why = "as its attributes say" if unit else "as is the custom of flavour-tagging files"
    return f"energies are taken as MeV, {why}, and given in GeV"


def lhc_olympics(columns: Columns) -> dict[str, str]:
    """Map events of the LHC Olympics (2101.08320): pt, eta, phi of massless particles, a label."""
    return {
        **four_momenta("particles", "particles.pt * cosh(particles.eta)"),
        "label": "particles.label",
    }


def massless_particles(columns: Columns) -> str:
    """Say how numbered columns were taken."""
    return "its numbered columns are read as pt, eta, phi [GeV] of massless particles, event by row"


def dark_machines(columns: Columns) -> dict[str, str]:
    """Map the objects of an event of Dark Machines (2105.14027), with what stands beside them."""
    return {
        **four_momenta("objects", "objects.E"),
        "constituents.pid": "objects.pid",
        **{name: name for name in ("event", "weight", "met", "met_phi")},
    }


def trigger_challenge(columns: Columns) -> dict[str, str]:
    """Map the objects of the anomaly detection challenge 2021 (2107.02157), massless; met is one.

    The class of an object is 1 for the missing momentum, 2 an electron, 3 a muon, 4 a jet.
    """
    return {
        **four_momenta("objects", "objects.pt * cosh(objects.eta)"),
        "constituents.kind": "objects.kind",
        "event": "EvtId",
    }


def four_momenta(stem: str, energy: str) -> dict[str, str]:
    """Write four-momenta by the columns ``STEM.pt``, ``STEM.eta``, ``STEM.phi`` [GeV]."""
    pt, eta, phi = (f"{stem}.{name}" for name in ("pt", "eta", "phi"))
    return {
        "constituents.px": f"{pt} * cos({phi})",
        "constituents.py": f"{pt} * sin({phi})",
        "constituents.pz": f"{pt} * sinh({eta})",
        "constituents.E": energy,
    }


def energyflow(columns: Columns) -> dict[str, str]:
    """Map quark and gluon jets of EnergyFlow (Zenodo 3164691): X (N, M, 4) pt, y, phi, pid; y (N,).

    Masses are those of the codes of the particles; label 1 is a quark.
    """
    pt, rapidity, phi, code = (f"X.{name}" for name in ("pt", "y", "phi", "pid"))
    mass = "0"
    for number, value in QUARK_GLUON_MASSES.items():
        if value:
            mass = f"where(abs({code}) == {number}, {value}, {mass})"
    transverse = f"hypot({pt}, {mass})"
    return {
        "constituents.px": f"{pt} * cos({phi})",
        "constituents.py": f"{pt} * sin({phi})",
        "constituents.pz": f"{transverse} * sinh({rapidity})",
        "constituents.E": f"{transverse} * cosh({rapidity})",
        "constituents.pid": code,
        "label": "y",
    }
