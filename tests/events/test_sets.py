import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events import sets
from colliderkit.events.ragged import Ragged
from samples import make_jets

COLUMNS = ("px", "py", "pz", "E", "charge")


def padded(columns: tuple[str, ...] = COLUMNS) -> tuple[Ragged, torch.Tensor, torch.Tensor]:
    ragged = Ragged.from_awkward(make_jets(12).constituents, columns)
    return ragged, *ragged.padded(torch.arange(12))


def test_features_are_what_their_names_say() -> None:
    _, values, mask = padded()
    names = tuple(sets.FEATURES)
    features, vectors, _ = sets.ParticleSet(COLUMNS, names)(values, mask)
    jet, particle = 4, 2
    px, py, pz, energy = (float(x) for x in values[jet, particle, :4])
    total = values[jet, :, :4].sum(0).double().numpy()
    pt, jet_pt = np.hypot(px, py), np.hypot(total[0], total[1])
    deta = np.arcsinh(pz / pt) - np.arcsinh(total[2] / jet_pt)
    dphi = np.arctan2(py, px) - np.arctan2(total[1], total[0])
    dphi = (dphi + np.pi) % (2 * np.pi) - np.pi
    raw = {
        "z": pt / float(torch.hypot(values[jet, :, 0], values[jet, :, 1]).sum()),
        "deta": deta,
        "dphi": dphi,
        "dr": np.hypot(deta, dphi),
        "log_pt": np.log(pt),
        "log_e": np.log(energy),
        "log_ptrel": np.log(pt / jet_pt),
        "log_erel": np.log(energy / total[3]),
    }
    for i, name in enumerate(names):
        shift, scale = sets.FEATURES[name]
        expected = np.clip((raw[name] - shift) * scale, -5, 5)
        assert float(features[jet, particle, i]) == pytest.approx(expected, abs=2e-5), name
    torch.testing.assert_close(vectors, values[..., :4])


def test_padding_gives_zeros_and_changes_nothing() -> None:
    _, values, mask = padded()
    represent = sets.ParticleSet(COLUMNS, (*sets.LOG_FEATURES, "charge"))
    features, _, _ = represent(values, mask)
    assert not features[~mask].any()
    wide, _, _ = represent(
        torch.nn.functional.pad(values, (0, 0, 0, 5), value=99.0),
        torch.nn.functional.pad(mask, (0, 5)),
    )
    torch.testing.assert_close(wide[:, : features.shape[1]], features)
    assert not wide[:, features.shape[1] :].any()


def test_further_columns_are_standardised_and_saved() -> None:
    ragged, values, mask = padded()
    represent = sets.ParticleSet(COLUMNS, ("charge", "deta")).fit(ragged.values)
    features, _, _ = represent(values, mask)
    charge = features[..., 0][mask]
    assert float(charge.mean()) == pytest.approx(0, abs=1e-5)
    assert float(charge.std(correction=0)) == pytest.approx(1, abs=1e-5)
    again = sets.ParticleSet(COLUMNS, ("charge", "deta"))
    again.load_state_dict(represent.state_dict())
    torch.testing.assert_close(again(values, mask)[0], features)


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(InputError, match="feature 'd0' is neither kinematic nor a column"):
        sets.ParticleSet(COLUMNS, ("deta", "d0"))
