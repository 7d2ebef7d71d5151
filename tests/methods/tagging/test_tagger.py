import json
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from colliderkit.errors import InputError
from colliderkit.methods.method import Method, load
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.serve.onnx import export_method
from colliderkit.training.settings import Training
from samples import make_jets

QUICK = Training(epochs=3, batch_size=64, learning_rate=3e-3, devices=1)

# One of each way from jets to a network's inputs.
TAGGERS = {
    "set": {"network": "pfn"},
    "set-of-columns": {"network": "dips", "features": ["deta", "dphi", "charge"]},
    "sequence": {"network": "gru", "represent": {"order": "charge"}, "features": ["dr", "charge"]},
    "image": {"network": "cnn", "represent": {"pixels": 12}, "options": {"pixels": 12}},
    "table": {"network": "mlp", "observables": ["mass", "width", "multiplicity"]},
    "trees": {"network": "boosted-trees", "observables": ["mass", "width", "multiplicity"]},
    "polynomials": {"network": "linear", "representation": "efp", "represent": {"degree": 3}},
}


def score(tagger: Tagger, jets: ak.Array) -> float:
    return float(roc_auc_score(np.asarray(jets["label"]), tagger.predict_proba(jets)[:, 1]))


@pytest.fixture(scope="module", params=TAGGERS)
def fitted(request) -> Tagger:
    return Tagger(**TAGGERS[request.param], training=QUICK).fit(
        make_jets(1200), seed=1, progress=False
    )


def test_learns(fitted: Tagger) -> None:
    assert score(fitted, make_jets(500, 1)) > 0.9


@pytest.mark.parametrize("way", ["set", "sequence", "image", "polynomials"])
def test_what_a_training_leaves_out_is_left_out_of_every_answer(way: str, tmp_path: Path) -> None:
    """An LSTM that was trained on 40 particles of a jet was asked about all of them."""
    jets = make_jets(200)
    assert ak.max(ak.num(jets.constituents)) > 5
    short = ak.with_field(jets, jets.constituents[:, :5], "constituents")
    quick = Training(epochs=1, batch_size=64, devices=1, longest=5)
    tagger = Tagger(**TAGGERS[way], training=quick).fit(jets, seed=1, progress=False)
    whole = tagger.predict_proba(jets)
    np.testing.assert_allclose(whole, tagger.predict_proba(short), rtol=1e-5)
    # Trained on jets that have no more, it is the same tagger.
    again = Tagger(**TAGGERS[way], training=quick).fit(short, seed=1, progress=False)
    np.testing.assert_allclose(whole, again.predict_proba(short), rtol=1e-3, atol=1e-4)
    tagger.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict_proba(jets), whole)


def test_an_exported_tagger_leaves_out_the_same(tmp_path: Path) -> None:
    import onnxruntime

    jets = make_jets(100)
    quick = Training(epochs=1, batch_size=64, devices=1, longest=5)
    tagger = Tagger("pfn", training=quick).fit(jets, seed=1, progress=False)
    export_method(tagger, tmp_path / "tagger.onnx", jets)
    inputs = tagger.inputs(jets)
    values = inputs.padded(torch.arange(100))[0].numpy()
    (answer,) = onnxruntime.InferenceSession(tmp_path / "tagger.onnx").run(
        None, {"constituents": values}
    )
    np.testing.assert_allclose(answer, tagger.predict_proba(jets), atol=1e-5)


def test_a_training_on_less_than_is_asked_about_is_refused() -> None:
    quick = Training(epochs=1, batch_size=64, devices=1, longest=5)
    with pytest.raises(InputError, match="longest is 5, and plain autoencoder would see more"):
        Autoencoder(representation="set", training=quick).fit(make_jets(100), progress=False)


def test_probabilities_sum_to_one(fitted: Tagger) -> None:
    probability = fitted.predict_proba(make_jets(50, 2))
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-12)
    assert (fitted.predict(make_jets(50, 2)) == probability.argmax(1)).all()


