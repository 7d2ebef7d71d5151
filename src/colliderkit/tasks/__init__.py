"""Tasks by name: what the verbs need of a method (read, fit, apply, evaluate, page, export)."""

from colliderkit.names import Registry

__all__ = ["TASKS", "task_of"]

TASKS = Registry(
    "task",
    {
        "tagging": "colliderkit.tasks.tagging:TaggingTask",
        "decorrelation": "colliderkit.tasks.decorrelation:DecorrelationTask",
        "calibration": "colliderkit.tasks.calibration:CalibrationTask",
        "regression": "colliderkit.tasks.regression:RegressionTask",
        "ratio": "colliderkit.tasks.ratio:RatioTask",
        "showers": "colliderkit.tasks.showers:ShowersTask",
        "shower-comparison": "colliderkit.tasks.showers:ShowerComparisonTask",
        "refinement": "colliderkit.tasks.refinement:RefinementTask",
    },
)


def task_of(method: str) -> str:
    """Return the name of the task that a method of `methods.METHODS` belongs to."""
    return next(name for name in TASKS if method in TASKS.load(name).methods)
