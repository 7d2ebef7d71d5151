"""Regressions with uncertainties: an estimate, its standard deviation and intervals.

All are `regression.Regression`: ``fit(x, y)``, ``predict(x)`` and ``interval(x, level)``.
`Conformal` makes the intervals of any of them cover.
"""

from colliderkit.methods.regression.conformal import Conformal
from colliderkit.methods.regression.regression import Prediction, Regression
from colliderkit.names import Registry

__all__ = ["REGRESSIONS", "Conformal", "Prediction", "Regression"]

# A part of `methods.METHODS`, under the same names.
REGRESSIONS = Registry(
    "regression",
    {
        "bayesian-last-layer": "colliderkit.methods.regression.last_layer:BayesianLastLayer",
        "boosted-regression": "colliderkit.methods.regression.trees:BoostedRegression",
        "deep-ensemble": "colliderkit.methods.regression.ensemble:DeepEnsemble",
        "evidential-regression": "colliderkit.methods.regression.evidential:EvidentialRegression",
        "quantile-regression": "colliderkit.methods.regression.quantile:QuantileRegression",
        "variational-regression": "colliderkit.methods.regression.variational:VariationalRegression",  # noqa: E501
    },
)
