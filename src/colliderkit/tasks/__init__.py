"""Tasks: what the verbs need of a method (read, fit, apply, evaluate, page, export)."""
