"""Reconstruction: what was there, from what a detector saw of it."""
