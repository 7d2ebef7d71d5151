"""Reconstruct events: cluster hits, find tracks, build particles, remove pileup."""
