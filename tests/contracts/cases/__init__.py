"""Small cases of every method and task, one file a subject, collected by their names."""

import importlib
import pkgutil
from typing import Any

from contracts.cases.case import Case, TaskCase

__all__ = ["CASES", "TASK_CASES", "Case", "TaskCase"]


def _collected(attribute: str) -> dict[str, Any]:
    """Merge the dictionaries called `attribute` of the files of this folder."""
    cases: dict[str, Any] = {}
    for module in pkgutil.iter_modules(__path__):
        file = importlib.import_module(f"{__name__}.{module.name}")
        part = getattr(file, attribute, {}) if module.name != "case" else {}
        twice = set(part) & set(cases)
        if twice:
            raise ValueError(f"{module.name}.py: {sorted(twice)} have a case in two files")
        cases |= part
    return cases


CASES: dict[str, Case] = _collected("CASES")
TASK_CASES: dict[str, TaskCase] = _collected("TASK_CASES")
