"""What users of the field's tools have reported in public, begun as they did: the right numbers.

Here is what the tests of the readers and methods do not have already with the same input.
"""

import pickle
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import onnxruntime
import pytest
import uproot
from numpy.typing import NDArray
from scipy.special import ndtr

from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.regression import Conformal
from colliderkit.methods.regression.conformal import conformal_quantile
from colliderkit.methods.regression.trees import BoostedRegression
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.methods.unfolding.binned import IterativeBayes, MatrixInversion
from colliderkit.metrics.roc import auc, roc
from colliderkit.networks import NETWORKS
from colliderkit.serve.onnx import export_method
from colliderkit.serve.unfolded_events import read_unfolded
from colliderkit.sources import read
from colliderkit.sources.files.rows import read_rows
from colliderkit.training.settings import Training
from samples import make_jets

FOUR = tuple(f"constituents.{c}" for c in ("px", "py", "pz", "E"))


def particles(jets: ak.Array) -> int:
    return int(ak.sum(ak.num(jets.constituents.px)))


@pytest.mark.filterwarnings("ignore:.*energies are taken as MeV")
def test_dumps_for_flavour_tagging(tmp_path: Path) -> None:
    """salt, umami-preprocessing 68: compound tables, `valid`, MeV, float16, 64-bit numbers."""
    n, m = 300, 40
    random = np.random.default_rng(1)
    counts = random.integers(0, 12, n)
    kinds = [(name, "f4") for name in ("pt", "eta", "phi", "mass")]
    whole = [("HadronConeExclTruthLabelID", "i4"), ("eventNumber", "u8")]
    jets = np.zeros(n, [*kinds, *whole])
    jets["pt"] = random.uniform(20e3, 250e3, n)
    jets["eta"], jets["phi"] = random.uniform(-2.5, 2.5, n), random.uniform(-3.1, 3.1, n)
    jets["mass"], jets["HadronConeExclTruthLabelID"] = 5e3, random.choice([0, 4, 5], n)
    jets["eventNumber"] = np.uint64(2**63) + np.arange(n).astype(np.uint64) // np.uint64(2)
    kinds = [("pt", "f4"), ("deta", "f2"), ("dphi", "f2"), ("d0", "f4"), ("charge", "i1")]
    tracks = np.zeros((n, m), [*kinds, ("valid", "?")])
    tracks["valid"] = np.arange(m) < counts[:, None]
    ranges = (("pt", 500, 2e4), ("deta", -0.4, 0.4), ("dphi", -0.4, 0.4), ("d0", -1, 1))
    for name, low, high in ranges:
        tracks[name] = np.where(tracks["valid"], random.uniform(low, high, (n, m)), np.nan)
    with h5py.File(tmp_path / "ftag.h5", "w") as file:
        file.create_dataset("jets", data=jets, compression="lzf")
        file.create_dataset("tracks", data=tracks, compression="lzf")
    for layout in (None, "flavour-tagging"):
        found = read(tmp_path / "ftag.h5", layout=layout)
        assert len(found) == 300
        assert particles(found) == counts.sum() == 1705
        assert int(ak.sum(ak.num(found.constituents.px) == 0)) == 22
        classes = {0: 0, 4: 1, 5: 2}
        truth = [classes[x] for x in jets["HadronConeExclTruthLabelID"].tolist()]
        assert found.label.tolist() == truth
        np.testing.assert_allclose(found.jet_pt, jets["pt"] / 1000, rtol=1e-6)
        assert len(set(found.event.tolist())) == 150


def frame(path: Path, form: str, values: NDArray, names: list, **how: object) -> None:
    """Write a frame under the key `df` as pandas does."""
    labels = np.array(names, "i8" if isinstance(names[0], int) else "S")
    with h5py.File(path, "w") as file:
        group = file.create_group("df")
        if form == "fixed":
            group["axis0"] = group["block0_items"] = labels
            group["axis1"] = np.arange(len(values))
            group.create_dataset("block0_values", data=values, **how)
            return
        kind = [("index", "i8"), ("values_block_0", values.dtype, values.shape[1:])]
        rows = np.empty(len(values), kind)
        rows["index"], rows["values_block_0"] = np.arange(len(values)), values
        table = group.create_dataset("table", data=rows, **how)
        table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(names, 0))


