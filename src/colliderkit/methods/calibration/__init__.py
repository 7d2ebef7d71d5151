"""Calibration: estimate the truth from what was measured, independently of the prior."""

from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.flow import FlowCalibration, Posterior
from colliderkit.methods.calibration.gaussian_ansatz import GaussianAnsatz
from colliderkit.methods.calibration.generalised import GeneralisedInversion
from colliderkit.methods.calibration.inversion import NumericalInversion
from colliderkit.methods.calibration.sequential import SequentialCalibration
from colliderkit.methods.calibration.truth_regression import TruthRegression

__all__ = [
    "Calibrated",
    "Calibration",
    "FlowCalibration",
    "GaussianAnsatz",
    "GeneralisedInversion",
    "NumericalInversion",
    "Posterior",
    "SequentialCalibration",
    "TruthRegression",
]
