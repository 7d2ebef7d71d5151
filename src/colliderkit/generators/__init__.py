"""Generators by name: conditional densities and samplers of p(x | c), of showers and all else.

All are `generator.Generator`: ``fit_scaling``, a loss row by row, ``decode`` from noise and
``sample``.
"""

from colliderkit.names import Registry

__all__ = ["GENERATORS"]

GENERATORS = Registry(
    "generator",
    {
        "diffusion": "colliderkit.generators.diffusion:Diffusion",
        "flow": "colliderkit.generators.flow:ConditionalFlow",
        "flow-matching": "colliderkit.generators.flow_matching:FlowMatching",
        "gan": "colliderkit.generators.gan:GAN",
        "student-flow": "colliderkit.generators.student:StudentFlow",
        "vae": "colliderkit.generators.vae:VAE",
        "wgan-gp": "colliderkit.generators.gan:WGANGP",
    },
    supplied=("features", "context"),
)
