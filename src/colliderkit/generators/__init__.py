"""Generators by name: models of p(x | c), usable for showers and for anything else.

All are `generator.Generator`: ``fit_scaling``, a loss row by row, ``decode`` from noise and
``sample``.
"""

import importlib
import inspect
from typing import Any

from colliderkit.errors import InputError

__all__ = ["GENERATORS", "build", "generator_class"]

# Module and class, imported when asked for.
GENERATORS: dict[str, str] = {
    "diffusion": "colliderkit.generators.diffusion:Diffusion",
    "flow": "colliderkit.generators.flow:ConditionalFlow",
    "flow-matching": "colliderkit.generators.flow_matching:FlowMatching",
    "gan": "colliderkit.generators.gan:GAN",
    "student-flow": "colliderkit.generators.student:StudentFlow",
    "vae": "colliderkit.generators.vae:VAE",
    "wgan-gp": "colliderkit.generators.gan:WGANGP",
}


def generator_class(name: str) -> Any:
    """Return the class of a generator; raise `InputError` if there is none of that name."""
    if name not in GENERATORS:
        raise InputError(f"no generator is called '{name}'; choose one of {', '.join(GENERATORS)}.")
    module, _, noun = GENERATORS[name].partition(":")
    return getattr(importlib.import_module(module), noun)


def build(name: str, *, features: int, context: int, **options: Any) -> Any:
    """Build the generator `name` of x (F,) given c (C,).

    `options` are further keywords of its constructor. Raises `InputError` for an unknown name,
    or an option that this generator does not have.
    """
    make = generator_class(name)
    known = [p for p in inspect.signature(make).parameters if p not in ("features", "context")]
    for option in options:
        if option not in known:
            raise InputError(
                f"generator '{name}' has no option '{option}'; it has {', '.join(known)}."
            )
    return make(features=features, context=context, **options)
