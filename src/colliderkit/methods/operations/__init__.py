"""Run an experiment: certify its data."""

"""Running the experiment: what watches and steers the detector, its data and its machines."""
"""Running the experiment: data quality, the network, data and caches, control."""
