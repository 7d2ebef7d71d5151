"""Each published result, reproduced: one file a study."""

from pathlib import Path
from typing import Any

from colliderkit.names import Registry

__all__ = ["STUDIES", "reproduce"]

STUDIES = Registry(
    "study",
    {
        "top-tagging": "colliderkit.studies.top_tagging:STUDY",
        "quark-gluon": "colliderkit.studies.quark_gluon:STUDY",
        "flavour-tagging": "colliderkit.studies.flavour_tagging:STUDY",
        "w-tagging": "colliderkit.studies.w_tagging:STUDY",
        "pivot": "colliderkit.studies.pivot:STUDY",
        "two-point-uncertainty": "colliderkit.studies.two_point_uncertainty:STUDY",
        "inference-aware": "colliderkit.studies.inference_aware:STUDY",
        "likelihood-ratio": "colliderkit.studies.likelihood_ratio:STUDY",
        "reweighting": "colliderkit.studies.reweighting:STUDY",
        "parameter-fit": "colliderkit.studies.parameter_fit:STUDY",
        "learned-observables": "colliderkit.studies.learned_observables:STUDY",
        "jet-observables": "colliderkit.studies.jet_observables:STUDY",
        "unfolding": "colliderkit.studies.unfolding:STUDY",
        "calo-diffusion": "colliderkit.studies.calo_diffusion:STUDY",
        "refinement": "colliderkit.studies.refinement:STUDY",
        "calogan": "colliderkit.studies.calogan:STUDY",
        "amplification": "colliderkit.studies.amplification:STUDY",
        "gaussian-calibration": "colliderkit.studies.gaussian_calibration:STUDY",
        "event-overlay": "colliderkit.studies.event_overlay:STUDY",
        "calo-surrogate": "colliderkit.studies.calo_surrogate:STUDY",
        "energy-regression": "colliderkit.studies.energy_regression:STUDY",
        "jet-calibration": "colliderkit.studies.jet_calibration:STUDY",
        "dijet-calibration": "colliderkit.studies.dijet_calibration:STUDY",
        "fast-calo-slices": "colliderkit.studies.fast_calo_slices:STUDY",
        "weak-supervision": "colliderkit.studies.weak_supervision:STUDY",
        "fractions-and-efficiencies": "colliderkit.studies.fractions_and_efficiencies:STUDY",
        "quark-gluon-without-labels": "colliderkit.studies.quark_gluon_without_labels:STUDY",
        "training-on-data": "colliderkit.studies.training_on_data:STUDY",
        "cwola-hunting": "colliderkit.studies.cwola_hunting:STUDY",
        "lhc-olympics": "colliderkit.studies.lhc_olympics:STUDY",
        "non-resonant": "colliderkit.studies.non_resonant:STUDY",
        "autoencoders": "colliderkit.studies.autoencoders:STUDY",
        "semi-supervised": "colliderkit.studies.semi_supervised:STUDY",
        "latent-structure": "colliderkit.studies.latent_structure:STUDY",
        "trigger-stream": "colliderkit.studies.trigger_stream:STUDY",
        "trigger-menu": "colliderkit.studies.trigger_menu:STUDY",
        "trigger-records": "colliderkit.studies.trigger_records:STUDY",
        "data-quality": "colliderkit.studies.data_quality:STUDY",
        "beam-tuning": "colliderkit.studies.beam_tuning:STUDY",
        "prescale-control": "colliderkit.studies.prescale_control:STUDY",
        "network-congestion": "colliderkit.studies.network_congestion:STUDY",
        "detector-optimisation": "colliderkit.studies.detector_optimisation:STUDY",
        "inference-service": "colliderkit.studies.inference_service:STUDY",
        "data-popularity": "colliderkit.studies.data_popularity:STUDY",
        "pileup": "colliderkit.studies.pileup:STUDY",
        "vertexing": "colliderkit.studies.vertexing:STUDY",
        "secondary-vertices": "colliderkit.studies.secondary_vertices:STUDY",
        "tau-identification": "colliderkit.studies.tau_identification:STUDY",
        "tracking": "colliderkit.studies.tracking:STUDY",
        "pi-plus-pi-zero": "colliderkit.studies.pi_plus_pi_zero:STUDY",
        "particle-identification": "colliderkit.studies.particle_identification:STUDY",
        "raw-data": "colliderkit.studies.raw_data:STUDY",
        "event-objects": "colliderkit.studies.event_objects:STUDY",
        "trigger-tagging": "colliderkit.studies.trigger_tagging:STUDY",
        "particle-flow": "colliderkit.studies.particle_flow:STUDY",
        "clustering": "colliderkit.studies.clustering:STUDY",
    },
)


def reproduce(name: str, *, scale: str, out: Path, force: bool = False, **options: Any) -> Path:
    """Run the study `name` into the folder `out` and return the path of its report.

    `options` are those of `studies.run.OPTIONS` that the study takes.
    """
    report: Path = STUDIES.load(name).run(scale=scale, out=out, force=force, **options)
    return report
