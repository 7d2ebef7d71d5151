"""Run an experiment: certify its data."""
