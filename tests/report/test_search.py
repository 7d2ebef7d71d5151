"""Plots of a bump hunt."""

import numpy as np

from colliderkit.methods.search.bump_hunt import Bump
from colliderkit.report.search import bump, local_p_values


def test_the_bump_is_marked_and_named():
    counts = np.array([40.0, 30, 50, 20, 10])
    found = Bump((70, 80), 50, 25.4, 2.0, 3.9, 5e-5, 0.01, 2, np.array([40.0, 31, 25.4, 20, 15]))
    figure = bump(counts, np.linspace(50, 100, 6), found, "unconstrained")
    assert [axes.get_xlim() for axes in figure.axes] == [(50, 100)] * 2
    text = figure.axes[0].get_title("left")
    assert "70-80 GeV: 50 events, 25" in text
    assert "global p = 0.01" in text
    figure.canvas.draw()


def test_every_window_has_its_local_p_value():
    windows = np.array([[50.0, 60.0], [60.0, 80.0], [70.0, 90.0]])
    figure = local_p_values(windows, np.array([0.5, 1e-4, 0.3]), 0.02, "m [GeV]")
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 1e-4
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["largest excess", "its global p-value"]
