"""Showers by Geant4 in a sampling calorimeter."""

from colliderkit.sources.geant4.calorimeters import CALORIMETERS, Calorimeter, Sampling, calorimeter
from colliderkit.sources.geant4.simulation import Beam, simulate

__all__ = ["CALORIMETERS", "Beam", "Calorimeter", "Sampling", "calorimeter", "simulate"]
