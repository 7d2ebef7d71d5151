"""Data sets: the catalogue of public ones, their layouts, and samples made to measure."""
