"""Diffusion models: noising processes and samplers."""

from colliderkit.generators.diffusion.diffusion import Diffusion
from colliderkit.generators.diffusion.processes import PROCESSES
from colliderkit.generators.diffusion.samplers import SAMPLERS

__all__ = ["PROCESSES", "SAMPLERS", "Diffusion"]
