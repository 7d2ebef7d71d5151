"""Running an experiment: what machine learning watches, forecasts and decides."""
