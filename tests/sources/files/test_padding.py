"""Padding that is not zero: recognised where it can only be padding, and refused where not."""

import warnings
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import read

NAMES = ("px", "py", "pz", "E")
FOUR = {f"constituents.{c}": f"p_{i}" for i, c in enumerate(NAMES)}
PADDINGS = {
    "0": 0.0,
    "-999": -999.0,
    "-99": -99.0,
    "NaN": np.nan,
    "energy without momentum": np.array([0, 0, 0, 0.1396]),
}


def sample() -> tuple[np.ndarray, np.ndarray]:
    """Return momenta (40, 6, 4) of 1 to 6 particles and the mask of those that are there."""
    random = np.random.default_rng(1)
    count = random.integers(1, 7, 40)
    momentum = random.normal(0, 50, (40, 6, 3))
    order = np.argsort(-np.hypot(momentum[..., 0], momentum[..., 1]), axis=1)
    momentum = np.take_along_axis(momentum, order[..., None], axis=1)
    energy = np.sqrt((momentum**2).sum(-1, keepdims=True) + 0.1396**2)
    return np.concatenate([momentum, energy], -1).astype("f4"), np.arange(6) < count[:, None]


def same(found: ak.Array, values: np.ndarray, real: np.ndarray) -> None:
    np.testing.assert_array_equal(ak.num(found["constituents"]), real.sum(1))
    for i, name in enumerate(NAMES):
        np.testing.assert_array_equal(ak.flatten(found["constituents", name]), values[real][:, i])
    total = np.where(real[..., None], values.astype(float), 0).sum(1)
    mass = np.sqrt(np.maximum(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(1), 0))
    # A single particle's mass is lost in single precision.
    np.testing.assert_allclose(found["jet_mass"], mass, rtol=1e-5, atol=0.5)


@pytest.mark.parametrize("what", PADDINGS)
def test_padding_is_recognised_and_said(tmp_path: Path, what: str) -> None:
    path, (values, real) = tmp_path / "padded.h5", sample()
    with h5py.File(path, "w") as file:
        file["p"] = np.where(real[..., None], values, np.asarray(PADDINGS[what], "f4"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(path, columns=FOUR)
    same(found, values, real)
    said = [str(w.message) for w in caught if "taken for empty" in str(w.message)]
    sentence = f"{path}: slots of {what} after the last particle are taken for empty"
    assert said == ([] if what == "0" else [sentence])


@pytest.mark.parametrize("what", ["-999", "NaN", "energy without momentum"])
def test_a_slot_between_particles_is_refused(tmp_path: Path, what: str) -> None:
    path, (values, real) = tmp_path / "padded.h5", sample()
    real[7] = [True, False, True, True, False, False]
    with h5py.File(path, "w") as file:
        file["p"] = np.where(real[..., None], values, np.asarray(PADDINGS[what], "f4"))
    with (
        warnings.catch_warnings(),
        pytest.raises(InputError, match=f"event 7 .* has a slot of {what} between its particles"),
    ):
        warnings.simplefilter("ignore")
        read(path, columns=FOUR)


@pytest.mark.parametrize("value", [-5.0, -999.0])
def test_energies_below_zero_are_refused_with_the_way_out(tmp_path: Path, value: float) -> None:
    path, (values, real) = tmp_path / "padded.h5", sample()
    padding = np.array([0, 0, 1, value], "f4")  # no value that fills all of a slot
    with h5py.File(path, "w") as file:
        file["p"] = np.where(real[..., None], values, padding)
    event = int(np.argmax(~real.all(1)))
    with pytest.raises(InputError, match=f"of event {event} .* has the energy {value:g}; if that"):
        read(path, columns=FOUR)
    way = {name: f"where(p_3 > 0, {text}, 0)" for name, text in FOUR.items()}
    same(read(path, columns=way), values, real)


def test_particles_in_pt_eta_phi_that_are_filled_up(tmp_path: Path) -> None:
    path, (values, real) = tmp_path / "padded.h5", sample()
    px, py, pz = (values[..., i].astype(float) for i in range(3))
    pt = np.hypot(px, py)
    columns = {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px)}
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file[f"p_{name}"] = np.where(real, column, -999)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read(path)
    assert any("slots of -999" in str(w.message) for w in caught)
    np.testing.assert_array_equal(ak.num(found["constituents"]), real.sum(1))
    for name, column in (("px", px), ("py", py), ("pz", pz)):
        ours = ak.flatten(found["constituents", name])
        np.testing.assert_allclose(ours, column[real], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["h5", "npz"])
def test_a_mask_says_which_slots_are_filled(tmp_path: Path, form: str) -> None:
    path, (values, real) = tmp_path / f"padded.{form}", sample()
    columns = {f"constituents.{c}": f"p_{i}" for i, c in enumerate(NAMES)}

    def stored(mask: np.ndarray, p: np.ndarray) -> Path:
        if form == "npz":
            np.savez(path, p=p, mask=mask)
        else:
            with h5py.File(path, "w") as file:
                file["p"], file["mask"] = p, mask
        return path

    with pytest.warns(UserWarning, match="slots where 'mask' is false are taken for empty"):
        same(read(stored(real, values), columns=columns), values, real)
    # One of numbers may be anything, such as the status of a particle.
    every = np.ones_like(real)
    same(read(stored(real.astype("i4"), values), columns=columns), values, every)
    # One that marks empty slots is refused with the way out.
    empty = np.where(real[..., None], values, 0)
    with pytest.raises(
        InputError, match=r"'mask' is true in no slot that holds .*where\(mask, 0, p"
    ):
        read(stored(~real, empty), columns=columns)
    way = {name: f"where(mask, 0, {text})" for name, text in columns.items()}
    same(read(path, columns=way), values, real)


@pytest.mark.parametrize("beside", [False, True])
def test_a_valid_flag_says_which_slots_are_filled(tmp_path: Path, beside: bool) -> None:
    path, (values, real) = tmp_path / "padded.h5", sample()
    table = np.zeros(
        (40, 6), dtype=[*((name, "f4") for name in ("a", "b", "c", "d")), ("valid", "?")]
    )
    for i, name in enumerate("abcd"):
        table[name] = values[..., i]  # slots that are not filled hold what was there before
    table["valid"] = real
    with h5py.File(path, "w") as file:
        if beside:  # a data set of each
            for name in table.dtype.names:
                file[name] = table[name]
        else:
            file["tracks"] = table
            file["jets"] = np.zeros(40, dtype=[("x", "f4")])
    columns = {
        f"constituents.{c}": f"{'' if beside else 'tracks.'}{x}"
        for c, x in zip(NAMES, "abcd", strict=True)
    }
    if beside:
        with pytest.warns(UserWarning, match="slots where 'valid' is false are taken for empty"):
            same(read(path, columns=columns), values, real)
        named = read(path, columns={**columns, "constituents.valid": "valid"})
        np.testing.assert_array_equal(ak.num(named["constituents"]), np.full(40, 6))
    else:
        same(read(path, columns=columns), values, real)
