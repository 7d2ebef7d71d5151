"""Fast simulation: calorimeter surrogates, refinement, and the comparison with full simulation."""
