"""Registry of jet representations: raw columns to what a network takes."""

import importlib
from typing import Any

from colliderkit.errors import InputError

__all__ = ["REPRESENTATIONS", "representation"]

# Module and class; imported when asked for.
REPRESENTATIONS: dict[str, str] = {
    "efp": "colliderkit.events.energyflow:EnergyFlow",
    "image": "colliderkit.events.images:JetImage",
    "sequence": "colliderkit.events.sequences:ParticleSequence",
    "set": "colliderkit.events.sets:ParticleSet",
    "table": "colliderkit.events.scaling:Standardise",
}


def representation(name: str) -> Any:
    """Return the class of a representation; raise `InputError` if there is none of that name."""
    if name not in REPRESENTATIONS:
        known = ", ".join(sorted(REPRESENTATIONS))
        raise InputError(f"no representation is called '{name}'; choose one of {known}.")
    module, _, noun = REPRESENTATIONS[name].partition(":")
    return getattr(importlib.import_module(module), noun)
