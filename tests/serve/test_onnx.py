"""ONNX files: the same answers as torch, from onnxruntime alone, or no file."""

import json
from types import SimpleNamespace

import awkward as ak
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from colliderkit.errors import InputError
from colliderkit.events.energyflow import EnergyFlow
from colliderkit.events.ragged import Ragged
from colliderkit.events.scaling import Standardise
from colliderkit.events.sets import ParticleSet
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.networks.linear import Linear
from colliderkit.networks.model import Model
from colliderkit.serve.onnx import export, export_method, single
from colliderkit.training.settings import Training

COLUMNS = ("px", "py", "pz", "E", "d0")
SHORT = Training(epochs=2, batch_size=500, learning_rate=3e-3)
from contracts.cases import CASES


class DeepSet(nn.Module):
    """Phi, a sum over particles, F: a Particle Flow Network in small."""

    def __init__(self, inputs: int, outputs: int = 2) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 16))
        self.f = nn.Linear(16, outputs)

    def forward(self, features, vectors, mask):
        return self.f((self.phi(features) * mask[..., None]).sum(1))


class Fixed(DeepSet):
    """Takes one particle after another: the length that it is traced with becomes constant."""

    def forward(self, features, vectors, mask):
        total = 0
        for i in range(features.shape[1]):
            total = total + self.phi(features[:, i]) * mask[:, i, None]
        return self.f(total)


class Untruthful(DeepSet):
    """Answers differently when it is exported."""

    def forward(self, features, vectors, mask):
        wrong = 0.01 if torch.compiler.is_exporting() else 0.0
        return super().forward(features, vectors, mask) + torch.tensor([wrong, 0.0])


@pytest.fixture(scope="module")
def jets():
    random = np.random.default_rng(0)
    lengths = np.concatenate([[1, 2, 3], random.integers(1, 30, size=60)])
    pt, eta, phi, d0 = random.normal(size=(4, lengths.sum()))
    pt = 1 + 20 * pt**2
    flat = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "E": 1.01 * pt * np.cosh(eta),
        "d0": d0,
    }
    return Ragged.from_awkward(ak.unflatten(ak.zip(flat), lengths), COLUMNS)


@pytest.fixture(scope="module")
def model(jets):
    torch.manual_seed(1)
    represent = ParticleSet(COLUMNS, ("deta", "dphi", "log_pt", "d0")).fit(jets.values)
    return Model(represent, DeepSet(4, outputs=4)).eval()


@pytest.fixture(scope="module")
def exported(model, jets, tmp_path_factory):
    """What a fitted tagger gives to the exporter."""
    path = tmp_path_factory.mktemp("onnx") / "tagger.onnx"
    tagger = Tagger(classes=("qcd", "top", "w"), regress=("jet_mass",))
    tagger.model_, tagger.columns_, tagger.seed_ = model, COLUMNS, 7
    tagger.target_mean_, tagger.target_scale_ = torch.tensor([80.0]), torch.tensor([25.0])
    tagger.inputs = lambda jets: jets
    return path, export_method(tagger, path, jets)


def test_probabilities_and_quantities_are_those_of_torch(model, jets, exported):
    path, difference = exported
    session = onnxruntime.InferenceSession(path)
    assert difference < 1e-5
    # Sizes that the check at export does not use.
    for events in (torch.arange(5, 6), torch.arange(11), torch.arange(4).repeat(40)):
        values, mask = jets.padded(events, 11)
        with torch.no_grad():
            outputs = model(values, mask)
        probability, mass = session.run(None, {"constituents": values.numpy()})
        np.testing.assert_allclose(probability, outputs[:, :3].softmax(1), atol=1e-5)
        np.testing.assert_allclose(mass, 80 + 25 * outputs[:, 3], rtol=1e-4)


def test_padding_changes_nothing(jets, exported):
    session = onnxruntime.InferenceSession(exported[0])
    values, _ = jets.padded(torch.arange(6))
    longer = nn.functional.pad(values, (0, 0, 0, 9))
    short, long = (session.run(None, {"constituents": x.numpy()})[0] for x in (values, longer))
    np.testing.assert_allclose(short, long, atol=1e-6)
    empty = session.run(None, {"constituents": np.zeros((2, 3, 5), np.float32)})[0]
    assert np.isfinite(empty).all()


