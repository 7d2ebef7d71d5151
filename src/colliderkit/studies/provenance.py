"""Where the events of each study are from: the small line on its figures.

It follows from the definitions of the samples (`sources.pythia.processes.PROCESSES`) and, of
showers, from the physics that Geant4 has here.
"""

import math

from colliderkit.errors import InputError
from colliderkit.sources.pythia.processes import PROCESSES

__all__ = ["of_process", "source_of"]

PARTICLES, DETECTOR = "particle level", "fast detector"
JETS = {
    "top-tagging": ("top", PARTICLES),
    "quark-gluon": ("quark", PARTICLES),
    "flavour-tagging": ("b", PARTICLES),
    "non-resonant": ("w", PARTICLES),
    "pivot": ("w", PARTICLES),
    "quark-gluon-without-labels": ("z-mixed", PARTICLES),
    "training-on-data": ("z-mixed", PARTICLES),
    "autoencoders": ("top", PARTICLES),
    "latent-structure": ("top", PARTICLES),
    "cwola-hunting": ("lhco-qcd", DETECTOR),
    "lhc-olympics": ("lhco-qcd", DETECTOR),
    "dijet-calibration": ("dijet-qcd", DETECTOR),
    "w-tagging": ("w", PARTICLES),
    "jet-calibration": ("dijets", DETECTOR),
    "jet-observables": ("z-jets", f"particle level and {DETECTOR}"),
    "unfolding": ("z-jets", f"particle level and {DETECTOR}"),
    "refinement": ("z-jets", f"two {DETECTOR}s"),
    "parameter-fit": ("ee-dijets", PARTICLES),
    "reweighting": ("ee-dijets", PARTICLES),
    "pileup": ("pileup-qcd", PARTICLES),
    "vertexing": ("pileup-qcd", PARTICLES),
    "secondary-vertices": ("b", PARTICLES),
    "tau-identification": ("tau", DETECTOR),
}
TOY = "Toy of known density"  # in place of the events of a study of `JETS`
SHOWERS = {
    "calo-diffusion": "voxels of the CaloChallenge",
    "calo-surrogate": "photons, 368 voxels",
    "calogan": "calorimeter of CaloGAN",
    "detector-optimisation": "lead and scintillator, and a toy",
    "energy-regression": "lead and liquid argon",
    "event-overlay": "Pythia 8 jets, photons in lead and liquid argon",
    "fast-calo-slices": "photons",
}
# Of these there are hadrons among the particles.
HADRON_SHOWERS = {
    "particle-identification": "tungsten and silicon",
    "raw-data": "lead, iron and liquid argon",
    "pi-plus-pi-zero": "lead, iron and liquid argon",
    "particle-flow": "Pythia 8 jets in lead, iron and liquid argon",
    "clustering": "overlapping showers in tungsten and silicon",
}
TOYS = {
    "amplification": TOY,
    "data-quality": "Made monitors of a calorimeter",
    "gaussian-calibration": "Toy of known answer",
    "inference-aware": "Toy of known likelihood",
    "inference-service": "Toy jets and parametrised showers",
    "learned-observables": "Toys of known answer",
    "likelihood-ratio": "Toys of known ratio",
    "fractions-and-efficiencies": "Toy of known answer",
    "network-congestion": "Model of a small WLCG",
    "semi-supervised": "Toy of known answer, and Pythia 8 dijets through a fast detector",
    "beam-tuning": "Simulated ARES-EA",
    "prescale-control": "Simulated fills",
    "trigger-menu": "Toy of a stream",
    "trigger-records": "Toy of a stream",
    "tracking": "ACTS Fatras, pions in the TrackML detector",
    "trigger-stream": "Toy of a stream",
    "event-objects": "Pythia 8, pp √s = 13.6 TeV, towers of a fast detector",
    "trigger-tagging": "Pythia 8, pp √s = 13.6 TeV, towers of a fast detector, hits of ACTS Fatras",
    "data-popularity": "Toy of accesses",
    "two-point-uncertainty": "Toy of known answer",
    "weak-supervision": "Toy of known answer",
}


def source_of(study: str, *, toy: bool = False) -> str:
    """Return where the events of a study are from, of a `toy` in their place; "" if not known."""
    if toy:
        return TOY
    if study in JETS:
        return of_process(*JETS[study])
    if study in SHOWERS or study in HADRON_SHOWERS:
        from colliderkit.sources.geant4.physics import physics_name

        try:
            physics = physics_name("pi+" if study in HADRON_SHOWERS else "e-")
        except InputError:  # showers that were simulated elsewhere
            physics = "Geant4"
        return f"{physics}, {(SHOWERS | HADRON_SHOWERS)[study]}"
    return TOYS.get(study, "")


def of_process(name: str, level: str = PARTICLES) -> str:
    """Return generator, level, collision, jets and cuts of a process of Pythia."""
    process = PROCESSES[name]
    beams = r"$e^+e^-$" if process.beams == (11, -11) else "pp"
    energy = process.energy
    root = f"{energy / 1e3:g} TeV" if energy >= 1e3 else f"{energy:g} GeV"
    parts = ["Pythia 8", level, f"{beams} √s = {root}"]
    if process.radius is not None:
        parts.append(rf"anti-$k_T$ R = {process.radius:g}")
    low, high = process.pt
    if math.isfinite(high):
        parts.append(rf"{low:g} < $p_T$ < {high:g} GeV")
    elif low > 0:
        parts.append(rf"$p_T$ > {low:g} GeV")
    return ", ".join(parts)
