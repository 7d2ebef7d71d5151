"""Voxels: each hit is found again, in every order."""

from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Grid, Layer, read_xml, write_xml

# Data set 1, photons: 368 voxels in five layers that differ (2410.21611).
PHOTONS = Geometry(
    "photon",
    (
        Layer(0, (0, 5, 10, 30, 50, 100, 200, 400, 600)),
        Layer(1, (0, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 50, 70, 90, 120, 150, 200), 10),
        Layer(
            2,
            (0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400),
            10,
        ),
        Layer(3, (0, 50, 100, 200, 400, 600)),
        Layer(12, (0, 100, 200, 400, 1000, 2000)),
    ),
    22,
)
CELLS = Geometry(
    "cells", (Grid(0, 3, 96, 480.0, 480.0), Grid(1, 12, 12, 480.0, 480.0), Layer(2, (0, 9), 4))
)
ELECTRONS = Geometry.regular("electron", 45, 16, np.arange(10) * 4.65, 11)


def test_published_numbers_of_voxels() -> None:
    assert PHOTONS.voxels == 368
    assert ELECTRONS.voxels == 6480
    assert Geometry.regular("electron", 45, 50, np.arange(19) * 2.325).voxels == 40_500


@pytest.mark.parametrize(
    "geometry", [PHOTONS, ELECTRONS, CELLS], ids=["photon", "electron", "cells"]
)
def test_every_voxel_finds_its_own_middle(geometry: Geometry) -> None:
    x, y = geometry.r * np.cos(geometry.alpha), geometry.r * np.sin(geometry.alpha)
    found = geometry.locate(geometry.layer, x, y)
    assert np.array_equal(found, np.arange(geometry.voxels))


def test_edges_belong_to_the_voxel_above_and_beyond_is_none() -> None:
    # On the axis alpha = 0, the lower end of the ninth cut, r is exactly x.
    for x, ring in ((0.0, 0), (4.64, 0), (4.65, 1), (41.84, 8)):
        assert ELECTRONS.locate(0, x, 0.0) == 8 * 9 + ring
    assert ELECTRONS.locate(0, 41.85, 0.0) == -1
    assert ELECTRONS.locate(0, -10.0, 0.0) == 15 * 9 + 2  # alpha = pi ends the last cut


def test_cells_stand_in_the_order_of_images() -> None:
    # eta (x) runs fastest. In the first layer cells are 5 mm by 160 mm.
    for x, y, cell in (
        (-239.9, -239.9, 0),
        (-234.9, -239.9, 1),
        (239.9, -80.1, 95),
        (-239.9, -79.9, 96),
        (0.0, 0.0, 96 + 48),
    ):
        assert CELLS.locate(0, x, y) == cell
    assert CELLS.locate(1, 1.0, 41.0) == 288 + 7 * 12 + 6
    for x, y in ((240.0, 0.0), (0.0, -240.1)):
        assert CELLS.locate(0, x, y) == -1
    assert CELLS.eta()[1] - CELLS.eta()[0] == pytest.approx(5)
    assert CELLS.phi()[96] - CELLS.phi()[0] == pytest.approx(160)
    assert CELLS.area[:288].sum() == pytest.approx(480**2)
    assert CELLS.layers[0].radius == pytest.approx(240 * 2**0.5)


def test_cells_are_no_rings(tmp_path: Path) -> None:
    sentence = "layer 0 has rectangular cells; this is for rings"
    for ask in (
        lambda: CELLS.ring,
        lambda: CELLS.shape,
        lambda: write_xml(tmp_path / "cells.xml", CELLS),
    ):
        with pytest.raises(InputError, match=sentence):
            ask()
    with pytest.raises(InputError, match="layer 3: has 0 x 4 cells"):
        Grid(3, 0, 4, 1.0, 1.0)
    with pytest.raises(InputError, match="layer 3: is -1 x 1 mm"):
        Grid(3, 2, 4, -1.0, 1.0)


def test_areas_fill_the_disc() -> None:
    assert PHOTONS.area[PHOTONS.layer == 2].sum() == pytest.approx(np.pi * 400**2)


def test_one_hit_survives_the_order_of_par04() -> None:
    shower = np.zeros((1, 6480))
    layer, angle, ring = 7, 3, 5
    shower[0, (layer * 16 + angle) * 9 + ring] = 2.5
    theirs = ELECTRONS.to_par04(shower)
    assert np.flatnonzero(theirs[0]).tolist() == [(ring * 16 + angle) * 45 + layer]
    assert np.array_equal(ELECTRONS.from_par04(theirs), shower)
    with pytest.raises(InputError, match="its layers have different rings"):
        PHOTONS.to_par04(np.zeros((1, 368)))


def test_xml_keeps_the_geometry(tmp_path: Path) -> None:
    path = write_xml(tmp_path / "binning.xml", PHOTONS)
    assert read_xml(path) == PHOTONS
    # The numbers between have layers without voxels.
    assert path.read_text().count('r_edges="0"') == 8


def test_xml_errors_name_file_and_layer(tmp_path: Path) -> None:
    path = tmp_path / "binning.xml"

    def refuses(text: str, sentence: str, particle: str | None = None) -> None:
        path.write_text(text)
        with pytest.raises(InputError, match=sentence):
            read_xml(path, particle)

    layer = '<Layer id="0" r_edges="{}" n_bin_alpha="1"/>'
    page = '<Bins><Bin name="photon">{}</Bin></Bins>'
    refuses(page.format(layer.format("0,5,3")), r"binning.xml: layer 0: its r edges .* do not rise")
    refuses(page.format(layer.format("0")), "has no layers with voxels")
    refuses(page.format(layer.format("0,five")), "a layer holds no number")
    refuses(page.format('<Layer id="0"/>'), "a layer has no 'r_edges'")
    refuses("<Bins>", "is no XML")
    refuses("<Bins/>", "has no <Bin>")
    refuses(page.format(layer.format("0,5")), "no particle 'pion'; it holds photon", "pion")
    entity = '<!DOCTYPE a [<!ENTITY b "EXPANDED">]>' + page.format("&b;")
    refuses(entity, "document type")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"):
        declared = f'<?xml version="1.0" encoding="{encoding.upper()}"?>{entity}'
        path.write_bytes(declared.encode(encoding))
        with pytest.raises(InputError, match=r"document type|is no XML") as error:
            read_xml(path)
        assert "EXPANDED" not in str(error.value)


def test_showers_are_checked() -> None:
    good = np.zeros((3, 368))
    assert PHOTONS.check(good, "file") is good
    for value, sentence in ((-1.0, "-1.0"), (np.nan, "nan"), (np.inf, "inf")):
        bad = good.copy()
        bad[1, 7] = value
        start = f"file: shower 1 .* an energy of {sentence} MeV in voxel 7"
        with pytest.raises(InputError, match=start):
            PHOTONS.check(bad, "file")
    with pytest.raises(InputError, match=r"shape \(3, 100\), geometry 'photon' has 368 voxels"):
        PHOTONS.check(good[:, :100], "file")