@pytest.mark.filterwarnings("ignore:.*its numbered columns are read as")
@pytest.mark.parametrize("filtered", ["plain", "gzip", "blosc"])
@pytest.mark.parametrize("named", [False, True], ids=["numbers", "names"])
@pytest.mark.parametrize("form", ["fixed", "table"])
def test_frames_of_the_lhc_olympics(tmp_path: Path, form: str, named: bool, filtered: str) -> None:
    """pandas 9057, h5py 611 and 2294: columns that are numbers, and blosc."""
    n, m = 50, 7
    random = np.random.default_rng(1)
    values, counts = np.zeros((n, 3 * m + 1), np.float32), random.integers(1, m + 1, n)
    for i, count in enumerate(counts):
        values[i, 0 : 3 * count : 3] = np.sort(random.exponential(100, count))[::-1]
        values[i, 1 : 3 * count : 3] = random.normal(0, 1, count)
        values[i, 2 : 3 * count : 3] = random.uniform(-3, 3, count)
    values[:, -1] = np.arange(n) % 2
    how: dict[str, object] = {"compression": "gzip"} if filtered == "gzip" else {}
    if filtered == "blosc":
        how = dict(pytest.importorskip("hdf5plugin").Blosc(cname="blosclz", clevel=5))
    names: list = list(range(3 * m + 1))
    columns = None
    if named:
        names = [f"{c}_{j}" for j in range(m) for c in ("PT", "ETA", "PHI")] + ["label"]
        four = ("PT * cos(PHI)", "PT * sin(PHI)", "PT * sinh(ETA)", "PT * cosh(ETA)")
        columns = dict(zip(FOUR, four, strict=True)) | {"label": "label"}
    frame(tmp_path / "frame.h5", form, values, names, **how)
    jets = read(tmp_path / "frame.h5", columns=columns)
    assert len(jets) == 50
    assert particles(jets) == counts.sum() == 195
    assert jets.label.tolist() == (np.arange(n) % 2).tolist()
    pt = np.hypot(ak.flatten(jets.constituents.px), ak.flatten(jets.constituents.py))
    np.testing.assert_allclose(pt, values[:, :-1:3][values[:, :-1:3] > 0], rtol=1e-5)


def test_numpy_and_csv(tmp_path: Path) -> None:
    """Quark and gluon jets as EnergyFlow distributes them, as npy, and the leading ones as csv."""
    random, n, m = np.random.default_rng(1), 50, 8
    real = (np.arange(m) < random.integers(1, m + 1, n)[:, None])[..., None]
    parts = random.exponential(20, (n, m)), random.normal(0, 1, (n, m))
    parts += random.uniform(0, 6.28, (n, m)), random.choice([22, 211, -211], (n, m))
    values = np.where(real, np.stack(parts, -1), 0)
    np.savez(tmp_path / "QG_jets.npz", X=values, y=np.arange(n) % 2)
    np.save(tmp_path / "jets.npy", values)
    header = "pt,y,phi,pid"
    np.savetxt(tmp_path / "jets.csv", values[:, 0], delimiter=",", header=header, comments="")
    jets = read(tmp_path / "QG_jets.npz")
    assert (len(jets), particles(jets)) == (50, real.sum())
    assert jets.label.tolist() == (np.arange(n) % 2).tolist()
    four = ("array_0 * cos(array_2)", "array_0 * sin(array_2)", "array_0 * sinh(array_1)")
    columns = dict(zip(FOUR, (*four, "array_0 * cosh(array_1)"), strict=True))
    jets = read(tmp_path / "jets.npy", columns=columns)
    assert (len(jets), particles(jets)) == (50, real.sum())
    found = read_rows(tmp_path / "jets.csv", ["pt", "y", "phi", "pid"])
    np.testing.assert_allclose(found.table(["pt", "y", "phi", "pid"]), values[:, 0], rtol=1e-15)