def test_the_file_says_what_it_takes_and_gives(exported):
    path, difference = exported
    session = onnxruntime.InferenceSession(path)
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type) == ("constituents", "tensor(float)")
    assert taken.shape == ["batch", "length", 5]
    assert [x.name for x in session.get_outputs()] == ["probability", "jet_mass"]
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["columns"]) == list(COLUMNS)
    assert json.loads(said["units"]) == ["GeV", "GeV", "GeV", "GeV", "mm"]
    assert json.loads(said["classes"]) == ["qcd", "top", "w"]
    assert said["seed"] == "7"
    assert float(said["largest_difference_to_torch"]) == pytest.approx(difference, rel=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["tagger.onnx"]
    onnx.checker.check_model(onnx.load(path, load_external_data=False))
    assert b"site-packages" not in path.read_bytes()
    assert b"onnx.py" not in path.read_bytes()


def test_the_exporter_is_quiet_and_leaves_the_model_alone(tmp_path, capfd):
    table, columns = torch.randn(9, 3), ("a", "b", "c")
    model = Model(Standardise(3).fit(table), nn.Sequential(nn.Dropout(0.5), Linear(3))).train()
    export(model, tmp_path / "a.onnx", example=table, columns=columns, classes=("a", "b"))
    assert model.training
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_a_table_and_its_trees(tmp_path):
    random = np.random.default_rng(2)
    y = random.integers(3, size=600)
    x = (random.normal(size=(600, 4)) + y[:, None]).astype(np.float32)
    x[::7, 1] = np.nan
    table = torch.from_numpy(x)
    trees = BoostedTrees.fit(x, y, max_iter=8, max_depth=4)
    path = tmp_path / "trees.onnx"
    model = Model(nn.Identity(), trees)
    export(model, path, example=table, columns=("a", "b", "c", "d"), classes=("q", "g", "b"))
    probability = onnxruntime.InferenceSession(path).run(None, {"table": x[:101]})[0]
    np.testing.assert_allclose(probability, trees(table[:101]).softmax(1), atol=1e-6)


def test_energy_flow_is_inside_the_file(jets, tmp_path):
    torch.manual_seed(3)
    flow = EnergyFlow(4).fit(*jets.padded(torch.arange(len(jets))))
    network = Linear(flow.size)
    nn.init.normal_(network.layer.weight, std=0.1)
    model, path = Model(flow, network).eval(), tmp_path / "efp.onnx"
    export(model, path, example=jets, classes=("a", "b"))
    values, mask = jets.padded(torch.arange(40, 60))
    given = onnxruntime.InferenceSession(path).run(None, {"constituents": values.numpy()})[0]
    np.testing.assert_allclose(given, model(values, mask).softmax(1).detach(), atol=1e-5)


def test_no_file_where_onnxruntime_disagrees(jets, tmp_path):
    model = Model(ParticleSet(COLUMNS), Untruthful(7))
    with pytest.raises(InputError, match=r"differs from torch by \d.\de-03 for Untruthful"):
        export(model, tmp_path / "a.onnx", example=jets, classes=("a", "b"))
    assert list(tmp_path.iterdir()) == []


def test_no_file_where_a_size_becomes_constant(jets, tmp_path):
    model, small = Model(ParticleSet(COLUMNS), Fixed(7)), jets.at(torch.arange(3))
    with pytest.raises(InputError, match="Fixed: torch cannot write it as ONNX"):
        export(model, tmp_path / "a.onnx", example=small, classes=("a", "b"))
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_named(model, jets, exported, tmp_path):
    with pytest.raises(InputError, match="SimpleNamespace cannot be written as ONNX; a Tagger, a"):
        export_method(SimpleNamespace(), tmp_path / "a.onnx", jets)
    for case in CASES.values():  # no method ends in a traceback
        with pytest.raises(InputError, match=r"cannot be written as ONNX|is not fitted; call fit"):
            export_method(case.make(), tmp_path / "a.onnx", jets)
    with pytest.raises(InputError, match="exists already"):
        export(model, exported[0], example=jets, classes=("a", "b"))
    with pytest.raises(InputError, match="no example events"):
        export(model, tmp_path / "a.onnx", example=jets.at(torch.arange(0)), classes=("a", "b"))
    table = Model(Standardise(3), Linear(3))
    with pytest.raises(InputError, match="name the columns"):
        export(table, tmp_path / "a.onnx", example=torch.zeros(4, 3), classes=("a", "b"))


def test_a_ratio_of_members_and_its_calibration(tmp_path):
    random = np.random.default_rng(4)
    numerator, denominator = random.gamma(5, 1, (6000, 2)), random.gamma(6, 1, (6000, 2))
    ratio = Ratio(members=4, combine="median", calibrate=True, loss="mlc", training=SHORT)
    ratio.fit(numerator, denominator, seed=2)
    # Shifts that are not small, and a jump, where two knots coincide.
    knots = torch.tensor([-0.5, -0.1, -0.1, 0.2, 0.6], dtype=torch.float64)
    ratio.calibration_ = torch.stack([knots, torch.tensor([0.3, 0.1, -0.2, 0.4, -0.6]).double()])
    path = tmp_path / "ratio.onnx"
    assert export_method(ratio, path, denominator[:200]) < 1e-5
    session = onnxruntime.InferenceSession(path)
    assert [x.name for x in session.get_outputs()] == ["log_ratio"]
    events = random.gamma(5.5, 1, (77, 2)).astype(np.float32)
    (ln_r,) = session.run(None, {"table": events})
    np.testing.assert_allclose(ln_r, ratio.log_ratio(events), atol=1e-5)
    assert np.ptp(ln_r) > 0.5


def test_a_ratio_takes_theta_and_says_its_range(tmp_path):
    random = np.random.default_rng(5)
    theta = random.uniform(-1, 1, (6000, 1))
    x1, x0 = random.normal(theta, 1), random.normal(0, 1.5, (6000, 1))
    ratio = Ratio(columns=["x"], parameters=["mu"], family=False, training=SHORT)
    ratio.fit(x1, x0, theta=theta, seed=1)
    path = tmp_path / "ratio.onnx"
    export_method(ratio, path, x0[:100])
    session = onnxruntime.InferenceSession(path)
    assert [(x.name, x.shape[1]) for x in session.get_inputs()] == [("table", 1), ("theta", 1)]
    point = np.linspace(-0.9, 0.9, 50, dtype=np.float32)[:, None]
    (ln_r,) = session.run(None, {"table": x0[:50].astype(np.float32), "theta": point})
    np.testing.assert_allclose(ln_r, ratio.log_ratio(x0[:50], point), atol=1e-5)
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["parameters"]) == ["mu"]
    assert json.loads(said["columns"]) == ["x"]
    np.testing.assert_allclose(json.loads(said["theta_range"]), [[theta.min(), theta.max()]])


def test_no_file_of_a_ratio_that_answers_otherwise(tmp_path):
    random = np.random.default_rng(6)
    x = random.normal(size=(2000, 1))
    ratio = Ratio(training=SHORT).fit(x + 0.5, x, seed=1)
    ratio.answer = lambda inputs, context: Ratio.answer(ratio, inputs, context) + 1e-3
    with pytest.raises(InputError, match=r"differs from torch by 1\.0e-03 for perceptron"):
        export_method(ratio, tmp_path / "a.onnx", x[:50])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="not fitted"):
        export_method(Ratio(), tmp_path / "a.onnx", x)


def test_a_column_that_float32_cannot_hold_is_named():
    table = torch.from_numpy(np.random.default_rng(7).normal(size=(500, 2)))
    far = table + torch.tensor([0.0, 1e7])
    with pytest.raises(InputError, match=r"column 'b' lies at 1e\+07 with a spread of \S+, which"):
        single(far, ["a", "b"])
    # What float32 holds goes through, and a constant has no spread to be lost in.
    near = torch.cat([table + 100, torch.full((500, 1), 1e9 / 3)], 1).double()
    rounded = single(near, ["a", "b", "c"])
    assert torch.equal(rounded, near.float().double())
