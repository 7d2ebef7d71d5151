"""Run an experiment: certify its data, forecast its network and its data, steer its machines."""
