"""Reconstruction: what was there, from what a detector saw of it."""

"""Reconstruct events from what a detector has measured: tracks of charged particles from hits."""
"""Reconstruct events: cluster hits, find tracks, build particles, remove pileup."""
