"""Where events come from: files in the layouts that the field publishes, and generators."""

from colliderkit.sources.files.jets import iterate, read, write
from colliderkit.sources.files.rows import read_table

__all__ = ["iterate", "read", "read_table", "write"]
