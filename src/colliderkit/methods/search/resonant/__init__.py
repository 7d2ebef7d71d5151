"""Searches for a resonance without a model of it: one base, a method a file, scans and limits."""
