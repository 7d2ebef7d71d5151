"""Plots and the HTML report."""

from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results, write_results

__all__ = ["Report", "Result", "read_results", "write_results"]
