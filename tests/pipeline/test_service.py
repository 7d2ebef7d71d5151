"""From a fitted method to a server and back: export, serve, apply and evaluate by the server."""

import json

import awkward as ak
import numpy as np
import pytest
from google.protobuf import text_format

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.regression.ensemble import DeepEnsemble
from colliderkit.serve.answers import on_server
from colliderkit.serve.inference.messages import message_class
from colliderkit.serve.onnx import export_method
from colliderkit.serve.regression import export_regression
from colliderkit.serve.remote import RemoteModel
from colliderkit.sources import read, write
from colliderkit.training.settings import Training
from samples import make_jets

SHORT = Training(epochs=2, batch_size=200, learning_rate=3e-3)
NOBODY = "http://127.0.0.1:9"


def run(*words):
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files, and two fitted methods with their exported files."""
    folder = tmp_path_factory.mktemp("service")
    random = np.random.default_rng(1)
    samples = [random.normal(shift, 1, (600, 2)) for shift in (0.3, 0.0)]
    for name, x in zip(("one", "two"), samples, strict=True):
        write(folder / f"{name}.root", dict(zip("ab", x.T, strict=True)))
        # So few that no trees are trained on them.
        write(folder / f"few-{name}.root", dict(zip("ab", x[:90].T, strict=True)))
    for name, seed in (("ratio", 0), ("other", 5)):
        ratio = Ratio(columns=["a", "b"], hidden=(8,), training=SHORT).fit(*samples, seed=seed)
        ratio.save(folder / name)
        export_method(ratio, folder / f"{name}.onnx", samples[0])
    return folder


@pytest.fixture(scope="module")
def server(folder):
    pytest.importorskip("grpc")
    from colliderkit.serve.inference import Server

    with Server([f"ratio={folder / 'ratio.onnx'}"], http=0, grpc=0) as server:
        yield server


def test_a_method_is_exported_for_triton(folder, capsys):
    for backend in ("onnxruntime", "python"):
        words = ("export", folder / "ratio", folder / "one.root", "--triton", folder / backend)
        assert run(*words, "--backend", backend) == 0
        assert "exported: " in capsys.readouterr().out
        made = folder / backend / "ratio"
        config = message_class("ModelConfig")()
        text_format.Parse((made / "config.pbtxt").read_text(), config)
        assert (config.name, config.backend) == ("ratio", backend)
        assert [list(taken.dims) for taken in config.input] == [[2]]
        assert (made / "1" / "model.onnx").is_file()
        before = (made / "config.pbtxt").stat().st_mtime_ns
        assert run(*words, "--backend", backend) == 2
        assert "give --force" in capsys.readouterr().err
        assert (made / "config.pbtxt").stat().st_mtime_ns == before
        assert run(*words, "--backend", backend, "--force") == 0
    capsys.readouterr()
    for words, said in (
        (("--triton", folder / "x", "--out", folder / "y.onnx"), "give one of the two"),
        ((), "give one of the two"),
        (("--out", folder / "y.onnx", "--backend", "python"), "give --triton"),
    ):
        assert run("export", folder / "ratio", folder / "one.root", *words) == 2
        assert said in capsys.readouterr().err


def test_apply_and_evaluate_ask_a_server(folder, server, capsys):
    grpc = f"grpc://127.0.0.1:{server.grpc}"
    for name, more in (
        ("here", ()),
        ("there", ("--server", grpc)),  # by the name of the folder
        ("farm", ("--server", f"{NOBODY}/ratio,http://127.0.0.1:{server.http}/ratio/1")),
    ):
        out = folder / f"{name}.parquet"
        assert run("apply", folder / "ratio", folder / "two.root", "--out", out, *more) == 0
    here, there, farm = (
        np.asarray(ak.from_parquet(folder / f"{name}.parquet")["ratio"])
        for name in ("here", "there", "farm")
    )
    np.testing.assert_allclose(there, here, rtol=1e-5)
    np.testing.assert_allclose(farm, here, rtol=1e-5)
    files = ("--numerator", folder / "few-one.root", "--denominator", folder / "few-two.root")
    found = {}
    for name, more in (("test", ()), ("test-there", ("--server", grpc))):
        assert run("evaluate", folder / "ratio", *files, "--out", folder / name, *more) == 0
        rows = json.loads((folder / name / "results.json").read_text())["rows"]
        found[name] = {(row["subject"], row["quantity"]): row["value"] for row in rows}
    assert found["test"] == pytest.approx(found["test-there"], rel=1e-3)


def test_a_server_with_another_model_is_refused(folder, server, capsys):
    words = ("apply", folder / "other", folder / "two.root", "--out", folder / "x.parquet")
    assert run(*words, "--server", f"grpc://127.0.0.1:{server.grpc}/ratio") == 2
    assert "holds another model" in capsys.readouterr().err
    assert run(*words, "--server", f"grpc://127.0.0.1:{server.grpc}") == 2
    assert "other" in capsys.readouterr().err
    assert run(*words, "--server", "127.0.0.1:8001") == 2
    assert "write grpc://host:port" in capsys.readouterr().err
    assert run(*words, "--server", f"{NOBODY}/other") == 2
    assert "check the address" in capsys.readouterr().err
    assert not (folder / "x.parquet").exists()


def test_the_method_answers_where_no_server_does(folder):
    ratio = load(folder / "ratio")
    x = np.random.default_rng(2).normal(size=(50, 2))
    with RemoteModel(f"{NOBODY}/ratio", deadline=0.2) as remote:
        asked = on_server(ratio, remote)
        with pytest.warns(UserWarning, match="The method answers here instead"):
            found = asked.weights(x)
        np.testing.assert_array_equal(found, ratio.weights(x))


def test_each_of_many_files(folder, server, capsys):
    (folder / "many").mkdir()
    random = np.random.default_rng(3)
    for i in range(3):
        x = random.normal(size=(50, 2))
        write(folder / "many" / f"{i}.root", dict(zip("ab", x.T, strict=True)))
    words = ("apply", folder / "ratio", folder / "many" / "*.root", "--out", folder / "scored")
    grpc = f"grpc://127.0.0.1:{server.grpc}"
    assert run(*words, "--server", grpc) == 0
    assert f"written: 3 files in {folder / 'scored'}" in capsys.readouterr().out
    ratio = load(folder / "ratio")
    for i in range(3):
        rows = read_columns(folder / "scored" / f"{i}.root")
        expected = ratio.weights(np.stack([rows["a"], rows["b"]], 1))
        np.testing.assert_allclose(rows["ratio"], expected, rtol=1e-5)
    (folder / "scored" / "1.root").unlink()
    assert run(*words, "--server", grpc) == 0
    assert "2 of 3 files are in" in capsys.readouterr().out
    # The folder is of this model: where its answers come from does not matter, which they are does.
    assert run("apply", folder / "other", *words[2:]) == 2
    assert "another request" in capsys.readouterr().err
    one = folder / "one.parquet"
    assert run(*words[:3], "--out", one, "--workers", "2") == 2
    assert "name a folder" in capsys.readouterr().err
    assert not one.exists()


def read_columns(path):
    import uproot

    with uproot.open(path) as file:
        return file["jets"].arrays(library="np")


def test_a_regression_is_asked_on_a_server(tmp_path):
    pytest.importorskip("grpc")
    from colliderkit.serve.inference import Server

    random = np.random.default_rng(1)
    x = random.normal(size=(300, 2))
    method = DeepEnsemble(members=2, hidden=(8,), training=SHORT)
    method.fit(x, x.sum(1) + random.normal(0, 0.3, 300), seed=0)
    export_regression(method, tmp_path / "energy.onnx", x)
    with (
        Server([str(tmp_path / "energy.onnx")], http=0, grpc=0) as server,
        RemoteModel(f"grpc://127.0.0.1:{server.grpc}/energy") as remote,
    ):
        asked = on_server(method, remote)
        ours, theirs = method.predict(x), asked.predict(x)
        np.testing.assert_allclose(theirs.estimate, ours.estimate, atol=1e-5)
        np.testing.assert_allclose(theirs.std, ours.std, atol=1e-5)
        np.testing.assert_allclose(asked.interval(x)[0], method.interval(x)[0], atol=1e-4)


@pytest.mark.slow
def test_a_tagger_is_asked_on_a_server(tmp_path):
    """Jets of mixed lengths, in requests by their length, come back in their order."""
    pytest.importorskip("grpc")
    from colliderkit.methods.tagging.tagger import Tagger
    from colliderkit.serve.inference import Server

    jets = make_jets(400)
    write(tmp_path / "jets.parquet", jets)
    jets = read(tmp_path / "jets.parquet")
    tagger = Tagger(training=SHORT, regress=["jet_mass"]).fit(jets, progress=False)
    export_method(tagger, tmp_path / "tagger.onnx", jets)
    with (
        Server([str(tmp_path / "tagger.onnx")], http=0, grpc=0) as server,
        RemoteModel(f"grpc://127.0.0.1:{server.grpc}/tagger", rows=32) as remote,
    ):
        asked = on_server(tagger, remote)
        np.testing.assert_allclose(
            asked.predict_proba(jets), tagger.predict_proba(jets), atol=1e-5
        )  # fmt: skip
        mass = tagger.regression(jets)["jet_mass"]
        np.testing.assert_allclose(asked.regression(jets)["jet_mass"], mass, rtol=1e-4)
        assert isinstance(asked, Tagger)
        assert remote.requests >= 2 * 13
