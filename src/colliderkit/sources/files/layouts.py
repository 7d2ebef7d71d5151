"""Published file layouts (JetClass, NanoAOD, Delphes, ...) mapped to the columns of a jet.

A layout maps the canonical names of `colliderkit.events.schema` to expressions over the file's
columns. Files with an event a row (NanoAOD, Delphes) are first unpacked to a jet a row.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from colliderkit.errors import InputError
from colliderkit.sources.files.array_layouts import (
    dark_machines,
    energies_of_flavour_tagging,
    energyflow,
    flavour_tagging,
    lhc_olympics,
    massless_particles,
    trigger_challenge,
)
from colliderkit.sources.files.columns import Kind, TableFile, missing, shorten
from colliderkit.sources.files.event_layouts import DelphesJets, NanoJets, delphes, nanoaod
from colliderkit.sources.files.expressions import Expression
from colliderkit.sources.files.momenta import NestedJets, collections, massless, momenta
from colliderkit.sources.files.root import RootTable

__all__ = ["FOUR", "LAYOUTS", "Layout", "find_layout"]

FOUR = ("constituents.px", "constituents.py", "constituents.pz", "constituents.E")
Columns = Mapping[str, Kind]
MOMENTA = "momenta"  # the layout of particles that are found by the endings of their names


@dataclass(frozen=True)
class Layout:
    """Know a published layout: `mapping` names its columns, `unpack` makes a jet a row.

    `note` says what was supposed in reading it, such as a unit.
    """

    name: str
    mapping: Callable[[Columns], dict[str, str]]
    unpack: Callable[[RootTable, str | None], TableFile] | None = None
    note: Callable[[Columns], str] | None = None

    def absent(self, columns: Columns) -> list[str]:
        """List the columns without which `columns` are not of this layout."""
        mapping = self.mapping(columns)
        needed = [name for four in FOUR for name in Expression(mapping[four]).names]
        return [name for name in dict.fromkeys(needed) if name not in columns]


def own(columns: Columns) -> dict[str, str]:
    """Map a jet array as `colliderkit.sources.write` stores it; ROOT has ``_`` for the dot."""
    joint = "_" if "constituents_px" in columns else "."
    mapping = {four: four.replace(".", joint) for four in FOUR}
    for name, kind in columns.items():
        if kind.level == 1 and name.startswith(f"constituents{joint}"):
            mapping[f"constituents.{name[13:]}"] = name
        elif kind.level == 0 and name != "nconstituents":
            mapping[name] = name
    return mapping


# Zenodo 2603256 (1902.09914): E_0, PX_0, PY_0, PZ_0, ... E_199, ...; zero-padded.
TOP_TAGGING = {
    "constituents.px": "PX",
    "constituents.py": "PY",
    "constituents.pz": "PZ",
    "constituents.E": "E",
    "label": "is_signal_new",
    "ttv": "ttv",
    "truth_px": "truthPX",
    "truth_py": "truthPY",
    "truth_pz": "truthPZ",
    "truth_E": "truthE",
}

# Zenodo 6619768 (2202.03772): the classes in the order of the Particle Transformer.
JETCLASS_LABELS = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
JETCLASS = {
    "constituents.px": "part_px",
    "constituents.py": "part_py",
    "constituents.pz": "part_pz",
    "constituents.E": "part_energy",
    "constituents.charge": "part_charge",
    "constituents.d0": "part_d0val",
    "constituents.d0_error": "part_d0err",
    "constituents.z0": "part_dzval",
    "constituents.z0_error": "part_dzerr",
    "constituents.is_charged_hadron": "part_isChargedHadron",
    "constituents.is_neutral_hadron": "part_isNeutralHadron",
    "constituents.is_photon": "part_isPhoton",
    "constituents.is_electron": "part_isElectron",
    "constituents.is_muon": "part_isMuon",
    "jet_pt": "jet_pt",
    "jet_eta": "jet_eta",
    "jet_phi": "jet_phi",
    "jet_mass": "sqrt(maximum(jet_energy**2 - (jet_pt * cosh(jet_eta))**2, 0))",
    "jet_sdmass": "jet_sdmass",
    **{f"jet_tau{n}": f"jet_tau{n}" for n in (1, 2, 3, 4)},
    # -1 of no class, or of several: such jets are no events of the first.
    "label": f"where({' + '.join(f'label_{name}' for name in JETCLASS_LABELS)} == 1, "
    f"{' + '.join(f'{i} * label_{name}' for i, name in enumerate(JETCLASS_LABELS))}, -1)",
}


LAYOUTS: dict[str, Layout] = {
    "colliderkit": Layout("colliderkit", own),
    "top-tagging": Layout("top-tagging", lambda columns: dict(TOP_TAGGING)),
    "jetclass": Layout("jetclass", lambda columns: dict(JETCLASS)),
    "nanoaod": Layout("nanoaod", nanoaod, NanoJets),
    "delphes": Layout("delphes", delphes, DelphesJets),
    "flavour-tagging": Layout(
        "flavour-tagging", flavour_tagging, None, energies_of_flavour_tagging
    ),
    "lhc-olympics": Layout("lhc-olympics", lhc_olympics, None, massless_particles),
    "energyflow": Layout("energyflow", energyflow),
    "dark-machines": Layout("dark-machines", dark_machines),
    "adc-2021": Layout("adc-2021", trigger_challenge),
}


def find_layout(
    table: TableFile, name: str | None, own: Mapping[str, str] = {}
) -> tuple[Layout | None, TableFile]:
    """Return the layout (given as `name`, or seen from the columns) and the table of its jets.

    ``nanoaod:Jet`` or ``delphes:ParticleFlowJet08`` chooses the collection of jets, and
    ``momenta:c`` the particles ``c_pt``, ``c_eta``, ``c_phi``, which are found by themselves where
    there are no others. None where no layout fits: then the user's `own` columns, expressions by
    canonical name, must say what is what.
    """
    columns = table.columns
    used = {x for text in own.values() for x in Expression(text).names}
    deep = {x for x, kind in columns.items() if kind.nesting == 2}
    made = all(four in own for four in FOUR)
    if name is None:
        if isinstance(table, RootTable):
            if any(x in columns for x in ("Jet_pt", "FatJet_pt")) and "event" in columns:
                name = "nanoaod"
            elif any(x.endswith("Jet.PT") for x in columns):
                name = "delphes"
        if name is None:
            fits = [layout for layout in LAYOUTS.values() if not layout.absent(columns)]
            if fits:
                say(fits[0], table)
                return fits[0], table
            if hasattr(table, "awkward") and (
                used & deep or (not made and collections(columns, nesting=2))
            ):
                table = nested(table)
            return (None if made else by_names(table, "")), table
    title, _, collection = name.partition(":")
    if title == MOMENTA:
        if collection in collections(columns, nesting=2) and hasattr(table, "awkward"):
            table = nested(table)
        return by_names(table, collection, needed=True), table
    if title not in LAYOUTS:
        known = ", ".join([*LAYOUTS, MOMENTA])
        raise InputError(f"unknown layout '{title}'; known are {known}.")
    layout = LAYOUTS[title]
    if layout.unpack is not None:
        if not isinstance(table, RootTable):
            raise InputError(f"{table.path}: the layout '{title}' is one of ROOT files.")
        return layout, layout.unpack(table, collection or None)
    if absent := layout.absent(columns):
        have = shorten(columns)
        if len(absent) < 4:
            raise missing(table.path, absent[0], columns, f", which the layout '{title}' needs")
        raise InputError(f"{table.path}: is not of the layout '{title}'; its columns are {have}.")
    say(layout, table)
    return layout, table


def nested(table: Any) -> NestedJets:
    """Unpack events with lists of jets, and say so."""
    warnings.warn(
        f"{table.path}: rows are events with lists of jets; each jet is read as a row of its own",
        UserWarning,
        stacklevel=4,
    )
    return NestedJets(table)


def by_names(table: TableFile, stem: str, needed: bool = False) -> Layout | None:
    """Return the layout of the particles `stem`, or of the only ones that are found by names.

    Raises `InputError` where several are found and none is named.
    """
    found = collections(table.columns)
    if needed and stem not in found and (stem or not found):
        have = shorten(found or table.columns)
        raise InputError(
            f"{table.path}: has no particles '{stem}_pt', '{stem}_eta', '{stem}_phi'; it has"
            f" {have}."
        )
    if not found:
        return None
    if not stem and len(found) > 1:
        raise InputError(
            f"{table.path}: has particles of several collections ({shorten(found)}); name those"
            f" that are meant by layout (as layout {MOMENTA}:{next(iter(found))}), or in 'columns'."
        )
    stem = stem or next(iter(found))
    layout = Layout(
        f"{MOMENTA}:{stem}",
        lambda columns: momenta(columns, stem),
        None,
        lambda columns: massless(columns, stem),
    )
    say(layout, table)
    return layout


def say(layout: Layout, table: TableFile) -> None:
    """Say what is supposed in reading a table by a layout, where anything is."""
    if layout.note is not None:
        warnings.warn(f"{table.path}: {layout.note(table.columns)}", UserWarning, stacklevel=3)
