"""Regressions by name: an estimate, its standard deviation and intervals.

All are `regression.Regression`: ``fit(x, y)``, ``predict(x)`` and ``interval(x, level)``.
`Conformal` makes the intervals of any of them cover.
"""

import importlib
import inspect
from typing import Any

from colliderkit.errors import InputError
from colliderkit.methods.regression.conformal import Conformal
from colliderkit.methods.regression.regression import Prediction, Regression

__all__ = ["REGRESSIONS", "Conformal", "Prediction", "Regression", "build", "regression_class"]

# Module and class, imported when asked for.
REGRESSIONS: dict[str, str] = {
    "bayesian-last-layer": "colliderkit.methods.regression.last_layer:BayesianLastLayer",
    "boosted-trees": "colliderkit.methods.regression.trees:BoostedRegression",
    "ensemble": "colliderkit.methods.regression.ensemble:DeepEnsemble",
    "evidential": "colliderkit.methods.regression.evidential:EvidentialRegression",
    "quantile": "colliderkit.methods.regression.quantile:QuantileRegression",
    "variational": "colliderkit.methods.regression.variational:VariationalRegression",
}


def regression_class(name: str) -> Any:
    """Return the class of a regression; raise `InputError` if there is none of that name."""
    if name not in REGRESSIONS:
        raise InputError(
            f"no regression is called '{name}'; choose one of {', '.join(REGRESSIONS)}."
        )
    module, _, noun = REGRESSIONS[name].partition(":")
    return getattr(importlib.import_module(module), noun)


def build(name: str, **options: Any) -> Regression:
    """Build the regression `name`; `options` are keywords of its constructor.

    Raises `InputError` for an unknown name, or an option that this regression does not have.
    """
    make = regression_class(name)
    known = list(inspect.signature(make).parameters)
    for option in options:
        if option not in known:
            raise InputError(
                f"regression '{name}' has no option '{option}'; it has {', '.join(known)}."
            )
    built: Regression = make(**options)
    return built
