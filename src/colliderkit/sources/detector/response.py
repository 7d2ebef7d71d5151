"""A fast detector in the manner of Delphes: tracks, calorimeter towers, energy flow."""

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = [
    "Calorimeter",
    "Detector",
    "HadronResponse",
    "impact_parameters",
    "track_parameters",
]

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

# Rows of every table below: central, middle and forward tracks.
TRACK_ETA = (0.5, 1.5, 2.5)
# Relative momentum resolution a (+) b pt, pt in GeV (arXiv:1405.6569, as in the CMS card).
RESOLUTION = {
    "hadron": ((0.010, 1.5e-4), (0.015, 2.5e-4), (0.025, 5.5e-4)),
    "electron": ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)),
    "muon": ((0.010, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)),
}
# Tracking efficiency for pt from 0.1, from 1 and from 100 GeV, |eta| below 1.5 and below 2.5.
EFFICIENCY = {
    "hadron": ((0.70, 0.95, 0.95), (0.60, 0.85, 0.85)),
    "electron": ((0.73, 0.95, 0.99), (0.50, 0.83, 0.90)),
    "muon": ((0.75, 0.99, 0.99), (0.70, 0.98, 0.98)),
}
KINDS = {11: "electron", 13: "muon"}
LONG_NEUTRAL = (310, 3122)  # K_S and Lambda: 30% of their energy in the ECAL, 70% in the HCAL


@dataclass(frozen=True)
class Calorimeter:
    """Tower grid and energy resolution of one calorimeter.

    A tower is taken for real above `threshold` [GeV] and `significance` times its resolution.
    `eta_edges` are those of |eta|; `phi_cells` the number of towers around, for each.
    """

    name: str
    eta_edges: tuple[float, ...]
    phi_cells: tuple[int, ...]
    threshold: float
    significance: float = 2.0

    def resolution(self, energy: Floats, eta: Floats) -> Floats:
        """Return sigma(E) [GeV] = f(eta) sqrt(C^2 E^2 + S^2 E + N^2), E in GeV.

        ECAL: C = 0.008, S = 0.11, N = 0.40; f = 1 + 0.64 eta^2 below 1.5,
        2.16 + 5.6 (|eta| - 2)^2 below 2.5; from there C = 0.107, S = 2.08
        (arXiv:1306.2016, 1502.02701). HCAL: C = 0.05, S = 1.5 below 3, then 0.13 and 2.7.
        """
        size = np.abs(eta)
        if self.name == "ECAL":
            factor = np.where(size <= 1.5, 1 + 0.64 * size**2, 2.16 + 5.6 * (size - 2) ** 2)
            inner = factor * np.sqrt((0.008 * energy) ** 2 + 0.11**2 * energy + 0.40**2)
            outer = np.sqrt((0.107 * energy) ** 2 + 2.08**2 * energy)
            return np.where(size <= 2.5, inner, outer)
        inner = np.sqrt((0.05 * energy) ** 2 + 1.5**2 * energy)
        outer = np.sqrt((0.13 * energy) ** 2 + 2.7**2 * energy)
        return np.where(size <= 3.0, inner, outer)


def even(start: float, stop: float, cells: int) -> tuple[float, ...]:
    return tuple(np.linspace(start, stop, cells, endpoint=False).tolist())


ECAL = Calorimeter(
    "ECAL",
    # 0.0174 x 1 degree up to 2.958, then the forward calorimeter.
    (*even(0.0, 2.958, 170), *even(2.958, 4.7, 10), 4.7, 5.0),
    (*[360] * 170, *[36] * 11),
    threshold=0.5,
)
HCAL = Calorimeter(
    "HCAL",
    (
        *even(0.0, 1.653, 19),
        *(1.653, 1.74, 1.83, 1.93, 2.043, 2.172, 2.322, 2.5, 2.65, 2.868),
        *even(2.95, 4.525, 9),
        *(4.525, 4.7, 5.0),
    ),
    (*[72] * 19, *[36] * 19, *[18] * 2),
    threshold=1.0,
)


