"""Machine learning for particle physics, from events to physics results."""

__version__ = "0.1.0"
