import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events import schema
from samples import make_jets


def test_check_names_the_event_and_the_column() -> None:
    jets = make_jets(5)
    energy = ak.to_list(jets.constituents.E)
    energy[3][1] = float("nan")
    broken = ak.with_field(
        jets, ak.with_field(jets.constituents, ak.Array(energy), "E"), "constituents"
    )
    with pytest.raises(InputError, match=r"file\.root: column 'E' is NaN or infinite in event 3"):
        schema.check_jets(broken, "file.root")


def test_check_wants_jets_and_columns() -> None:
    jets = make_jets(5)
    with pytest.raises(InputError, match="holds no jets"):
        schema.check_jets(jets[:0], "x")
    with pytest.raises(InputError, match="no column 'd0'"):
        schema.check_jets(jets, "x", ("px", "d0"))
    assert schema.check_jets(jets, "x") is jets


def test_weights_default_to_one_and_refuse_nonsense() -> None:
    jets = make_jets(4)
    assert schema.weights_of(jets).tolist() == [1, 1, 1, 1]
    assert schema.weights_of(ak.with_field(jets, [1, -1, 2, 0.5], "weight")).tolist() == [
        1,
        -1,
        2,
        0.5,
    ]
    with pytest.raises(InputError, match="zero in every event"):
        schema.weights_of(ak.with_field(jets, np.zeros(4), "weight"))
    with pytest.raises(InputError, match="infinite in event 2"):
        schema.weights_of(ak.with_field(jets, [1, 1, np.inf, 1], "weight"))


def test_labels_want_two_classes() -> None:
    jets = make_jets(4)
    with pytest.raises(InputError, match=r"all jets are of class \[1\]"):
        schema.labels_of(ak.with_field(jets, np.ones(4, int), "label"))
    with pytest.raises(InputError, match="do not fit 2 classes"):
        schema.labels_of(ak.with_field(jets, [0, 1, 2, 0], "label"), 2)


def test_split_depends_on_the_event_alone() -> None:
    jets = make_jets(2000)
    train, test = schema.split(jets, (0.75, 0.25), seed=3)
    assert len(train) + len(test) == 2000
    assert not set(train.event.tolist()) & set(test.event.tolist())
    # Adding events moves none: the parts of the first half are parts of the whole's.
    half, _ = schema.split(jets[:1000], (0.75, 0.25), seed=3)
    assert half.event.tolist() == [e for e in train.event.tolist() if e < 1000]
    # Binomial: 0.75 ± 0.0097.
    assert abs(len(train) / 2000 - 0.75) < 0.04
    other, _ = schema.split(jets, (0.75, 0.25), seed=4)
    assert other.event.tolist() != train.event.tolist()


def test_jets_of_one_event_stay_together() -> None:
    jets = make_jets(1000)
    jets = ak.with_field(jets, np.repeat(np.arange(500), 2), "event")
    train, test = schema.split(jets, (0.5, 0.5))
    assert not set(train.event.tolist()) & set(test.event.tolist())


def test_hash_is_uniform() -> None:
    values = schema.hash_uniform(np.arange(100_000), seed=1)
    counts, _ = np.histogram(values, bins=50, range=(0, 1))
    chi2 = ((counts - 2000) ** 2 / 2000).sum()
    # 49 degrees of freedom: mean 49, standard deviation 9.9.
    assert 15 < chi2 < 95
