"""Distributions with a closed-form truth: every method is checked against one."""
