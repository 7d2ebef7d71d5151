"""Calibration: what was it, given what was measured? Estimates that do not depend on the prior."""

from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.inversion import NumericalInversion
from colliderkit.methods.calibration.regression import Regression

__all__ = ["Calibrated", "Calibration", "NumericalInversion", "Regression"]
