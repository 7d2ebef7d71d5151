"""Losses: a loss is a tensor function ``(outputs, target, weight) -> scalar``."""
