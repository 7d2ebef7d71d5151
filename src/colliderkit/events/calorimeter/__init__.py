"""Calorimeter showers: geometry of the voxels and their orders, features, generator variables."""

from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer
from colliderkit.events.calorimeter.xml import read_xml, write_xml

__all__ = ["Geometry", "Grid", "Layer", "read_xml", "write_xml"]
