"""Running the experiment: data quality, the network, data and caches, control."""
