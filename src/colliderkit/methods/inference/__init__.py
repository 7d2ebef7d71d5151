"""Parameter inference with systematic uncertainties: fits, intervals, INFERNO, nuisance ratios."""