def test_an_exported_tagger_answers_any_shape(tmp_path: Path) -> None:
    """weaver-core 29: batches of 1, 2 and 300 jets in 1, 2, 7 and 250 slots, empty ones too.

    `tests/contracts` asks all networks for other shapes than those that they were traced with.
    """
    jets = make_jets(160)
    tagger = Tagger("pfn", training=Training(epochs=1, batch_size=64, devices=1))
    tagger.fit(jets, progress=False)
    export_method(tagger, tmp_path / "tagger.onnx", jets[:20])
    session = onnxruntime.InferenceSession(tmp_path / "tagger.onnx")
    (node,) = session.get_inputs()
    for batch in (1, 2, 300):
        for slots in (1, 2, 7, 250):
            random = np.random.default_rng(batch * slots)
            p = random.normal(0, 60, (batch, slots, 3))
            four = np.concatenate([p, np.sqrt((p**2).sum(-1, keepdims=True))], -1).astype("f4")
            count = random.integers(0, slots + 1, batch)
            count[0] = slots
            real = np.arange(slots) < count[:, None]
            four[~real] = 0
            columns = {
                c: ak.unflatten(four[real][:, i], count)
                for i, c in enumerate(("px", "py", "pz", "E"))
            }
            same = ak.zip({"constituents": ak.zip(columns)}, depth_limit=1)
            found = session.run(None, {node.name: four})[0]
            np.testing.assert_allclose(found, tagger.predict_proba(same), rtol=0, atol=1e-4)


