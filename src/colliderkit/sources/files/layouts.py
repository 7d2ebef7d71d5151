"""Published file layouts (JetClass, NanoAOD, Delphes, ...) mapped to the columns of a jet.

A layout maps the canonical names of `colliderkit.events.schema` to expressions over the file's
columns. Files with an event a row (NanoAOD, Delphes) are first unpacked to a jet a row.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.array_layouts import (
    energies_of_flavour_tagging,
    energyflow,
    flavour_tagging,
    lhc_olympics,
    massless_particles,
)
from colliderkit.sources.files.columns import Column, Kind, TableFile, missing, shorten
from colliderkit.sources.files.expressions import Expression
from colliderkit.sources.files.momenta import (
    NestedJets,
    collections,
    from_pt_eta_phi,
    lengths,
    massless,
    momenta,
)
from colliderkit.sources.files.root import RootTable

__all__ = ["FOUR", "LAYOUTS", "Layout", "find_layout"]

FOUR = ("constituents.px", "constituents.py", "constituents.pz", "constituents.E")
Columns = Mapping[str, Kind]
MOMENTA = "momenta"  # the layout of particles that are found by the endings of their names
EVENTS_AT_ONCE = 10_000


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


def nanoaod(columns: Columns) -> dict[str, str]:
    """Map NanoAOD with particle-flow candidates (PFNano, or NanoAOD from version 15)."""
    stem = "PFCand" if "PFCand_pt" in columns else "PFCands"
    jet = "FatJet" if "FatJet_pt" in columns else "Jet"
    return {
        **from_pt_eta_phi(stem),
        "constituents.charge": f"{stem}_charge",
        "constituents.pid": f"{stem}_pdgId",
        # Centimetres become millimetres.
        "constituents.d0": f"10 * {stem}_d0",
        "constituents.d0_error": f"10 * {stem}_d0Err",
        "constituents.z0": f"10 * {stem}_dz",
        "constituents.z0_error": f"10 * {stem}_dzErr",
        "constituents.puppi_weight": f"{stem}_puppiWeight",
        "jet_pt": f"{jet}_pt",
        "jet_eta": f"{jet}_eta",
        "jet_phi": f"{jet}_phi",
        "jet_mass": f"{jet}_mass",
        "jet_sdmass": f"{jet}_msoftdrop",
        **{f"jet_tau{n}": f"{jet}_tau{n}" for n in (1, 2, 3, 4)},
        "hadron_flavour": f"{jet}_hadronFlavour",
        "event": "event",
        "weight": "genWeight",
    }


def delphes(columns: Columns) -> dict[str, str]:
    """Map Delphes jets, after `DelphesJets` has found their energy-flow constituents."""
    jet = next((name[:-3] for name in columns if name.endswith(".PT")), "Jet")
    return {
        **{f"constituents.{name}": f"EFlow.{name}" for name in PARTICLE},
        "jet_pt": f"{jet}.PT",
        "jet_eta": f"{jet}.Eta",
        "jet_phi": f"{jet}.Phi",
        "jet_mass": f"maximum({jet}.Mass, 0)",  # of one massless particle: negative by rounding
        "flavour": f"{jet}.Flavor",
        "event": "Event.Number",
        "weight": "Event.Weight",
    }


class NanoJets:
    """Unpack NanoAOD events to jets: ``FatJet_*`` a jet, ``PFCands_*`` a particle of it.

    Columns of the event (``genWeight``, ``HLT_*``) are repeated for each of its jets. Without
    `jets` ("FatJet" or "Jet") the first that has a map to candidates is taken.
    """

    def __init__(self, table: RootTable, jets: str | None = None) -> None:
        self._table = table
        self.path, self.rows, self.step = table.path, table.rows, EVENTS_AT_ONCE
        found = [
            (jet, map_, index, candidates)
            for jet in ([jets] if jets else ["FatJet", "Jet"])
            for map_, candidates in ((f"{jet}PFCands", "PFCands"), (f"{jet}PFCand", "PFCand"))
            for index in (f"{map_}_{x}" for x in ("pFCandsIdx", "pfCandIdx", "candIdx"))
            if index in table.columns and f"{candidates}_pt" in table.columns
        ]
        if not found:
            raise InputError(
                f"{self.path}: this NanoAOD has no particle-flow candidates of"
                f" {jets or 'its jets'} (PFCands and FatJetPFCands or JetPFCands); make it with"
                " PFNano, or map its columns yourself with 'columns'."
            )
        self._jet, self._map, self._index, self._candidates = found[0]
        self.columns: dict[str, Kind] = {}
        for name, kind in table.columns.items():
            stem = name.split("_")[0]
            if kind.level == 0:
                self.columns[name] = kind
            elif stem == self._jet and kind.level == 1:
                self.columns[name] = Kind(kind.type, 0)
            elif stem in (self._candidates, self._map) and kind.level == 1:
                self.columns[name] = kind

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield the event of each jet and the columns, of at most `size` events."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        links = (f"{self._jet}_pt", f"{self._candidates}_pt", f"{self._map}_jetIdx", self._index)
        for first in range(start, stop, min(size, self.step)):
            last = min(first + min(size, self.step), stop)
            raw = self._table.awkward({*names, *links}, first, last)
            jets, candidates, linked = (lengths(raw[name]) for name in links[:3])
            jet, place = flat(raw[links[2]]), flat(raw[links[3]])
            event = np.repeat(np.arange(last - first), linked)
            good = (jet >= 0) & (jet < jets[event]) & (place >= 0) & (place < candidates[event])
            if (beyond := (jet >= jets[event]) | (place >= candidates[event])).any():
                why = f"{int(beyond.sum())} of its links lead to no object and are left out"
                warnings.warn(f"{self.path}: {self._map}: {why}", UserWarning, stacklevel=2)
            jet = jet + starts(jets)[event]
            place = place + starts(candidates)[event]
            order = np.flatnonzero(good)[np.argsort(jet[good], kind="stable")]
            counts = np.bincount(jet[order], minlength=int(jets.sum()))
            columns: dict[str, Column] = {}
            for name in names:
                stem, level = name.split("_")[0], self._table.columns[name].level
                if level == 0:
                    columns[name] = Column(np.repeat(ak.to_numpy(raw[name]), jets))
                elif stem == self._jet:
                    columns[name] = Column(flat(raw[name]))
                else:
                    rows = place[order] if stem == self._candidates else order
                    columns[name] = Column(flat(raw[name])[rows], counts)
            yield np.repeat(np.arange(first, last), jets), columns


PARTICLE = ("px", "py", "pz", "E", "charge", "pid", "d0", "d0_error", "z0", "z0_error")
# Of each energy-flow collection: pt, mass or energy, and the code of what the detector took it for.
EFLOW = {"EFlowTrack": ("PT", 0), "EFlowPhoton": ("ET", 22), "EFlowNeutralHadron": ("ET", 130)}
TRACK = {"PID": "pid", "Charge": "charge", "D0": "d0", "DZ": "z0"}
TRACK |= {"ErrorD0": "d0_error", "ErrorDZ": "z0_error"}


class DelphesJets:
    """Unpack Delphes events to jets: ``Jet.*`` a jet, ``EFlow.*`` a particle of it.

    A jet's constituents are followed by reference (their ``fUniqueID``); where the file cannot
    resolve them, all energy-flow objects within `radius` of the axis are taken: 0.8 for
    ``FatJet``, the last two digits over ten for names that end in two, else 0.4.
    """

    def __init__(self, table: RootTable, jets: str | None = None) -> None:
        self._table = table
        self.path, self.rows, self.step = table.path, table.rows, EVENTS_AT_ONCE
        self._jet = jets or next(
            (x for x in ("Jet", "FatJet") if f"{x}.PT" in table.columns), "Jet"
        )
        if f"{self._jet}.PT" not in table.columns:
            raise missing(self.path, f"{self._jet}.PT", table.columns)
        self._flow = [name for name in EFLOW if f"{name}.Eta" in table.columns]
        if not self._flow:
            raise InputError(
                f"{self.path}: this Delphes file keeps no energy-flow branches"
                f" ({', '.join(EFLOW)}); add them to the card's TreeWriter."
            )
        digits = self._jet[-2:]
        self.radius = int(digits) / 10 if digits.isdigit() else 0.8 if "Fat" in self._jet else 0.4
        # The jet's own columns come first: `delphes` learns the collection's name from them.
        self.columns: dict[str, Kind] = {
            name: Kind(kind.type, 0)
            for stem in (f"{self._jet}.", "Event.")
            for name, kind in table.columns.items()
            if name.startswith(stem) and kind.level == 1
        }
        self.columns |= {f"EFlow.{name}": Kind("float", 1) for name in PARTICLE}

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield the event of each jet and the columns, of at most `size` events."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        axis = [f"{self._jet}.{x}" for x in ("PT", "Eta", "Phi")]
        scalar = [name for name in names if not name.startswith("EFlow.")]
        for first in range(start, stop, min(size, self.step)):
            last = min(first + min(size, self.step), stop)
            raw = self._table.awkward({*scalar, *axis}, first, last)
            jets = lengths(raw[axis[0]])
            event = np.repeat(np.arange(last - first), jets)
            particles, owner, uid = self._particles(first, last)
            found = self._follow(first, last, owner, uid)
            if found is None:
                found = self._within(
                    flat(raw[axis[1]]), flat(raw[axis[2]]), event, particles, owner
                )
            place, counts = found
            columns: dict[str, Column] = {}
            for name in names:
                if name.startswith("EFlow."):
                    columns[name] = Column(particles[name[6:]][place], counts)
                elif name.startswith("Event."):
                    columns[name] = Column(np.repeat(ak.to_numpy(ak.firsts(raw[name])), jets))
                else:
                    columns[name] = Column(flat(raw[name]))
            yield np.repeat(np.arange(first, last), jets), columns

    def _particles(
        self, first: int, last: int
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64], NDArray[np.int64]]:
        """Return the energy-flow objects of all events, the event of each, and its identifier."""
        have = self._table.columns
        parts: list[dict[str, NDArray[Any]]] = []
        owners: list[NDArray[np.int64]] = []
        uids: list[NDArray[np.int64]] = []
        for name in self._flow:
            transverse, code = EFLOW[name]
            wanted = [f"{name}.{x}" for x in (transverse, "Eta", "Phi", "Mass", "E", *TRACK)]
            uid_name = f"{name}.fUniqueID"
            raw = self._table.awkward({x for x in (*wanted, uid_name) if x in have}, first, last)
            # Tracks that the detector lost keep pt = 0 and |eta| = 999.9: they are no particles.
            real = flat(raw[f"{name}.{transverse}"]) > 0
            get = {x.split(".")[1]: flat(array)[real].astype(float) for x, array in raw.items()}
            pt, eta, phi = get[transverse], get["Eta"], get["Phi"]
            none = np.zeros_like(pt)
            momentum = pt * np.cosh(eta)
            part = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
            part["E"] = get["E"] if "E" in get else np.hypot(momentum, get.get("Mass", none))
            part |= {field: get.get(x, none) for x, field in TRACK.items()}
            if code:
                part["pid"] = none + code
            parts.append(part | {"eta": eta, "phi": phi})
            owner = np.repeat(np.arange(last - first), lengths(raw[f"{name}.Eta"]))
            owners.append(owner[real])
            uids.append(get.get("fUniqueID", none).astype(np.int64))
        joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        return joined, np.concatenate(owners), np.concatenate(uids)

    def _follow(
        self, first: int, last: int, owner: NDArray[np.int64], uid: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Resolve the references, or return None where none leads to an energy-flow object."""
        name = f"{self._jet}.Constituents"
        if name not in self._table.columns:
            return None
        refs = self._table.awkward([name], first, last)[name]["refs"]
        flat_refs = ak.flatten(refs, axis=1)
        each = lengths(flat_refs)
        jet = np.repeat(np.arange(len(each)), each)
        event = np.repeat(np.arange(last - first), lengths(refs))[jet]
        # The upper bits of an identifier name the process that wrote it; references lack them.
        bits = 24
        known = (owner << bits) | (uid & ((1 << bits) - 1))
        wanted = (event << bits) | (flat(flat_refs).astype(np.int64) & ((1 << bits) - 1))
        order = np.argsort(known, kind="stable")
        if len(known) == 0 or len(wanted) == 0 or (np.diff(known[order]) == 0).any():
            return None  # nothing to follow, or two objects of one identifier
        place = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
        match = known[place] == wanted
        if not match.any():
            return None
        return place[match], np.bincount(jet[match], minlength=len(each))

    def _within(
        self,
        eta: NDArray[Any],
        phi: NDArray[Any],
        event: NDArray[np.int64],
        particles: dict[str, NDArray[Any]],
        owner: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pair each jet with the particles of its event that lie within the radius."""
        order = np.argsort(owner, kind="stable")
        each = np.bincount(owner, minlength=int(event.max(initial=-1)) + 1)
        size = each[event]
        jet = np.repeat(np.arange(len(event)), size)
        step = np.arange(len(jet)) - np.repeat(starts(size), size)
        place = order[np.repeat(starts(each)[event], size) + step]
        deta = particles["eta"][place] - eta[jet]
        dphi = np.remainder(particles["phi"][place] - phi[jet] + np.pi, 2 * np.pi) - np.pi
        near = deta**2 + dphi**2 < self.radius**2
        return place[near], np.bincount(jet[near], minlength=len(event))


def flat(array: ak.Array) -> NDArray[Any]:
    """Return the numbers of all lists, one list after another."""
    return np.asarray(ak.to_numpy(ak.flatten(array, axis=1)))


def starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each list starts."""
    return np.cumsum(counts) - counts


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
