"""Checksums of data: equal for equal data however they are held, another for any other."""

from dataclasses import dataclass, replace

import awkward as ak
import numpy as np
import pytest
import torch

from colliderkit import claims
from colliderkit.claims import claim, content
from colliderkit.errors import InputError
from samples import make_jets


@dataclass(frozen=True)
class Pair:
    x: np.ndarray
    y: object = None


def test_equal_data_are_the_same_however_they_are_held():
    x = np.random.default_rng(1).normal(size=(50, 3))
    assert content(x) == content(x.copy()) == content(np.asfortranarray(x)) == content(x[::1])
    assert content({"a": [x, None, 3]}) == content({"a": [x.copy(), None, 3]})
    jets = make_jets(40)
    twice = ak.concatenate([jets, jets])
    assert content(twice[40:]) == content(jets) == content(jets[np.arange(40)])
    assert content(Pair(x)) == content(replace(Pair(x), x=x.copy()))


@pytest.mark.parametrize("whole", [claims.WHOLE, 1000])
def test_any_other_data_differ(whole, monkeypatch):
    """Also where they are too large to be read whole: in their length and in each piece."""
    monkeypatch.setattr(claims, "WHOLE", whole)
    monkeypatch.setattr(claims, "PIECE", 100)
    x = np.random.default_rng(1).normal(size=(500, 3))
    changed = x.copy()
    changed[250, 1] = np.nextafter(changed[250, 1], 9)
    jets = make_jets(60)
    shifted = ak.with_field(jets, ak.to_numpy(jets.jet_mass) * 1.001, "jet_mass")
    all_of_them = [
        content(value)
        for value in (
            x, changed, x[:-1], x.astype("f4"), x.reshape(3, 500), torch.from_numpy(x), [x],
            Pair(x), Pair(x, 1), Pair(x, "1"), None, 0, False, "", jets, shifted, jets[:-1],
            {"x": x},
        )
    ]  # fmt: skip
    assert len(set(all_of_them)) == len(all_of_them)


def test_a_claim_of_anything_else_in_a_folder(tmp_path):
    """Other files of the user, and other claims below, are neither taken nor touched."""
    options = {"note": "fit.json", "way_out": "go away"}
    (tmp_path / "data.npy").write_text("the user's")
    (tmp_path / "other").mkdir()
    for name in ("fit.json", "last.ckpt"):
        (tmp_path / "other" / name).write_text("{}")
    claim(tmp_path, {"seed": 1}, **options, anew=True)
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "last.ckpt").touch()
    with pytest.raises(InputError, match=r"of another request \(other: seed\).* or go away\.$"):
        claim(tmp_path, {"seed": 2}, **options)
    claim(tmp_path, {"seed": 2}, **options, anew=True)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "data.npy", "fit.json", "other/fit.json", "other/last.ckpt",
    ]  # fmt: skip
    (tmp_path / "best.ckpt").touch()
    (tmp_path / "fit.json").unlink()
    with pytest.raises(InputError, match="does not say of what request"):
        claim(tmp_path, {"seed": 2}, **options, anew=True)
    (tmp_path / "fit.json").write_text("[1")
    with pytest.raises(InputError, match="damaged"):
        claim(tmp_path, {"seed": 2}, **options)
