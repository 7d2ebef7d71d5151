"""Where events come from: files in the layouts that the field publishes, and generators."""

from colliderkit.sources.files.jets import iterate, read, write

__all__ = ["iterate", "read", "write"]