def test_the_order_of_jets_does_not_matter(fitted: Tagger) -> None:
    jets = make_jets(80, 3)
    backwards = fitted.predict_proba(jets[::-1])[::-1]
    np.testing.assert_allclose(fitted.predict_proba(jets), backwards, atol=2e-6)


def test_save_and_load_give_the_same_scores(fitted: Tagger, tmp_path: Path) -> None:
    fitted.save(tmp_path / "tagger")
    jets = make_jets(80, 3)
    again = load(tmp_path / "tagger")
    np.testing.assert_array_equal(again.predict_proba(jets), fitted.predict_proba(jets))
    assert again.get_params()["training"] == QUICK
    assert again.history_ == fitted.history_


def test_clone_is_unfitted_with_the_same_arguments(fitted: Tagger) -> None:
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    with pytest.raises(InputError, match="not fitted"):
        twin.predict_proba(make_jets(3))


def test_chunks_train_as_the_whole(tmp_path: Path) -> None:
    jets = make_jets(600)
    whole = Tagger(training=QUICK).fit(jets, seed=2, progress=False)
    pieces = (jets[i : i + 100] for i in range(0, 600, 100))
    spooled = Tagger(training=QUICK).fit(pieces, seed=2, folder=tmp_path, progress=False)
    np.testing.assert_array_equal(whole.predict_proba(jets[:50]), spooled.predict_proba(jets[:50]))


def test_seeds_repeat(tmp_path: Path) -> None:
    jets = make_jets(400)
    a, b, c = (
        Tagger(training=QUICK).fit(jets, seed=s, progress=False).predict_proba(jets[:20])
        for s in (5, 5, 6)
    )
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 1e-4


def test_validation_events_do_not_train() -> None:
    """With labels of validation events turned round, the trained weights stay the same."""
    jets = make_jets(400)
    settings = Training(epochs=1, batch_size=64, devices=1)
    held = make_jets(100, 9)
    turned = ak.with_field(held, 1 - held["label"], "label")
    one, other = (
        Tagger(training=settings).fit(jets, v, seed=1, progress=False).predict_proba(jets[:20])
        for v in (held, turned)
    )
    np.testing.assert_array_equal(one, other)


def test_weights_enter_the_loss() -> None:
    """Without information the score is the class's share of the weights: 0.1, or 0.5 balanced."""
    jets = make_jets(1500, low=5, high=6)
    jets = ak.with_field(jets, np.random.default_rng(0).integers(0, 2, len(jets)), "label")
    label = np.asarray(jets["label"])
    jets = ak.with_field(jets, np.where(label == 0, 9.0, 1.0), "weight")
    settings = Training(epochs=20, batch_size=64, learning_rate=2e-2, devices=1)
    tagger = Tagger("linear", observables=["multiplicity"], training=settings)
    # Validated on the same jets, so that both have the same share.
    mean = tagger.fit(jets, jets, seed=1, progress=False).predict_proba(jets)[:, 1].mean()
    share = (label == 1).sum() / np.asarray(jets["weight"]).sum()
    assert mean == pytest.approx(share, abs=0.005)
    balanced = clone(tagger).set_params(balance=True)
    mean = balanced.fit(jets, jets, seed=1, progress=False).predict_proba(jets)[:, 1].mean()
    assert mean == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("network", ["particle-net-lite", "pfn", "lstm"])
def test_half_precision_learns(network: str) -> None:
    settings = Training(
        epochs=3, batch_size=32, learning_rate=3e-3, precision="bf16-mixed", devices=1
    )
    tagger = Tagger(network, training=settings).fit(make_jets(400), seed=1, progress=False)
    assert score(tagger, make_jets(300, 1)) > 0.8


def test_a_class_of_negative_sum_is_refused() -> None:
    jets = make_jets(100)
    weight = np.where(np.asarray(jets["label"]) == 1, -0.5, 1.0)
    with pytest.raises(InputError, match="the weights of class 'signal' sum to"):
        Tagger(training=QUICK).fit(jets, weight=weight, progress=False)


