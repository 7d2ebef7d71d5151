"""Layouts of ROOT files with an event a row, unpacked to a jet a row: NanoAOD and Delphes."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import Column, Kind, missing, starts
from colliderkit.sources.files.momenta import from_pt_eta_phi, lengths
from colliderkit.sources.files.root import RootTable

__all__ = ["DelphesJets", "NanoJets", "delphes", "nanoaod"]

Columns = Mapping[str, Kind]
Ints = NDArray[np.int64]
EVENTS_AT_ONCE = 10_000


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

    A jet's constituents are followed by reference (their ``fUniqueID``); in events where the file
    cannot resolve any, all energy-flow objects within `radius` of the axis are taken, and this is
    said: 0.8 for ``FatJet``, the last two digits over ten for names that end in two, else 0.4.
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
            place, jet = self._follow(first, last, owner, uid)
            # Events of which nothing is referred to are left to the radius.
            left = np.ones(last - first, dtype=bool)
            left[event[jet]] = False
            if left.any():
                axes = flat(raw[axis[1]]), flat(raw[axis[2]])
                near = self._within(*axes, event, left, particles, owner)
                place, jet = (np.concatenate(x) for x in zip((place, jet), near, strict=True))
            order = np.argsort(jet, kind="stable")
            place, counts = place[order], np.bincount(jet, minlength=len(event))
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

    def _follow(self, first: int, last: int, owner: Ints, uid: Ints) -> tuple[Ints, Ints]:
        """Resolve the references: the place of each particle, and the jet that refers to it.

        Of events where two energy-flow objects bear the identifier of a reference none is.
        """
        none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        name = f"{self._jet}.Constituents"
        if name not in self._table.columns:
            self._say("does not hold the constituents of its jets")
            return none
        refs = self._table.awkward([name], first, last)[name]["refs"]
        flat_refs = ak.flatten(refs, axis=1)
        each = lengths(flat_refs)
        jet = np.repeat(np.arange(len(each)), each)
        event = np.repeat(np.arange(last - first), lengths(refs))[jet]
        # The upper bits of an identifier name the process that wrote it; references lack them. An
        # object of which nothing refers has none.
        bits = 24
        low = uid & ((1 << bits) - 1)
        named = np.flatnonzero(low)
        known = (owner[named] << bits) | low[named]
        wanted = (event << bits) | (flat(flat_refs).astype(np.int64) & ((1 << bits) - 1))
        order = np.argsort(known, kind="stable")
        known, named = known[order], named[order]
        begin, end = (np.searchsorted(known, wanted, side) for side in ("left", "right"))
        if (ambiguous := np.unique(event[end > begin + 1])).size:
            self._say(
                f"has energy-flow objects of one identifier in {len(ambiguous)} events, the first"
                f" {first + ambiguous[0]} (counted from 0)"
            )
        match = (end > begin) & ~np.isin(event, ambiguous)
        lost = np.setdiff1d(event, np.concatenate([event[match], ambiguous]))
        if lost.size:
            self._say(
                f"refers to no energy-flow objects as constituents in {len(lost)} events, the first"
                f" {first + lost[0]} (counted from 0)"
            )
        return named[begin[match]], jet[match]

    def _say(self, what: str) -> None:
        why = f"there all particles within {self.radius:g} of a jet's axis are taken for its own"
        warnings.warn(f"{self.path}: {what}; {why}", UserWarning, stacklevel=4)

    def _within(
        self,
        eta: NDArray[Any],
        phi: NDArray[Any],
        event: Ints,
        left: NDArray[np.bool_],
        particles: dict[str, NDArray[Any]],
        owner: Ints,
    ) -> tuple[Ints, Ints]:
        """Pair jets with the particles within the radius, in the events that are `left`."""
        order = np.argsort(owner, kind="stable")
        each = np.bincount(owner, minlength=len(left))
        size = np.where(left[event], each[event], 0)
        jet = np.repeat(np.arange(len(event)), size)
        step = np.arange(len(jet)) - np.repeat(starts(size), size)
        place = order[np.repeat(starts(each)[event], size) + step]
        deta = particles["eta"][place] - eta[jet]
        dphi = np.remainder(particles["phi"][place] - phi[jet] + np.pi, 2 * np.pi) - np.pi
        near = deta**2 + dphi**2 < self.radius**2
        return place[near], jet[near]


def flat(array: ak.Array) -> NDArray[Any]:
    """Return the numbers of all lists, one list after another."""
    return np.asarray(ak.to_numpy(ak.flatten(array, axis=1)))
