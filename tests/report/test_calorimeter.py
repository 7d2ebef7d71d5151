"""Drawings of showers: what is drawn, read back from the artists."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from colliderkit.events.calorimeter import Geometry, Grid, Layer
from colliderkit.events.calorimeter.features import features
from colliderkit.metrics.showers import (
    RESPONSE,
    VOXELS,
    ShowerHistograms,
    histogram_edges,
    separations,
    shower_histograms,
)
from colliderkit.report import calorimeter

GEOMETRY = Geometry("toy", (Layer(0, (0, 5, 40)), Layer(1, (0, 4, 10, 20), 6), Layer(5, (0, 30))))
EDGES: dict[str, np.ndarray] = {}


def made(count: int, seed: int) -> tuple[np.ndarray, ShowerHistograms]:
    random = np.random.default_rng(seed)
    showers = random.gamma(0.5, 100, (count, GEOMETRY.voxels)).astype(np.float32)
    incident = np.full(count, 50.0 * GEOMETRY.voxels)
    found = features(showers, incident, GEOMETRY, 1.0)
    if not EDGES:
        EDGES.update(histogram_edges(GEOMETRY, 1.0, found, float(showers.max())))
    return showers, shower_histograms(showers, found, GEOMETRY, 1.0, EDGES)


@pytest.fixture(scope="module")
def samples() -> dict[str, ShowerHistograms]:
    return {"Geant4": made(2000, 1)[1], "floor": made(2000, 2)[1], "flow": made(1000, 3)[1]}


def stairs(axes):
    """Return the outlines (values, edges) of an axes' histograms."""
    return [p.get_data() for p in axes.patches if not p.get_fill()]


def test_histograms_are_shares_and_their_ratios(samples) -> None:
    names = [RESPONSE, VOXELS]
    figure = calorimeter.histograms(samples, EDGES, names, floor="floor")
    top, bottom = figure.axes[0], figure.axes[2]
    for outline, spectrum in zip(stairs(top), samples.values(), strict=True):
        counts = spectrum.counts[RESPONSE]
        assert outline[0].sum() == pytest.approx(1)
        # Bins are merged and cut to what is filled.
        assert outline[0].max() * counts.sum() >= counts.max()
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [*samples]
    assert bottom.get_xlabel()
    assert not top.get_xlabel()


def test_profiles_are_means(samples) -> None:
    figure = calorimeter.profiles(samples, GEOMETRY, floor="floor")
    along, across = figure.axes[0], figure.axes[1]
    base = samples["Geant4"]
    np.testing.assert_allclose(stairs(along)[0][0], base.layer[0])
    area = np.pi * np.diff(GEOMETRY.r_edges**2)
    density, edges = stairs(across)[0][0], stairs(across)[0][1]
    np.testing.assert_allclose(edges, GEOMETRY.r_edges)
    # All of the energy, whatever the rings of a layer are.
    assert (density * area).sum() == pytest.approx(base.layer[0].sum(), rel=1e-5)


def test_images_have_a_wedge_a_voxel_in_its_place(samples) -> None:
    figure = calorimeter.images({"Geant4": samples["Geant4"].mean}, GEOMETRY, layers=[1])
    (wedges,) = (c for c in figure.axes[0].collections if isinstance(c, PolyCollection))
    paths = wedges.get_paths()
    assert len(paths) == GEOMETRY.layers[1].voxels
    start = int(GEOMETRY.starts[1])
    for place in (0, 4, 17):
        # Edges are stretched with the radius and not in angle: the outer arc's middle is at alpha.
        arc = paths[place].vertices
        outer = arc[np.isclose(np.hypot(*arc.T), np.hypot(*arc.T).max(), rtol=1e-6)]
        x, y = outer[1:-1].mean(0) if len(outer) > 2 else outer.mean(0)
        assert np.arctan2(y, x) == pytest.approx(GEOMETRY.alpha[start + place], abs=0.3)


def test_a_shower_is_drawn_voxel_by_voxel() -> None:
    shower = np.zeros(GEOMETRY.voxels)
    shower[[0, 5, 12]] = 100.0, 10.0, 30.0
    figure = calorimeter.view({"Geant4": shower}, GEOMETRY)
    (hit,) = figure.axes[0].collections
    figure.canvas.draw()
    assert len(hit.get_facecolor()) == 3


def test_regular_geometries_are_drawn_too() -> None:
    tower = Geometry.regular("tower", 13, 4, (0.0, 10.0, 20.0))
    cells = Geometry("cells", (Grid(0, 3, 4, 30.0, 40.0), Grid(1, 2, 2, 30.0, 40.0)))
    energy = np.random.default_rng(4).gamma(1, 1, tower.voxels)
    assert not calorimeter.irregular(tower)
    (boxes,) = calorimeter.images({"a": energy[:16]}, cells, layers=[0]).axes[0].collections
    middles = [path.vertices[:4].mean(0) for path in boxes.get_paths()]
    np.testing.assert_allclose(middles, np.stack([cells.layers[0].x, cells.layers[0].y], 1))
    assert calorimeter.irregular(GEOMETRY)
    for figure in (
        calorimeter.images({"a": energy, "b": energy}, tower),
        calorimeter.view({"a": energy}, tower),
    ):
        figure.canvas.draw()


def test_separation_is_drawn_layer_by_layer(samples) -> None:
    found = {name: separations(samples["Geant4"], samples[name]) for name in ("floor", "flow")}
    figure = calorimeter.separation_by_layer(found, GEOMETRY, floor="floor")
    first = figure.axes[0]
    y = first.lines[0].get_ydata()
    expected = [found["floor"][f"E layer {n}"].value.value for n in (0, 1, 5)]
    np.testing.assert_allclose(y, expected)
