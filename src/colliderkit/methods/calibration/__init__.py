"""Calibration: what was it, given what was measured? Estimates that do not depend on the prior."""

from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.flow import FlowCalibration, Posterior
from colliderkit.methods.calibration.gaussian_ansatz import GaussianAnsatz
from colliderkit.methods.calibration.generalised import GeneralisedInversion
from colliderkit.methods.calibration.inversion import NumericalInversion
from colliderkit.methods.calibration.regression import Regression
from colliderkit.methods.calibration.sequential import SequentialCalibration

__all__ = [
    "Calibrated",
    "Calibration",
    "FlowCalibration",
    "GaussianAnsatz",
    "GeneralisedInversion",
    "NumericalInversion",
    "Posterior",
    "Regression",
    "SequentialCalibration",
]
