"""What a shower in a calorimeter is: the geometry of its voxels, their orders, what is read off."""

from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer
from colliderkit.events.calorimeter.xml import read_xml, write_xml

__all__ = ["Geometry", "Grid", "Layer", "read_xml", "write_xml"]