def subtracted(random: np.random.Generator, mean: float, count: int) -> tuple[NDArray, NDArray]:
    """Draw N(mean, 1) as 1.25 A - 0.25 N(3, 1) with A a mixture of both; values and weights."""
    plus = np.where(
        random.random(count) < 0.2, random.normal(3, 1, count), random.normal(mean, 1, count)
    )
    minus = random.normal(3, 1, count // 5)
    weight = np.repeat([1.25, -1.25], [count, count // 5])
    return np.concatenate([plus, minus]), weight


@pytest.mark.statistical
def test_weights_below_zero(seed: int) -> None:
    """hep_ml 51 and 60: sWeights; the AUC and ln r = x - 1/2 of the densities that are meant."""
    random = np.random.default_rng(seed + 1)
    (s, ws), (b, wb) = (subtracted(random, mean, 40_000) for mean in (1.0, 0.0))
    score, weight = np.concatenate([s, b]), np.concatenate([ws, wb])
    label = np.repeat([1, 0], [len(s), len(b)])
    area = auc(score, label, weight)
    assert abs(area.value - ndtr(0.5**0.5)) < 5 * area.error  # 0.7602
    assert area.error < 0.006
    curve = roc(score, label, weight)
    found = curve.rejection(0.3)
    assert abs(found.value - 1 / (1 - ndtr(1 + 0.5244005))) < 5 * found.error
    # Over both densities: where events are, and not at a point in a tail. Of 21,000 events that
    # such weights are worth a network on one column knows ln r to 0.03 to 0.12.
    at = np.linspace(-1.5, 2.5, 200)[:, None]
    density = np.exp(-(at[:, 0] ** 2) / 2) + np.exp(-((at[:, 0] - 1) ** 2) / 2)
    missed = []
    for i in range(3):
        (s, ws), (b, wb) = (subtracted(random, mean, 40_000) for mean in (1.0, 0.0))
        training = Training(epochs=12, batch_size=4000, learning_rate=3e-3)
        ratio = Ratio(family=False, training=training)
        ratio.fit(s[:, None], b[:, None], weight=(ws, wb), seed=seed + i, progress=False)
        away = ratio.log_ratio(at) - (at[:, 0] - 0.5)
        missed.append(np.sqrt(np.average(away**2, weights=density)))
    assert np.median(missed) < 0.2


@pytest.mark.statistical
def test_a_ratio_does_not_know_the_norm_of_the_weights(seed: int) -> None:
    """hep_ml 36: weights of 1e-7 times 1, 1e-12, 1e12; mean 1 under them, and p1's mean."""
    random = np.random.default_rng(seed + 1)
    p1, p0 = random.normal(0.3, 1, (20_000, 1)), random.normal(0, 1.2, (50_000, 1))
    weight = random.exponential(3.0, 50_000) * 1e-7
    found = []
    for scale in (1.0, 1e-12, 1e12):
        ratio = Ratio(training=Training(epochs=3, batch_size=2000, learning_rate=3e-3))
        ratio.fit(p1, p0, weight=(None, weight * scale), seed=seed, progress=False)
        found.append(ratio.weights(p0))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-6)
    assert np.average(found[0], weights=weight) == pytest.approx(1, abs=0.02)
    # The error of p1's mean is 0.007; that of p0's, with these weights, as large again.
    mean = np.average(p0[:, 0], weights=weight * found[0])
    assert mean == pytest.approx(0.3, abs=0.05)


def test_one_weight_that_is_the_sample_is_said() -> None:
    """hep_ml 56: of 20,000 events one weighs 1e9."""
    random = np.random.default_rng(1)
    p1, p0 = random.normal(0.3, 1, (20_000, 1)), random.normal(0, 1.2, (5_000, 1))
    huge = np.ones(20_000)
    huge[0] = 1e9
    ratio = Ratio(training=Training(epochs=1, batch_size=2000))
    with pytest.warns(UserWarning, match=r"numerator: event 0 .* has 100.0% of the weights of 20"):
        ratio.fit(p1, p0, weight=(huge, None), progress=False)
    jets = make_jets(600)
    jets["weight"] = np.where(np.arange(600) == 3, 1e8, 1.0)
    tagger = Tagger("linear", training=Training(epochs=1, batch_size=64, devices=1))
    with pytest.warns(UserWarning, match=r"event 3 .* has 100.0% of the weights of 600 events"):
        tagger.fit(jets, progress=False)


def test_weights_of_jets(seed: int) -> None:
    """hep_ml 60: 1, 1e-20 and 1e20 are the same; a class of weight 0 is none."""
    jets = make_jets(600)
    quick = Training(epochs=1, batch_size=64, devices=1)
    found = {}
    random = np.random.default_rng(seed + 100)
    label = np.asarray(jets["label"])
    cases = {
        "1": np.ones(600),
        "1e-20": np.full(600, 1e-20),
        "1e20": np.full(600, 1e20),
        "half 0": random.integers(0, 2, 600) * 1.0,
        "signal / 1000": np.where(label == 1, 1e-3, 1.0),
    }
    for name, weight in cases.items():
        jets["weight"] = weight
        found[name] = Tagger("pfn", training=quick).fit(jets, seed=0, progress=False)
        found[name] = found[name].predict_proba(jets)
        assert np.isfinite(found[name]).all()
    for name in ("1e-20", "1e20"):
        np.testing.assert_allclose(found[name], found["1"], rtol=0, atol=1e-6)
    jets["weight"] = np.where(label == 1, 0.0, 1.0)
    with pytest.raises(InputError, match="the weights of class 'signal' sum to 0"):
        Tagger("pfn", training=quick).fit(jets, progress=False)


@pytest.mark.parametrize("numbers", ["all 1", "two", "label"])
def test_event_numbers_that_are_none(numbers: str) -> None:
    """A run number, or the label, taken for the number of the event."""
    jets = make_jets(600)
    label = np.asarray(jets["label"])
    event = {"all 1": np.full(600, 1), "two": np.arange(600) % 2, "label": label}[numbers]
    jets["event"] = event
    sentence = r"event has only [12] different number\(s\) \((1|0, 1)\) in (600|1200) events"
    with pytest.raises(InputError, match=sentence):
        Tagger("linear", training=Training(epochs=1, devices=1)).fit(jets, progress=False)
    random = np.random.default_rng(1)
    x1, x0 = random.normal(0, 1, (600, 1)), random.normal(0.1, 1, (600, 1))
    with pytest.raises(InputError, match=sentence):
        Ratio().fit(x1, x0, event=(event, event), progress=False)


@pytest.mark.statistical
def test_misses_and_fakes_at_a_dummy_number(tmp_path: Path, capsys, seed: int) -> None:
    """OmniFold 15, 19 and 21: -999 or NaN, the same by the flags, and refused without them."""
    words, means = ["--reco", "x", "--truth", "x_true", "--weight", "w", "--iterations", "2"], {}
    words += ["--training.epochs", "4", "--training.batch_size", "2000"]
    words += ["--training.learning_rate", "3e-3", "--family", "true"]
    for name, padding in (("sentinel", -999.0), ("nan", np.nan)):
        random = np.random.default_rng(seed + 2)
        for sample, mean in (("sim", 0.0), ("data", 0.3)):
            true = random.normal(mean, 1, 20_000)
            reco = true + random.normal(0, 0.5, 20_000)
            seen, real = random.random(20_000) < 0.8, random.random(20_000) < 0.9
            weight = np.where(random.random(20_000) < 0.1, 0.0, 1.0)
            columns = {"x": np.where(seen, reco, padding), "w": weight}
            columns["x_true"] = np.where(real, true, padding)
            if sample == "data":
                columns = {key: columns[key][seen] for key in ("x", "w")}
            with uproot.recreate(tmp_path / f"{sample}-{name}.root") as file:
                file.mktree("tree", {key: x.dtype for key, x in columns.items()})
                file["tree"].extend(columns)
        files = ["--data", str(tmp_path / f"data-{name}.root")]
        files += ["--simulation", str(tmp_path / f"sim-{name}.root")]
        flags = ["--pass_reco", "x > -900", "--pass_truth", "x_true > -900"]
        out = tmp_path / f"out-{name}"
        assert main(["fit", "unfolding", *files, *flags, *words, "--out", str(out)]) == 0
        events = read_unfolded(out / "unfolded.h5")
        values = events.observables[:, 0]
        assert np.isfinite(values).all()
        assert values.min() > -900
        means[name] = np.average(values, weights=events.weights)
        capsys.readouterr()
        plain = tmp_path / f"plain-{name}"
        assert main(["fit", "unfolding", *files, *words, "--out", str(plain)]) == 2
        said = capsys.readouterr().err
        column = "x" if name == "sentinel" else "x_true"
        assert f"sim-{name}.root: column '{column}' is {padding:g} in" in said
        if name == "sentinel":
            assert "say which do with --pass_reco" in said or "with pass_reco" in said
        assert not plain.exists()
    assert means["sentinel"] == means["nan"]
    # Two exact iterations of Gaussians: 0.3 (1 - 0.2^2) = 0.288, with the counting of 14,000 data
    # (0.0095) and of the simulation.
    assert means["nan"] == pytest.approx(0.288, abs=0.05)


@pytest.mark.parametrize("method", [IterativeBayes, MatrixInversion])
def test_events_beyond_the_edges(method: type, seed: int) -> None:
    """QUnfold 2, PocketCoffea 89 and 224: none lost, none counted twice."""
    random = np.random.default_rng(seed + 1)

    def sample(mean: float) -> tuple[NDArray, NDArray]:
        true = random.exponential(mean, 200_000)
        return true, true + random.normal(0, 0.3, 200_000)

    edges = {"truth_edges": [0.2, 0.5, 1, 2, 3]}
    edges["reco_edges"] = [0.1, 0.3, 0.5, 0.8, 1.2, 1.8, 2.5, 3.2]
    true, reco = sample(1.0)
    closure = method(**edges, replicas=0).fit(reco, reco, true).spectrum_
    expected = np.histogram(true, edges["truth_edges"])[0]
    np.testing.assert_allclose(closure, expected, rtol=1e-9)
    for wrong in (np.nan, np.inf):
        bad = np.where(np.arange(200_000) == 5, wrong, true)
        with pytest.raises(InputError, match=r"truth.* is (nan|inf) in event 5"):
            method(**edges).fit(reco, reco, bad)
    wide = edges | {"reco_edges": [*edges["reco_edges"], 50, 60]}
    with pytest.raises(InputError, match=r"detector bins \[50, 60\) but no simulated event"):
        method(**wide).fit(np.append(reco, 55.0), reco, true)
    # Of what lies outside nothing is known but the simulation: with outer bins all is inside.
    outer = {"truth_edges": [-np.inf, 0.2, 0.5, 1, 2, 3, np.inf]}
    outer["reco_edges"] = [-np.inf, *edges["reco_edges"], np.inf]
    more = {"iterations": 30} if method is IterativeBayes else {}
    other, seen = sample(1.2)
    found = method(**outer, **more).fit(seen, reco, true)
    expected = np.histogram(other, outer["truth_edges"])[0]
    pull = (found.spectrum_ - expected) / np.sqrt(np.diag(found.covariance_))
    assert np.abs(pull).max() < 5
    assert found.spectrum_.sum() == pytest.approx(200_000, rel=0.01)


def test_twice_in_a_notebook(tmp_path: Path) -> None:
    """sbi 324: fitted again, loaded again, jet by jet; what is the caller's stays as it was."""
    jets = make_jets(300)
    before = jets.to_list()
    tagger = Tagger("pfn", training=Training(epochs=2, batch_size=64, devices=1))
    np.random.seed(7)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = tagger.fit(jets, seed=0, progress=False).predict_proba(jets)
    second = tagger.fit(jets, seed=0, progress=False).predict_proba(jets)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    tagger.save(tmp_path / "saved")
    np.testing.assert_array_equal(load(tmp_path / "saved").predict_proba(jets), second)
    with pytest.raises(InputError, match="give --force"):
        tagger.save(tmp_path / "saved")
    one = np.concatenate([tagger.predict_proba(jets[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(one, second[:20], rtol=0, atol=5e-6)
    assert jets.to_list() == before


@pytest.mark.statistical
def test_columns_that_single_precision_does_not_hold(seed: int) -> None:
    """sbi 146 and 803: a constant, a time of 1.7e9, 1e-30 and 1e30: the same ln r each."""
    random = np.random.default_rng(seed + 1)
    a, b = random.normal(0.5, 1, 8000), random.normal(0, 1, 8000)
    constant = np.full(8000, 3.0)
    cases = {
        "plain": (a, b),
        "constant beside": (np.c_[a, constant], np.c_[b, constant]),
        "offset": (a + 1.7e9, b + 1.7e9),
        "1e-30": (a * 1e-30, b * 1e-30),
        "1e30": (a * 1e30, b * 1e30),
    }
    found = {}
    for name, (x, y) in cases.items():
        x, y = x.reshape(8000, -1), y.reshape(8000, -1)
        ratio = Ratio(training=Training(epochs=2, batch_size=1000)).fit(x, y, progress=False)
        found[name] = ratio.log_ratio(y)
        # The slope is known to 1 / sqrt(4000) = 0.016.
        rms = np.sqrt(np.mean((found[name] - (0.5 * b - 0.125)) ** 2))
        assert rms < 0.08, name
        # A network on two columns begins elsewhere than that on one: it is as near as both know.
        beside = name == "constant beside"
        away = found[name] - found["plain"]
        assert np.sqrt(np.mean(away**2)) < 0.016 if beside else np.abs(away).max() < 2e-3, name
    for name, wrong in (("nan", np.nan), ("inf", np.inf)):
        bad = np.where(np.arange(8000) == 7, wrong, b)
        with pytest.raises(InputError, match=f"denominator is {name} in event 7"):
            Ratio().fit(a[:, None], bad[:, None], progress=False)


def test_too_few_calibration_events() -> None:
    """puncc 30, MAPIE 159: no finite interval is right; scales and offsets are no matter."""
    random = np.random.default_rng(1)
    for count, level, due in ((10, 0.95, 19), (18, 0.95, 19), (0, 0.68, 3), (1, 0.68, 3)):
        with pytest.raises(InputError, match=rf"{count} calibration events .*(give|need).* {due}"):
            conformal_quantile(random.exponential(1, count), level)
    for count, level in ((19, 0.95), (3, 0.68)):
        assert np.isfinite(conformal_quantile(random.exponential(1, count), level))
    x = random.normal(0, 1, (300, 2))
    y = x[:, 0] + random.normal(0, 1, 300)
    plain = Conformal(BoostedRegression()).fit(x, y, seed=1).interval(x[:3])
    for scale, offset in ((1e-8, 0.0), (1.0, 1e8)):
        found = Conformal(BoostedRegression()).fit(x, y * scale + offset, seed=1)
        for ours, theirs in zip(found.interval(x[:3]), plain, strict=True):
            np.testing.assert_allclose((ours - offset) / scale, theirs, rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match="y is 2 for all events; there is nothing to learn"):
        Conformal(BoostedRegression()).fit(x, np.full(300, 2.0), seed=1)


@pytest.mark.parametrize("network", sorted(NETWORKS))
def test_jets_of_few_and_of_many_particles(network: str) -> None:
    """EnergyFlow 21, heppy 30: 0, 1, 2, 3 and 400 particles, masses below 0 by rounding."""
    random = np.random.default_rng(1)
    count = np.array([0, 1, 2, 3, 400] + [5] * 60)
    p = random.normal(0, 60, (count.sum(), 3))
    p[0] = (50, 0, 0)
    energy = np.sqrt((p**2).sum(1)) * (1 - 1e-7)
    columns = dict(zip(("px", "py", "pz", "E"), (*p.T, energy), strict=True))
    four = ak.zip({name: ak.unflatten(x.astype("f4"), count) for name, x in columns.items()})
    rest = {"label": np.arange(65) % 2, "event": np.arange(65)}
    jets = ak.zip({"constituents": four, **rest}, depth_limit=1)
    tagger = Tagger(network, training=Training(epochs=1, batch_size=16, devices=1))
    probability = tagger.fit(jets, progress=False).predict_proba(jets)
    assert np.isfinite(probability).all()
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-6)