def test_regression_from_the_same_trunk() -> None:
    jets = make_jets(2000)
    settings = Training(epochs=12, batch_size=64, learning_rate=3e-3, devices=1)
    tagger = Tagger(regress=["jet_pt"], training=settings, features=["log_pt", "deta", "dphi"])
    tagger.fit(jets, seed=1, progress=False)
    test = make_jets(500, 1)
    truth = np.asarray(test["jet_pt"])
    found = tagger.regression(test)["jet_pt"]
    assert np.corrcoef(found, truth)[0, 1] > 0.9
    assert score(tagger, test) > 0.9


def test_many_classes() -> None:
    jets = make_jets(900)
    lengths = np.asarray(ak.num(jets.constituents))
    label = np.digitize(lengths, [12, 21])
    jets = ak.with_field(jets, label, "label")
    tagger = Tagger(
        "linear", observables=["multiplicity", "mass"], classes=["few", "some", "many"],
        training=Training(epochs=40, batch_size=64, learning_rate=5e-2, devices=1),
    ).fit(jets, seed=1, progress=False)  # fmt: skip
    assert (tagger.predict(jets) == label).mean() > 0.9


def test_bad_choices_are_named() -> None:
    jets = make_jets(50)
    for arguments, sentence in (
        ({"network": "resnet"}, "no network is called 'resnet'"),
        ({"network": "pfn", "options": {"depth": 3}}, "network 'pfn' has no option 'depth'"),
        ({"features": ["d0"]}, "constituents have no column 'd0'"),
        ({"network": "mlp", "observables": "all"}, "preset 'all'|observable 'a'"),
        ({"regress": ["truth_pt"]}, "regress: the jets have no column 'truth_pt'"),
        ({"spectrum": "quark"}, "spectrum is 'quark'; give flat or one of"),
    ):
        with pytest.raises(InputError, match=sentence):
            Tagger(**arguments, training=QUICK).fit(jets, progress=False)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="all jets are of class"):
        Tagger(training=QUICK).fit(jets[np.asarray(jets["label"]) == 1], progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    tagger = Tagger("linear", observables=["mass", "width"], training=QUICK)
    return tagger.fit(make_jets(200), progress=False).save(tmp_path_factory.mktemp("m") / "tagger")


def copied(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_tampered_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "t")
    content = bytearray((copy / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "weights.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="its checksum differs"):
        load(copy)


def test_another_format_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "t")
    description = json.loads((copy / "method.json").read_text())
    (copy / "method.json").write_text(json.dumps({**description, "format": 99}))
    with pytest.raises(InputError, match="saved in format 99, this version reads format 2"):
        load(copy)
    (copy / "method.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        load(copy)
    (copy / "method.json").unlink()
    with pytest.raises(InputError, match=r"holds no method\.json"):
        load(copy)


def test_an_existing_folder_is_not_overwritten(folder: Path) -> None:
    before = (folder / "method.json").read_bytes()
    with pytest.raises(InputError, match="exists already; choose another output or give --force"):
        load(folder).save(folder)
    assert (folder / "method.json").read_bytes() == before


def test_methods_name_their_folder(folder: Path) -> None:
    class Other(Method):
        name: ClassVar[str] = "other"

    with pytest.raises(InputError, match="holds the method 'tagging', not 'other'"):
        Other.load(folder)


def test_nan_is_named() -> None:
    jets = make_jets(20)
    pt = np.where(np.arange(20) == 7, np.nan, 1.0)
    px = jets.constituents.px * pt
    broken = ak.with_field(jets, ak.with_field(jets.constituents, px, "px"), "constituents")
    with pytest.raises(InputError, match="column 'px' is NaN or infinite in event 7"):
        Tagger(training=QUICK).fit(broken, progress=False)
