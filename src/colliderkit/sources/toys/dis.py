"""Deep inelastic scattering e p -> e X at HERA, by formulas: a stand-in for a full simulation.

Kinematics, the radiation of the incoming electron and a smearing detector, without hadronisation:
what Rapgap or Djangoh and the simulation of H1 are to 2203.16722 and 2110.05505. +z is the
direction of the proton; energies in GeV, angles in rad. With E_e, E_p the beams, s = 4 E_e E_p and
a photon that takes the share f of the electron along its beam, unseen,

    x, Q^2: of the exchanged boson,   y = Q^2 / (x s (1 - f)),
    Sigma_h = 2 E_e (1 - f) y,   Sigma_e = 2 E_e (1 - f) (1 - y),   pT^2 = Q^2 (1 - y),

Sigma = E - pz, of the electron and of the hadrons, whose pT is the same. E - pz of the event,
2 E_e (1 - f), tells of the photon.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = ["COLUMNS", "METHODS", "QUANTITIES", "DisEvents", "DisModel", "dis_events"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ELECTRON_BEAM, PROTON_BEAM = 27.6, 920.0
S = 4 * ELECTRON_BEAM * PROTON_BEAM
ELECTRON_MASS, ALPHA = 0.511e-3, 1 / 137.036
QUANTITIES = ("Q2", "y", "x")
# What a network sees: logarithms, in which each classical method is nearly linear.
COLUMNS = ("ln E", "ln tan theta/2", "ln pT_h", "ln Sigma_h", "E-pz", "balance")
METHODS = ("electron", "sigma", "e-sigma", "double angle")
# Resolution sigma(E) / E = a / sqrt(E) (+) b, E in GeV: LAr calorimeter of H1 (NIM A 386, 310).
ELECTRON_ENERGY, HADRON_ENERGY = (0.11, 0.01), (0.50, 0.02)
ELECTRON_ANGLE = 0.002


@dataclass(frozen=True)
class DisModel:
    """True parameters: the density of events in x, Q^2, QED radiation and the hadronic response.

        d sigma / dx dQ^2 ~ (1 + (1 - y)^2) / (x Q^4) (Q^2 / 500)^rise x^-small (1 - x)^large

    above `lowest` Q^2 [GeV^2] and within `inelasticity`. The photon's share is drawn from
    beta f^(beta - 1) (1 - f + f^2 / 2), beta = 2 alpha / pi (ln(Q^2 / m^2) - 1) at 500 GeV^2,
    the leading logarithm with soft photons summed; `radiation` multiplies beta.
    `loss` is the mean share of hadronic pT lost in the beam pipe at a forward jet.
    """

    rise: float = 0.0
    small: float = 0.2
    large: float = 3.0
    radiation: float = 1.0
    loss: float = 0.08
    lowest: float = 100.0
    inelasticity: tuple[float, float] = (0.01, 0.95)

    def __post_init__(self) -> None:
        low, high = self.inelasticity
        if not 0 < low < high < 1 or not 0 < self.lowest < S or self.radiation < 0:
            raise InputError(
                f"inelasticity {self.inelasticity}, lowest Q2 {self.lowest:g} and radiation"
                f" {self.radiation:g} are no phase space; give 0 < y < 1, 0 < Q2 < {S:.0f} and a"
                " radiation of at least 0."
            )


@dataclass(frozen=True)
class DisEvents:
    """N events: the truth, what is measured, and which pass.

    - `Q2` [GeV^2], `y`, `x`, `photon` (N,): the truth;
    - `energy`, `theta` (N,): of the electron seen; `hadron_pt`, `hadron_sigma` (N,);
    - `pass_reco` (N,): E' > 11 GeV, 45 < E - pz < 65 GeV and Sigma_h > 0, as in the analyses of
      H1 at high Q^2.
    """

    Q2: Floats
    y: Floats
    x: Floats
    photon: Floats
    energy: Floats
    theta: Floats
    hadron_pt: Floats
    hadron_sigma: Floats

    @property
    def sigma(self) -> Floats:
        """E - pz of the electron seen [GeV]."""
        return self.energy * (1 - np.cos(self.theta))

    @property
    def pass_reco(self) -> Bools:
        """Whether the detector keeps the event (N,)."""
        total = self.sigma + self.hadron_sigma
        return (self.energy > 11) & (total > 45) & (total < 65) & (self.hadron_sigma > 0.1)

    def reconstructed(self, method: str) -> dict[str, Floats]:
        """Return Q2, y and x by one of `METHODS` (Bassler, Bernardi, NIM A 361 (1995) 197).

        electron: y = 1 - Sigma_e / 2 E_e, Q^2 = 2 E_e E' (1 + cos theta);
        sigma: y = Sigma_h / (Sigma_h + Sigma_e), Q^2 = pT_e^2 / (1 - y), right with a photon,
        and x = Q^2 / (2 E_p Sigma_h), right with one as well;
        e-sigma: Q^2 of the electron, x of the sigma method with s, y = Q^2 / (x s);
        double angle: y = t_h / (t_h + t_e), Q^2 = 4 E_e^2 / (t_e (t_h + t_e)), t = tan(angle / 2),
        t_h = Sigma_h / pT_h. But for sigma's, x = Q^2 / (y s).
        """
        if method not in METHODS:
            raise InputError(f"method '{method}' is none of {', '.join(METHODS)}.")
        beam = 2 * ELECTRON_BEAM
        total = self.hadron_sigma + self.sigma
        pt2 = (self.energy * np.sin(self.theta)) ** 2
        q2_electron = beam * self.energy * (1 + np.cos(self.theta))
        y_sigma = self.hadron_sigma / total
        q2_sigma = pt2 / (1 - y_sigma)
        if method == "electron":
            q2, y = q2_electron, 1 - self.sigma / beam
        elif method == "sigma":
            return {
                "Q2": q2_sigma,
                "y": y_sigma,
                "x": q2_sigma / (2 * PROTON_BEAM * self.hadron_sigma),
            }
        elif method == "e-sigma":
            q2 = q2_electron
            x = q2_sigma / (S * y_sigma)
            return {"Q2": q2, "y": q2 / (x * S), "x": x}
        else:
            t_h, t_e = self.hadron_sigma / self.hadron_pt, np.tan(self.theta / 2)
            y = t_h / (t_h + t_e)
            q2 = beam**2 / (t_e * (t_h + t_e))
        return {"Q2": q2, "y": y, "x": q2 / (np.where(y > 0, y, np.nan) * S)}

    def table(self) -> Floats:
        """Return what is seen as the table (N, 6) of `COLUMNS`.

        "E-pz" is ln of that of the event over 2 E_e, "balance" ln of pT_h over pT_e.
        """
        pt = np.maximum(self.energy * np.sin(self.theta), 1e-3)
        hadrons = np.maximum(self.hadron_sigma, 1e-3)
        return np.column_stack(
            [
                np.log(self.energy),
                np.log(np.tan(self.theta / 2)),
                np.log(self.hadron_pt),
                np.log(hadrons),
                np.log((hadrons + self.sigma) / (2 * ELECTRON_BEAM)),
                np.log(self.hadron_pt / pt),
            ]
        )

    def at(self, chosen: NDArray[np.integer] | Bools) -> "DisEvents":
        """Return the chosen events."""
        return replace(self, **{name: getattr(self, name)[chosen] for name in vars(self)})


def dis_events(
    count: int, model: DisModel = DisModel(), *, seed: int | list[int] = 0, detector: bool = True
) -> DisEvents:
    """Draw `count` events of `model`; without `detector` what is seen is exact.

    Of the detector: the electron's energy (11% / sqrt(E) (+) 1%) and angle (2 mrad); the energy
    of the hadrons (50% / sqrt(E) (+) 2%), which moves pT and Sigma together; an exponential loss
    of pT at forward jets; 0.7 GeV of noise on pT in each direction and an exponential of mean
    0.3 GeV on Sigma, which spoils low y.
    """
    if count < 1:
        raise InputError(f"{count} events are none; give at least one.")
    random = np.random.default_rng(seed)
    parts = []
    wanted = count
    while wanted > 0:
        drawn = _truth(max(4 * wanted, 1000), model, random)
        parts.append(drawn[:, :wanted])
        wanted -= parts[-1].shape[1]
    q2, x, photon = np.concatenate(parts, 1)
    y = q2 / (x * S * (1 - photon))
    beam = 2 * ELECTRON_BEAM * (1 - photon)
    pt = np.sqrt(q2 * (1 - y))
    sigma_e, sigma_h = beam * (1 - y), beam * y
    energy, theta = (pt**2 + sigma_e**2) / (2 * sigma_e), 2 * np.arctan2(sigma_e, pt)
    hadron_pt = pt
    if detector:
        hadrons = (pt**2 + sigma_h**2) / (2 * sigma_h)
        energy = energy * _smear(energy, ELECTRON_ENERGY, random)
        theta = np.clip(theta + random.normal(0, ELECTRON_ANGLE, count), 1e-3, np.pi - 1e-3)
        scale = _smear(hadrons, HADRON_ENERGY, random)
        # Forward is a jet of a large pT over Sigma: cot(angle / 2).
        forward = 1 - sigma_h / np.hypot(pt, sigma_h)
        kept = np.exp(-random.exponential(1.0, count) * model.loss * forward)
        px = pt * scale * kept + random.normal(0, 0.7, count)
        hadron_pt = np.hypot(px, random.normal(0, 0.7, count))
        sigma_h = sigma_h * scale + random.exponential(0.3, count)
    return DisEvents(q2, y, x, photon, energy, theta, hadron_pt, sigma_h)


def _smear(energy: Floats, resolution: tuple[float, float], random: np.random.Generator) -> Floats:
    width = np.sqrt(resolution[0] ** 2 / energy + resolution[1] ** 2)
    return np.maximum(1 + width * random.standard_normal(len(energy)), 0.05)


def _truth(trials: int, model: DisModel, random: np.random.Generator) -> Floats:
    """Return Q^2, x and the photon's share of the trials that are accepted, (3, n).

    Drawn are f from beta f^(beta - 1), Q^2 from Q^-4 up to the kinematic limit and ln y evenly;
    what is left of the density, d x = x d ln y, is accepted by its share of a bound.
    """
    low, high = model.inelasticity
    q2 = 1 / (1 / model.lowest - random.random(trials) * (1 / model.lowest - 1 / S))
    y = low * (high / low) ** random.random(trials)
    beta = model.radiation * 2 * ALPHA / np.pi * (np.log(500 / ELECTRON_MASS**2) - 1)
    photon = random.random(trials) ** (1 / beta) if beta > 0 else np.zeros(trials)
    x = q2 / (y * S * np.maximum(1 - photon, 1e-12))
    inside = x < 1
    q2, y, photon, x = q2[inside], y[inside], photon[inside], x[inside]
    weight = (1 + (1 - y) ** 2) / 2 * (1 - photon + photon**2 / 2)
    weight *= (q2 / S) ** model.rise * (x / (model.lowest / S)) ** -model.small
    weight *= (1 - x) ** model.large
    # Each factor is at most 1 for the ranges of a rise >= 0; a negative one is largest at the low
    # end of Q^2, a negative `small` at x = 1.
    bound = max(1.0, (model.lowest / S) ** model.rise) * max(
        1.0, (S / model.lowest) ** -model.small
    )
    accepted = random.random(len(weight)) < weight / bound
    return np.stack([q2, x, photon])[:, accepted]
