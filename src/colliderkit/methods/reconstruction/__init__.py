"""Reconstruct events from what a detector has measured: tracks of charged particles from hits."""
