"""Reconstruction: what was there, from what a detector saw of it."""
"""Reconstruct events from what a detector has measured: tracks of charged particles from hits."""
