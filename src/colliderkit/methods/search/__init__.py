"""Searches for new physics: bump hunts with a global p-value."""
