"""Each published result, reproduced: one file a study."""

from importlib import import_module
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError

__all__ = ["STUDIES", "reproduce"]

STUDIES = {
    "top-tagging": "colliderkit.studies.top_tagging",
    "quark-gluon": "colliderkit.studies.quark_gluon",
    "flavour-tagging": "colliderkit.studies.flavour_tagging",
    "w-tagging": "colliderkit.studies.w_tagging",
    "two-point-uncertainty": "colliderkit.studies.two_point_uncertainty",
    "inference-aware": "colliderkit.studies.inference_aware",
    "likelihood-ratio": "colliderkit.studies.likelihood_ratio",
    "reweighting": "colliderkit.studies.reweighting",
    "parameter-fit": "colliderkit.studies.parameter_fit",
    "learned-observables": "colliderkit.studies.learned_observables",
    "unfolding": "colliderkit.studies.unfolding",
    "calo-diffusion": "colliderkit.studies.calo_diffusion",
    "refinement": "colliderkit.studies.refinement",
    "calogan": "colliderkit.studies.calogan",
    "amplification": "colliderkit.studies.amplification",
    "gaussian-calibration": "colliderkit.studies.gaussian_calibration",
    "event-overlay": "colliderkit.studies.event_overlay",
    "calo-surrogate": "colliderkit.studies.calo_surrogate",
    "energy-regression": "colliderkit.studies.energy_regression",
    "jet-calibration": "colliderkit.studies.jet_calibration",
    "fast-calo-slices": "colliderkit.studies.fast_calo_slices",
}


def reproduce(name: str, *, scale: str, out: Path, **options: Any) -> Path:
    """Run the study `name` into the folder `out` and return the path of its report."""
    if name not in STUDIES:
        raise InputError(f"'{name}' is no study; choose from {', '.join(STUDIES)}.")
    report: Path = import_module(STUDIES[name]).run(scale=scale, out=Path(out), **options)
    return report
