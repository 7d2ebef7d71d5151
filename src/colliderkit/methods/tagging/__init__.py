"""Jet tagging: classifiers of jets, ensembles and cross-fits of them, and what explains them."""
