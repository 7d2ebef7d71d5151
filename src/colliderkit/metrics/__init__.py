"""Metrics of a model, each with its uncertainty: ROC, accuracy, calibration, ensembles, seeds."""

from colliderkit.metrics.calibration import CalibrationCurve, calibration_curve
from colliderkit.metrics.classes import (
    Confusion,
    accuracy,
    auc_of_classes,
    best_accuracy,
    confusion,
    one_against,
)
from colliderkit.metrics.ensembles import EnsembleRejection, combine, ensemble_rejection
from colliderkit.metrics.roc import Roc, auc, rejection, roc
from colliderkit.metrics.value import Seeds, Value, bootstrap, over_seeds

__all__ = [
    "CalibrationCurve",
    "Confusion",
    "EnsembleRejection",
    "Roc",
    "Seeds",
    "Value",
    "accuracy",
    "auc",
    "auc_of_classes",
    "best_accuracy",
    "bootstrap",
    "calibration_curve",
    "combine",
    "confusion",
    "ensemble_rejection",
    "one_against",
    "over_seeds",
    "rejection",
    "roc",
]
