"""Tagging from files as they are published: one labelled file, one-hot labels, flat n-tuples."""

import json
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.sources import read, write
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.tagging import Source, TaggingTask
from samples import make_jets

QUICK = ("--training.epochs", 2, "--training.batch_size", 64, "--training.devices", 1)
FOUR = ("E", "PX", "PY", "PZ")


def said(capsys, *argv: object) -> tuple[int, str, str]:
    """Run the command line; return the exit code, what it printed, and its one line of error."""
    code = main([str(a) for a in argv])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err.strip()


def refused(method: Tagger, reading: Reading = Reading(), **options) -> str:  # noqa: B008
    """Read until it is refused, and return the sentence."""
    with pytest.raises(InputError) as caught:
        list(TaggingTask().read(method, reading, **options).arguments["jets"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def jets_of(method: Tagger, reading: Reading = Reading(), **options) -> ak.Array:  # noqa: B008
    """Return all events that `fit` would be given."""
    return ak.concatenate(list(TaggingTask().read(method, reading, **options).arguments["jets"]))


def reference_file(path: Path, count: int = 400) -> dict[str, np.ndarray]:
    """Write the Top Tagging Reference layout as pandas does, without pandas: format 'fixed'."""
    random = np.random.default_rng(1)
    label, most = random.integers(0, 2, count), 10
    width = np.where(label, 0.4, 0.1)[:, None]
    pt = np.sort(random.exponential(60, (count, most)), 1)[:, ::-1]
    eta, phi = (random.normal(0, 1, (count, most)) * width for _ in range(2))
    real = np.arange(most) < random.integers(3, most + 1, count)[:, None]
    four = {
        "E": pt * np.cosh(eta),
        "PX": pt * np.cos(phi),
        "PY": pt * np.sin(phi),
        "PZ": pt * np.sinh(eta),
    }
    four = {name: np.where(real, x, 0).astype("f4") for name, x in four.items()}
    with h5py.File(path, "w") as file:
        table = file.create_group("table")
        table["axis0"] = np.array([b"E_0"])
        table["axis1"] = np.arange(count)
        names = [f"{c}_{j}".encode() for j in range(most) for c in FOUR]
        table["block0_items"] = np.array(names)
        table["block0_values"] = np.stack(
            [four[c][:, j] for j in range(most) for c in FOUR], axis=1
        )
        table["block1_items"] = np.array([b"is_signal_new"])
        table["block1_values"] = label[:, None]
    return {**four, "label": label, "real": real}


def test_the_top_tagging_reference_trains_from_one_command(tmp_path, capsys) -> None:
    for name, count in (("train", 400), ("test", 200)):
        truth = reference_file(tmp_path / f"{name}.h5", count)
    model, tested = tmp_path / "model", tmp_path / "tested"
    argv = ["--files", tmp_path / "train.h5", "--label", "is_signal_new", "--out", model]
    argv += ["--training.epochs", 8, "--training.learning_rate", 3e-3, *QUICK[2:]]
    code, out, error = said(capsys, "fit", "tagging", *argv)
    assert (code, error) == (0, "")
    assert "read 400 events: " in out
    assert " background, " in out
    assert "particles an event" in out
    assert "each counts one" in out
    argv = ["--files", tmp_path / "test.h5", "--label", "is_signal_new", "--out", tested]
    code, _, error = said(capsys, "evaluate", model, *argv)
    assert (code, error) == (0, "")
    rows = json.loads((tested / "results.json").read_text())["rows"]
    assert next(row["value"] for row in rows if row["quantity"] == "AUC") > 0.9
    events = ak.from_parquet(tested / "events.parquet")
    np.testing.assert_array_equal(events["label"], truth["label"])


def test_one_labelled_file_gives_each_column_and_label(tmp_path) -> None:
    path = tmp_path / "train.h5"
    truth = reference_file(path, 60)
    for label in ("is_signal_new", None):  # the layout knows the name of its label
        found = jets_of(Tagger(), files=str(path), label=label)
        np.testing.assert_array_equal(found["label"], truth["label"])
        np.testing.assert_array_equal(found["event"], np.arange(60))
        np.testing.assert_array_equal(ak.num(found["constituents"]), truth["real"].sum(1))
        for ours, theirs in (("px", "PX"), ("py", "PY"), ("pz", "PZ"), ("E", "E")):
            given = truth[theirs][truth["real"]]
            np.testing.assert_array_equal(ak.flatten(found["constituents", ours]), given)


def test_a_file_of_both_classes_is_no_file_of_one(tmp_path) -> None:
    path = tmp_path / "train.h5"
    reference_file(path, 40)
    both = f"{path}: is given for the classes background and signal"
    assert refused(Tagger(), signal=str(path), background=[str(path)]).startswith(both)
    (tmp_path / "other.h5").write_bytes(path.read_bytes())
    sentence = refused(Tagger(), signal=str(path), background=str(tmp_path / "other.h5"))
    assert "holds a column 'label' of 0, 1" in sentence
    assert "give all as files with label" in sentence
    named = Reading(columns={"label": "is_signal_new"})
    sentence = refused(Tagger(), named, signal=str(path), background=str(tmp_path / "other.h5"))
    assert sentence.startswith("columns names a label")
    sentence = refused(Tagger(), files={"a": str(path)}, label="is_signal_new")
    assert sentence.startswith("label is given, and the files of a say the class")


def test_a_copy_of_the_background_is_no_signal(tmp_path) -> None:
    jets = make_jets(60)
    jets = jets[[f for f in jets.fields if f != "label"]]
    paths = {name: str(tmp_path / f"{name}.parquet") for name in ("background", "signal")}
    write(paths["background"], jets)
    write(paths["signal"], jets)
    said = "signal.parquet: holds the same events for class signal as are given for background"
    assert said in refused(Tagger(), **paths)
    assert said in refused(Tagger("mlp"), **paths, features="jet_pt, jet_mass")
    write(paths["signal"], jets[::-1], force=True)
    assert len(jets_of(Tagger(), **paths)) == 120


def write_parts(folder: Path, **weights: np.ndarray | None) -> dict[str, str]:
    """Write signal and background of 30 jets each, with weights where they are given."""
    jets = make_jets(200)
    paths = {}
    for value, name in enumerate(("background", "signal")):
        part = jets[np.asarray(jets["label"]) == value][:30]
        part = part[[f for f in part.fields if f != "label"]]
        if (weight := weights.get(name)) is not None:
            part = ak.with_field(part, weight, "weight")
        paths[name] = str(folder / f"{name}.parquet")
        write(paths[name], part)
    return paths


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_weights_of_one_class_alone_are_refused_or_said(tmp_path, value) -> None:
    paths = write_parts(tmp_path, signal=np.full(30, value))
    sentence = refused(Tagger(), **paths)
    assert "events of class signal have a column 'weight' and those of background have" in sentence
    assert "{signal: weight, background: 1}" in sentence
    found = jets_of(Tagger(), **paths, weight={"signal": "weight", "background": "1"})
    np.testing.assert_array_equal(found["weight"], np.repeat([1.0, value], 30))
    np.testing.assert_array_equal(found["label"], np.repeat([0, 1], 30))
    found = jets_of(Tagger(), **paths, weight="1")
    np.testing.assert_array_equal(found["weight"], np.ones(60))


def test_a_class_of_no_weight_is_refused(tmp_path) -> None:
    paths = write_parts(tmp_path, signal=np.zeros(30), background=np.ones(30))
    inputs = TaggingTask().read(Tagger("linear"), Reading(), **paths)
    with pytest.raises(InputError, match="the weights of class 'signal' sum to 0"):
        inputs.method.fit(**inputs.arguments, progress=False)


def labelled(path: Path, **columns: np.ndarray) -> ak.Array:
    jets = make_jets(120)
    jets = jets[[f for f in jets.fields if f not in ("label", *columns)]]
    for name, column in columns.items():
        jets = ak.with_field(jets, column, name)
    write(path, jets)
    return jets


def test_several_classes_by_their_values(tmp_path) -> None:
    path = tmp_path / "jets.parquet"
    flavour = np.resize([0, 5, 4, 5], 120)
    labelled(path, flavour=flavour)
    tagger = Tagger()
    options = {"files": str(path), "label": "flavour", "classes": "light=0,c=4,b=5"}
    found = jets_of(tagger, **options)
    np.testing.assert_array_equal(found["label"], np.resize([0, 2, 1, 2], 120))
    assert tagger.classes == ["light", "c", "b"]
    sentence = refused(Tagger(), **options | {"classes": "light=0,b=5"})
    assert "'flavour' is 4 in the event of number 2, which is none of the classes" in sentence
    assert "'flavour != 4'" in sentence
    kept = jets_of(
        Tagger(), Reading(selection="flavour != 4"), **options | {"classes": "light=0,b=5"}
    )
    np.testing.assert_array_equal(kept["label"], np.resize([0, 1, 1], 90))
    sentence = refused(Tagger(), **options | {"classes": None})
    assert "'flavour' is 5 in the event of number 1" in sentence


def test_one_hot_labels(tmp_path) -> None:
    path, truth = tmp_path / "jets.root", np.resize([2, 0, 1, 1], 120)
    names = [f"label_{x}" for x in ("QCD", "W", "top")]
    hot = {name: (truth == k).astype(np.float32) for k, name in enumerate(names)}
    labelled(path, **hot)
    tagger = Tagger()
    found = jets_of(tagger, files=str(path), label=names)
    np.testing.assert_array_equal(found["label"], truth)
    assert tagger.classes == names
    assert not any(field.startswith("label label_") for field in found.fields)
    found = jets_of(tagger, files=str(path), label=",".join(names[::-1]), classes="t,w,q")
    np.testing.assert_array_equal(found["label"], 2 - truth)
    assert tagger.classes == ["t", "w", "q"]
    sentence = refused(Tagger(), files=str(path), label=names[:2])
    assert "the event of number 0 is of no class (label_QCD 0, label_W 0)" in sentence
    chosen = Reading(selection="label_QCD + label_W == 1")
    kept = jets_of(Tagger(), chosen, files=str(path), label=names[:2])
    np.testing.assert_array_equal(kept["label"], np.resize([0, 1, 1], 90))
    hot["label_W"] = hot["label_W"] + hot["label_QCD"]
    labelled(path.with_name("two.root"), **hot)
    sentence = refused(Tagger(), files=str(path.with_name("two.root")), label=names)
    assert "number 1 is of no single class (label_QCD 1, label_W 1, label_top 0)" in sentence


def ntuple(path: Path, count: int = 300, seed: int = 0, shift: float = 1.0, **more) -> dict:
    """Write a flat n-tuple: numbers an event, of which a and log(c) tell the classes apart."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, count)
    columns = {
        "a": random.normal(0, 1, count) + shift * label,
        "b": random.integers(-3, 9, count).astype(np.int32),
        "c": np.exp(random.normal(0, 1, count) + shift * label).astype(np.float32),
        "is_signal": label,
        "w": random.uniform(0.5, 1.5, count),
        "number": (1 << 60) + np.arange(count),
        **{name: values[:count] for name, values in more.items()},
    }
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values
    else:
        write(path, columns)
    return columns


@pytest.mark.parametrize("suffix", ["root", "parquet", "h5"])
@pytest.mark.parametrize("network", ["mlp", "boosted-trees"])
def test_a_flat_ntuple_through_all_verbs(tmp_path, capsys, suffix, network) -> None:
    path, model = tmp_path / f"flat.{suffix}", tmp_path / "model"
    truth = ntuple(path, shift=2.0)
    argv = ["--network", network, "--features", "a,b,log(c)", "--weight", "w"]
    argv += QUICK if network == "mlp" else ()
    code, out, error = said(
        capsys, "fit", "tagging", "--files", path, "--label", "is_signal", *argv, "--out", model
    )
    assert (code, error) == (0, "")
    assert "read 300 events: " in out
    assert "sums of weights" in out
    scored = tmp_path / "scored.parquet"
    code, _, error = said(capsys, "apply", model, path, "--out", scored)
    assert (code, error) == (0, "")
    events = ak.from_parquet(scored)
    assert set(events.fields) == {*truth, "score"}
    for name, values in truth.items():
        np.testing.assert_array_equal(events[name], values)
    from colliderkit.methods.method import load

    columns = {"a": truth["a"], "b": truth["b"], "log(c)": np.log(truth["c"].astype(float))}
    expected = load(model).predict_proba(ak.zip(columns))[:, 1]
    np.testing.assert_array_equal(events["score"], expected)
    tested = tmp_path / "tested"
    options = ["--label", "is_signal", "--weight", "w", "--out", tested]
    code, _, error = said(capsys, "evaluate", model, "--files", path, *options)
    assert (code, error) == (0, "")
    judged = ak.from_parquet(tested / "events.parquet")
    np.testing.assert_array_equal(judged["label"], truth["is_signal"])
    np.testing.assert_array_equal(judged["weight"], truth["w"])
    np.testing.assert_array_equal(judged["score"], expected)
    if network == "mlp" and suffix == "root":
        code, _, error = said(capsys, "export", model, path, "--out", tmp_path / "tagger.onnx")
        assert (code, error) == (0, "")
        code, _, error = said(capsys, "report", tested)
        assert (code, error) == (0, "")
        kept = json.loads((model / "account.json").read_text())
        assert kept["read"][0].startswith(f"read {path}: 300 events; a ")
        assert kept["read"][1].startswith("read 300 events: ")
        page = (tested / "report.html").read_text()
        assert "What was read" in page
        for line in kept["read"]:
            assert line.removeprefix("read ") in page


def test_a_flat_ntuple_a_class(tmp_path) -> None:
    truth = {
        name: ntuple(tmp_path / f"{name}.root", seed=k, weight=np.full(300, k + 1.0))
        for k, name in enumerate(("background", "signal"))
    }
    paths = {name: str(tmp_path / f"{name}.root") for name in truth}
    found = jets_of(Tagger("mlp"), **paths, features="a, b, log(c)")
    assert set(found.fields) == {"a", "b", "log(c)", "weight", "event", "label"}
    np.testing.assert_array_equal(found["label"], np.repeat([0, 1], 300))
    np.testing.assert_array_equal(found["weight"], np.repeat([1.0, 2.0], 300))
    both = np.concatenate([columns["a"] for columns in truth.values()])
    np.testing.assert_array_equal(found["a"], both)
    assert len(np.unique(found["event"])) == 600
    sentence = refused(Tagger("mlp"), **paths, features="a,weight")
    assert sentence.startswith("features has 'weight'")
    options = {"files": paths["signal"], "label": "is_signal"}
    sentence = refused(Tagger("mlp"), **options, features="a,is_signal")
    assert sentence.startswith("features has 'is_signal', which is the label")
    sentence = refused(Tagger("mlp"), **options, features="a,bb")
    assert "no column 'bb'" in sentence


def test_apply_leaves_the_columns_of_the_user(tmp_path, capsys) -> None:
    path, model = tmp_path / "flat.root", tmp_path / "model"
    truth = ntuple(path, score=np.arange(300.0))
    argv = ["--label", "is_signal", "--features", "a", "--network", "linear", *QUICK]
    assert said(capsys, "fit", "tagging", path, *argv, "--out", model)[0] == 0
    out = tmp_path / "scored.root"
    code, _, error = said(capsys, "apply", model, path, "--out", out)
    assert code == 2
    assert "would write the column 'score', which the files have" in error
    assert not out.exists()
    code, _, error = said(capsys, "apply", model, path, "--score", "second", "--out", out)
    assert (code, error) == (0, "")
    import uproot

    events = uproot.open(out)["jets"].arrays()
    np.testing.assert_array_equal(events["score"], truth["score"])
    second = np.asarray(events["second"])
    assert ((second > 0) & (second < 1)).all()


def test_jets_that_were_scored_keep_their_score(tmp_path) -> None:
    jets = ak.with_field(make_jets(60), np.linspace(2, 3, 60), "score")
    write(tmp_path / "jets.parquet", jets)
    tagger = Tagger("linear", observables=("mass",)).fit(make_jets(200), progress=False)
    task, out = TaggingTask(), tmp_path / "scored.parquet"
    with pytest.raises(InputError, match="would write the column 'score', which the files have"):
        task.apply(tagger, Reading(), str(tmp_path / "jets.parquet"), out=out)
    task.apply(tagger, Reading(), str(tmp_path / "jets.parquet"), out=out, score="next")
    found = read(out)
    np.testing.assert_array_equal(found["score"], jets["score"])
    np.testing.assert_array_equal(
        found["next"], tagger.predict_proba(read(tmp_path / "jets.parquet"))[:, 1]
    )


def test_other_tasks_leave_the_columns_of_the_user(tmp_path, capsys) -> None:
    path, model = tmp_path / "flat.parquet", tmp_path / "model"
    truth = ntuple(path, estimate=np.arange(300.0), estimate_2=np.arange(300.0) / 2)
    argv = ["--files", path, "--features", "a", "--target", "c", "--method", "boosted-regression"]
    assert said(capsys, "fit", "regression", *argv, "--out", model)[0] == 0
    code, _, error = said(capsys, "apply", model, path, "--out", tmp_path / "out.parquet")
    assert code == 0
    assert "the files have a column 'estimate', which stays; the new one is 'estimate_3'" in error
    found = ak.from_parquet(tmp_path / "out.parquet")
    for name, values in truth.items():
        np.testing.assert_array_equal(found[name], values)
    assert {"estimate_3", "std", "low", "high"} <= set(found.fields)


def test_what_goes_with_what() -> None:
    nothing = [None] * 7
    with pytest.raises(InputError, match="name files together"):
        Source(Reading(), *nothing[:6]).by_class  # noqa: B018