@dataclass(frozen=True)
class HadronResponse:
    """Hadronic response (e/h): the energy of a hadron in a calorimeter calibrated for electrons.

    Of a hadron of the energy E [GeV] the share f = 1 - (E / E0)^(k - 1) ends in electromagnetic
    showers (none below E0) and is seen in full, the rest as `ratio` of it:

        response = f + (1 - f) h/e,    E0 = 1 GeV for mesons, 2.6 GeV for baryons

    (physics/0605164). With the defaults a pion of 5 GeV shows 63%, one of 300 GeV 82%, a
    calorimeter that is far from compensating. Single hadrons do not fluctuate beyond the
    calorimeter's resolution.
    """

    ratio: float = 0.5
    power: float = 0.82

    def __call__(self, energy: Floats, pid: NDArray[Any]) -> Floats:
        """Return the response (N,) of hadrons of energies [GeV] and PDG codes (N,)."""
        scale = np.where(np.abs(pid) > 1000, 2.6, 1.0)
        hadronic = np.maximum(energy / scale, 1.0) ** (self.power - 1)
        return 1 - (1 - self.ratio) * hadronic


@dataclass(frozen=True)
class Detector:
    """Reconstruct particles as a general-purpose detector's energy flow would.

    The numbers are those of the public CMS card of Delphes 3 (arXiv:1307.6346):

    1. charged particles bend in `field` [T] until they leave a cylinder of `radius` and
       `half_length` [m]; they are taken to start at the beams' crossing;
    2. within |eta| < 2.5 they become tracks with the efficiencies `EFFICIENCY` and the momentum
       resolutions `RESOLUTION` (log-normal, so that no momentum turns negative);
    3. electrons and photons leave their energy in the ECAL, hadrons in the HCAL, K_S and
       Lambda 30% and 70%, muons none; each tower's sum is smeared (log-normal);
    4. energy flow: all tracks, and in each tower what its energy exceeds that of its tracks by,
       as a photon (ECAL) or a neutral hadron (HCAL) at a random place in the tower, if above
       the threshold and twice the resolution (that of the tower (+) that of its tracks).

    Not done: interactions in the material, deflection of a neutral's direction by its vertex,
    noise in empty towers, rescaling of tracks to the tower where that is the more precise,
    isolation and identification efficiencies.

    `hadron_response` is what the HCAL shows of a hadron; without one, all of it.
    """

    field: float = 3.8
    radius: float = 1.29
    half_length: float = 3.0
    ecal: Calorimeter = ECAL
    hcal: Calorimeter = HCAL
    hadron_response: HadronResponse | None = None

    def reconstruct(self, particles: ak.Array, random: np.random.Generator | int = 0) -> ak.Array:
        """Return what the detector sees of each event.

        `particles`: ``var * {px, py, pz, E, pid, charge}`` [GeV], with ``x, y, z`` [mm] where
        known. Returns ``var * {px, py, pz, E, pid, charge, d0, z0, d0_error, z0_error}``, the
        tracks before the photons (pid 22) before the neutral hadrons (pid 130); a track keeps
        its particle's pid, and the impact parameters of neutrals are 0. Where particles have a
        column ``collision``, tracks keep it, towers have -1, and ``truth`` is the share of
        collision 0 in each: of a tower, in the energy of the particles without a track. A column
        ``time`` tracks keep as well, and a tower has the mean of these particles by energy.
        Raises `InputError` for a missing column.
        """
        for name in ("px", "py", "pz", "E", "pid", "charge"):
            if name not in particles.fields:
                raise InputError(f"particles have no column '{name}'; the detector needs it.")
        random = np.random.default_rng(random)
        counts = np.asarray(ak.num(particles))
        columns = {name: np.asarray(ak.flatten(particles[name])) for name in particles.fields}
        columns["event"] = np.repeat(np.arange(len(counts)), counts)
        labelled = "collision" in columns
        pt = np.hypot(columns["px"], columns["py"])
        eta = np.arcsinh(columns["pz"] / np.maximum(pt, 1e-9))
        charged = columns["charge"] != 0
        tracked = charged & (random.random(len(pt)) < efficiency(pt, eta, columns["pid"]))
        tracks = self.tracks({name: column[tracked] for name, column in columns.items()}, random)
        face_eta, face_phi = self.face(columns, pt, eta)
        objects = [tracks]
        for calorimeter in (self.ecal, self.hcal):
            share = energy_share(columns["pid"], calorimeter.name)
            hit = (share > 0) & (np.abs(face_eta) < calorimeter.eta_edges[-1])
            energy = columns["E"] * share
            if self.hadron_response and calorimeter.name == "HCAL":
                energy = energy * self.hadron_response(columns["E"], columns["pid"])
            excess = self.excess(
                calorimeter,
                {
                    "event": columns["event"][hit],
                    "energy": energy[hit],
                    **({"truth": columns["collision"][hit] == 0} if labelled else {}),
                    **({"time": columns["time"][hit]} if "time" in columns else {}),
                },
                (face_eta[hit], face_phi[hit]),
                tracked[hit],
                (tracks["E"] * share[tracked])[hit[tracked]],
                tracks["error"][hit[tracked]],
                random,
            )
            objects.append(excess)
        return merged(objects, len(counts))

    def tracks(self, particles: Columns, random: np.random.Generator) -> Columns:
        """Smear the momenta and impact parameters of the tracked particles."""
        pt = np.hypot(particles["px"], particles["py"])
        eta = np.arcsinh(particles["pz"] / pt)
        relative = momentum_resolution(pt, eta, particles["pid"])
        scale = log_normal(np.ones_like(pt), relative, random)
        mass2 = np.maximum(particles["E"] ** 2 - (pt * np.cosh(eta)) ** 2, 0.0)
        smeared = {name: particles[name] * scale for name in ("px", "py", "pz")}
        smeared["E"] = np.sqrt(mass2 + (pt * scale * np.cosh(eta)) ** 2)
        # The energy resolution that energy flow expects of the track.
        smeared["error"] = relative * smeared["E"]
        identity = {name: particles[name] for name in ("pid", "charge", "event")}
        if "collision" in particles:
            identity["collision"] = particles["collision"]
            identity["truth"] = (particles["collision"] == 0).astype(np.float64)
        if "time" in particles:
            identity["time"] = particles["time"]
        return {**smeared, **identity, **measured(particles, random)}

    def face(self, particles: Columns, pt: Floats, eta: Floats) -> tuple[Floats, Floats]:
        """Return eta and phi of the place where each particle meets the calorimeters.

        A helix of radius R = pt / (0.3 q B) has turned by the angle a when it is at distance
        2 R sin(a/2) from the beams and at R a sinh(eta) along them.
        """
        phi = np.arctan2(particles["py"], particles["px"])
        charge = particles["charge"].astype(np.float64)
        bent = (charge != 0) & (self.field > 0)
        bend = np.where(bent, pt / (0.3 * np.abs(np.where(bent, charge, 1)) * (self.field or 1)), 1)
        slope = np.maximum(np.abs(np.sinh(eta)), 1e-9)
        half = self.radius / (2 * np.maximum(bend, 1e-9))
        barrel = np.where(half < 1, 2 * np.arcsin(np.minimum(half, 1)), np.inf)
        turned = np.minimum(barrel, self.half_length / (np.maximum(bend, 1e-9) * slope))
        across = 2 * bend * np.sin(turned / 2)
        direction = phi - np.sign(charge) * turned / 2
        x, y = across * np.cos(direction), across * np.sin(direction)
        along = bend * turned * np.sinh(eta)
        place_eta = np.arcsinh(along / np.maximum(np.hypot(x, y), 1e-9))
        return np.where(bent, place_eta, eta), np.where(bent, np.arctan2(y, x), phi)

    def excess(
        self,
        calorimeter: Calorimeter,
        hits: Columns,
        place: tuple[Floats, Floats],
        tracked: NDArray[np.bool_],
        track_energy: Floats,
        track_error: Floats,
        random: np.random.Generator,
    ) -> Columns:
        """Return the neutral excess of each tower over its tracks, as particles.

        hits: event and energy of the particles that reach the calorimeter, at `place` (eta,
        phi); `tracked` marks those with a track, of `track_energy` and `track_error`.
        """
        edges = np.array(calorimeter.eta_edges)
        cells = np.array(calorimeter.phi_cells)
        eta, phi = place
        ring = np.clip(np.searchsorted(edges, np.abs(eta), side="right") - 1, 0, len(cells) - 1)
        around = ((phi + np.pi) / (2 * np.pi) * cells[ring]).astype(np.int64) % cells[ring]
        side = 2 * ring + (eta < 0)
        key = (hits["event"] * 2 * len(cells) + side) * 512 + around
        towers, tower = np.unique(key, return_inverse=True)
        ring, around = (towers // 512) % (2 * len(cells)) // 2, towers % 512
        backward = (towers // 512) % 2 == 1
        centre = (edges[ring] + edges[ring + 1]) / 2
        truth = np.bincount(tower, hits["energy"], minlength=len(towers)).astype(np.float64)
        energy = log_normal(truth, calorimeter.resolution(truth, centre), random)
        error = calorimeter.resolution(energy, centre)
        real = (energy > calorimeter.threshold) & (energy > calorimeter.significance * error)
        energy = np.where(real, energy, 0.0)
        of_tracks = np.bincount(tower[tracked], track_energy, minlength=len(towers))
        variance = np.bincount(tower[tracked], track_error**2, minlength=len(towers))
        neutral = energy - of_tracks
        certain = neutral > calorimeter.significance * np.sqrt(error**2 + variance)
        found = certain & (neutral > calorimeter.threshold)
        ring, around, backward = ring[found], around[found], backward[found]
        eta = edges[ring] + (edges[ring + 1] - edges[ring]) * random.random(len(ring))
        eta = np.where(backward, -eta, eta)
        phi = (around + random.random(len(ring))) / cells[ring] * 2 * np.pi - np.pi
        energy = neutral[found]
        pt = energy / np.cosh(eta)
        nothing = np.zeros(len(energy))
        label: Columns = {}
        for name in ("truth", "time"):
            if name in hits:
                mean = mean_of(tower, hits["energy"], hits[name], tracked, len(towers))
                label[name] = mean[found]
        if "truth" in label:
            label |= {"collision": np.full(len(energy), -1), "truth": label["truth"].clip(0, 1)}
        return {
            **label,
            "px": pt * np.cos(phi),
            "py": pt * np.sin(phi),
            "pz": pt * np.sinh(eta),
            "E": energy,
            "pid": np.full(len(energy), 22 if calorimeter.name == "ECAL" else 130),
            "charge": nothing,
            "event": towers[found] // 512 // (2 * len(cells)),
            **dict.fromkeys(("d0", "z0", "d0_error", "z0_error"), nothing),
        }


def mean_of(
    tower: NDArray[np.int64],
    energy: Floats,
    value: NDArray[Any],
    tracked: NDArray[np.bool_],
    count: int,
) -> Floats:
    """Return the mean by energy of a `value` of the particles without tracks in towers, (count,).

    Where all have tracks, what exceeds them is a fluctuation: the mean is then that of all.
    """

    def means(weight: Floats) -> tuple[Floats, Floats]:
        total = np.bincount(tower, weight, minlength=count).astype(np.float64)
        part = np.bincount(tower, weight * value, minlength=count)
        return total, part / np.maximum(total, 1e-300)

    free, of_free = means(energy * ~tracked)
    return np.where(free > 0, of_free, means(energy)[1])


def efficiency(pt: Floats, eta: Floats, pid: NDArray[Any]) -> Floats:
    """Return the probability that a charged particle leaves a track (see `EFFICIENCY`)."""
    step = np.searchsorted([1.0, 100.0], pt, side="left")
    forward = (np.abs(eta) > 1.5).astype(np.int64)
    found = by_kind({kind: np.array(table) for kind, table in EFFICIENCY.items()}, pid)
    value = found[np.arange(len(pt)), forward, step]
    return np.where((pt > 0.1) & (np.abs(eta) <= TRACK_ETA[-1]), value, 0.0)


def momentum_resolution(pt: Floats, eta: Floats, pid: NDArray[Any]) -> Floats:
    """Return sigma(pt)/pt = a (+) b pt of tracks, pt in GeV (see `RESOLUTION`)."""
    region = np.minimum(np.searchsorted(TRACK_ETA, np.abs(eta), side="left"), 2)
    table = by_kind({kind: np.array(rows) for kind, rows in RESOLUTION.items()}, pid)
    a, b = table[np.arange(len(pt)), region].T
    return np.hypot(a, b * pt)


def by_kind(tables: dict[str, Floats], pid: NDArray[Any]) -> Floats:
    """Return for each particle the table of its kind."""
    kinds = list(tables)
    index = np.full(len(pid), kinds.index("hadron"))
    for code, kind in KINDS.items():
        index[np.abs(pid) == code] = kinds.index(kind)
    return np.stack(list(tables.values()))[index]


def energy_share(pid: NDArray[Any], calorimeter: str) -> Floats:
    """Return the part of a particle's energy that the ECAL or HCAL sees."""
    size = np.abs(pid)
    ecal = np.where(np.isin(size, (11, 22, 111)), 1.0, np.isin(size, LONG_NEUTRAL) * 0.3)
    return ecal if calorimeter == "ECAL" else np.where(size == 13, 0.0, 1.0 - ecal)


def log_normal(mean: Floats, sigma: Floats, random: np.random.Generator) -> Floats:
    """Draw from the log-normal distribution of this mean and standard deviation."""
    width2 = np.log1p((sigma / np.maximum(mean, 1e-12)) ** 2)
    return mean * np.exp(np.sqrt(width2) * random.standard_normal(len(mean)) - width2 / 2)


def impact_parameters(particles: Columns) -> tuple[Floats, Floats]:
    """Return d0 = (x py - y px) / pt and z0 = z - (x px + y py) pz / pt^2 [mm].

    The tracks are taken as straight between production and closest approach to the beams: over
    a flight of L the bending is L^2 / 2R, 15 um for 10 mm at 4 GeV.
    """
    pt = np.maximum(np.hypot(particles["px"], particles["py"]), 1e-9)
    d0 = (particles["x"] * particles["py"] - particles["y"] * particles["px"]) / pt
    z0 = (
        particles["z"]
        - (particles["x"] * particles["px"] + particles["y"] * particles["py"])
        * particles["pz"]
        / pt**2
    )
    return d0, z0


def impact_errors(pt: Floats, eta: Floats) -> tuple[Floats, Floats]:
    """Return the resolutions of d0 and z0 [mm], pt in GeV.

    d0: 10 um (+) 90 um / (pt sqrt(sin theta)); z0: 30 um (+) 90 um / (pt sin(theta)^(3/2)):
    the first term is the hits', the second multiple scattering's; sizes as measured by CMS
    (arXiv:1405.6569).
    """
    sine = 1 / np.cosh(eta)
    pt = np.maximum(pt, 1e-9)
    return np.hypot(0.010, 0.090 / (pt * np.sqrt(sine))), np.hypot(0.030, 0.090 / (pt * sine**1.5))


def measured(particles: Columns, random: np.random.Generator) -> Columns:
    """Return d0, z0 and their errors for tracks, smeared; zero vertices where none are given."""
    pt = np.hypot(particles["px"], particles["py"])
    vertex = {name: particles.get(name, np.zeros(len(pt))) for name in ("x", "y", "z")}
    d0, z0 = impact_parameters({**particles, **vertex})
    d0_error, z0_error = impact_errors(pt, np.arcsinh(particles["pz"] / np.maximum(pt, 1e-9)))
    d0 = d0 + d0_error * random.standard_normal(len(pt))
    z0 = z0 + z0_error * random.standard_normal(len(pt))
    return {"d0": d0, "z0": z0, "d0_error": d0_error, "z0_error": z0_error}


def track_parameters(particles: ak.Array, random: np.random.Generator | int = 0) -> ak.Array:
    """Add measured d0, z0, d0_error, z0_error [mm] to particles whose momenta stay exact.

    `particles`: ``var * {px, py, pz, charge, x, y, z, ...}`` [GeV, mm]. Those of neutrals are 0.
    """
    counts = np.asarray(ak.num(particles))
    columns = {name: np.asarray(ak.flatten(particles[name])) for name in particles.fields}
    added = measured(columns, np.random.default_rng(random))
    charged = columns["charge"] != 0
    for name, column in added.items():
        columns[name] = np.where(charged, column, 0.0)
    return ak.unflatten(ak.zip(columns), counts)


def merged(parts: list[Columns], events: int) -> ak.Array:
    """Gather columns with an ``event`` into one list of particles an event."""
    event = np.concatenate([part["event"] for part in parts])
    order = np.argsort(event, kind="stable")
    names = ["px", "py", "pz", "E", "pid", "charge", "d0", "z0", "d0_error", "z0_error"]
    names += [name for name in ("collision", "truth", "time") if name in parts[0]]
    columns = {name: np.concatenate([part[name] for part in parts])[order] for name in names}
    columns["pid"] = columns["pid"].astype(np.int32)
    columns["charge"] = columns["charge"].astype(np.int8)
    return ak.unflatten(ak.zip(columns), np.bincount(event, minlength=events))
