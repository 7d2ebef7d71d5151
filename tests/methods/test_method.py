"""The base of all methods: state by declared types, one sentence where nothing is fitted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit import methods
from colliderkit.errors import InputError
from colliderkit.methods.method import DESCRIPTION, FORMAT, Method, NotFitted, load
from colliderkit.names import Registry
from colliderkit.training.settings import Epoch, Training


@dataclass(frozen=True)
class Bound:
    at_most: float


@dataclass(frozen=True)
class Fixed:
    strength: float


class Toy(Method):
    """Hold one of everything that a method may learn."""

    name: ClassVar[str] = "toy"
    edges_: NDArray[np.float64]
    mask_: NDArray[np.bool_]
    center_: Tensor
    networks_: list[nn.Linear]
    history_: dict[str, list[Epoch]]
    limit_: float
    note_: str | None
    pair_: tuple[int, ...]
    inner_: "Toy | None"

    def __init__(
        self,
        *,
        width: int = 3,
        edges: Sequence[float] | None = None,
        penalty: Bound | Fixed | None = None,
        training: Training = Training(),
        inner: Method | None = None,
        classes: Sequence[str] = ("background", "signal"),
    ) -> None:
        self.width = width
        self.edges = edges
        self.penalty = penalty
        self.training = training
        self.inner = inner
        self.classes = classes

    def fit(self, x: Any, *, seed: int = 0, folder: Any = None, resume: bool = False) -> "Toy":
        self._begin(seed=seed, folder=folder, resume=resume)
        self.edges_ = np.linspace(0, 1, 4)
        self.mask_ = np.array([True, False])
        self.center_ = torch.arange(3.0)
        self._rebuild()
        self.history_ = {"network": [Epoch(0, 1.0, float("nan"), 0.1, best=True)]}
        self.limit_ = float("inf")
        self.note_ = None
        self.pair_ = (1, 2)
        self.inner_ = None if self.inner is None else self.inner.fit(x, seed=seed)
        return self

    def _rebuild(self) -> None:
        self.networks_ = [nn.Linear(self.width, 1) for _ in range(2)]

    @property
    def span_(self) -> float:
        return float(np.ptp(self.edges_))

    def predict(self, x: Tensor) -> Tensor:
        return sum(network(x) for network in self.networks_) + self.center_[0]


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(methods, "METHODS", Registry("method", {"toy": f"{__name__}:Toy"}))
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("sys").modules[__name__])


def test_everything_comes_back_with_its_type(tmp_path):
    toy = Toy(width=2, penalty=Fixed(0.5), training=Training(epochs=3)).fit(None, seed=2**64 - 1)
    toy.save(tmp_path / "toy")
    again = Toy.load(tmp_path / "toy")
    assert again.get_params() == toy.get_params()
    assert again.penalty == Fixed(0.5)
    assert isinstance(again.training, Training)
    for name in ("edges_", "mask_"):
        assert getattr(again, name).dtype == getattr(toy, name).dtype
        assert np.array_equal(getattr(again, name), getattr(toy, name))
    assert again.limit_ == float("inf")
    assert again.note_ is None
    assert again.pair_ == (1, 2)
    assert np.isnan(again.history_["network"][0].validation_loss)
    assert again.history_["network"][0].best
    assert again.seed_ == 2**64 - 1
    x = torch.ones(5, 2)
    assert torch.equal(again.predict(x), toy.predict(x))


def test_a_list_of_numbers_may_be_given_as_an_array(tmp_path):
    toy = Toy(edges=np.linspace(0, 1, 3)).fit(None)
    assert load(toy.save(tmp_path / "toy")).edges == (0.0, 0.5, 1.0)


def test_a_method_inside_a_method(tmp_path):
    toy = Toy(inner=Toy(width=4)).fit(None)
    toy.save(tmp_path / "toy")
    again = Toy.load(tmp_path / "toy")
    x = torch.ones(5, 4)
    assert again.inner.width == 4
    assert not hasattr(Toy(), "inner_")
    assert torch.equal(again.inner_.predict(x), toy.inner_.predict(x))


def test_not_fitted_is_one_sentence(tmp_path):
    with pytest.raises(NotFitted, match=r"^Toy is not fitted; call fit, or load a fitted one\.$"):
        Toy().predict(torch.ones(1, 3))
    with pytest.raises(NotFitted):
        Toy().save(tmp_path / "toy")
    with pytest.raises(NotFitted, match=r"^Toy is not fitted"):
        _ = Toy().span_
    assert not hasattr(Toy(), "span_")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = Toy().nothing
    assert not hasattr(Toy(), "edges_")


def test_a_second_fit_forgets_the_first():
    toy = Toy().fit(None)
    toy._begin(seed=1)
    assert not hasattr(toy, "edges_")
    assert toy.seed_ == 1


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_have_a_range(seed):
    with pytest.raises(InputError, match="seed is"):
        Toy().fit(None, seed=seed)


def test_what_is_not_honoured_is_refused(tmp_path):
    for options in ({"folder": tmp_path}, {"folder": tmp_path, "resume": True}, {"resume": True}):
        with pytest.raises(InputError, match="keeps no checkpoints"):
            Toy().fit(None, **options)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 1}, f"format 1, this version reads format {FORMAT}"),
        ({"fitted": None}, "damaged"),
        ({"parameters": {"width": 5}}, "do not fit"),
        ({"parameters": {"colour": 5}}, "do not fit"),
        ({"sha256": "0"}, "checksum"),
        ({"method": "other"}, "holds the method 'other'"),
    ],
)
def test_a_folder_that_cannot_be_trusted(tmp_path, change, sentence):
    Toy().fit(None).save(tmp_path / "toy")
    path = tmp_path / "toy" / DESCRIPTION
    description = json.loads(path.read_text()) | change
    path.write_text(json.dumps({k: v for k, v in description.items() if v is not None}))
    with pytest.raises(InputError, match=sentence):
        Toy.load(tmp_path / "toy")


def test_the_folder_holds_json_and_safetensors_alone(tmp_path):
    Toy().fit(None).save(tmp_path / "toy")
    assert sorted(p.suffix for p in (tmp_path / "toy").iterdir()) == [".json", ".safetensors"]
    assert "NaN" not in (tmp_path / "toy" / DESCRIPTION).read_text()
    with pytest.raises(InputError, match="holds no method"):
        load(tmp_path)
