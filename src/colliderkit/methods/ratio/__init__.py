"""The likelihood ratio p1/p0 of two samples, learned by a classifier: the core of many methods."""

from colliderkit.methods.ratio.diagnostics import Diagnostics, classifier_test
from colliderkit.methods.ratio.estimators import NetworkRatio, TableRatio, same_events, two_samples
from colliderkit.methods.ratio.ratio import Ratio

__all__ = [
    "Diagnostics",
    "NetworkRatio",
    "Ratio",
    "TableRatio",
    "classifier_test",
    "same_events",
    "two_samples",
]
