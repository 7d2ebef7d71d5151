"""The file of unfolded events: what is written is read, binned and exported."""

import numpy as np
import pytest
import yaml

from colliderkit.errors import InputError
from colliderkit.methods.unfolding.result import UnfoldedEvents
from colliderkit.serve.hepdata import write_hepdata
from colliderkit.serve.unfolded_events import read_unfolded, write_unfolded

EDGES = [0.0, 1, 2, 4]


def result(count=500, bootstraps=20, seed=0):
    random = np.random.default_rng(seed)
    observables = np.stack([random.exponential(size=count), random.normal(size=count)], 1)
    weights = random.exponential(size=count)
    replicas = weights[:, None] * random.poisson(1, (count, bootstraps))
    # Up and down by an exact tenth; a network that is 2% high, another 2% low.
    systematic = weights[:, None] * np.array([1.1, 0.9])
    members = weights[:, None] * np.array([1.02, 0.98])
    return UnfoldedEvents(
        observables.astype(np.float32),
        ("mass", "eta"),
        weights,
        np.concatenate([replicas, systematic, members], 1),
        ("bootstrap",) * bootstraps + ("systematic:scale",) * 2 + ("member",) * 2,
        units=("GeV", ""),
        seed=seed,
        description="a test",
        metadata={"iterations": 5},
    )


def test_file_gives_back_what_was_written(tmp_path):
    events = result()
    again = read_unfolded(write_unfolded(events, tmp_path / "unfolded.h5"))
    for name in ("observables", "weights", "replicas"):
        before, after = getattr(events, name), getattr(again, name)
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype
    for name in ("names", "kinds", "units", "seed", "description", "metadata", "versions"):
        assert getattr(again, name) == getattr(events, name)
    assert again.versions["colliderkit"]
    assert again.command


def test_three_lines_of_h5py(tmp_path):
    import h5py

    events = result()
    path = write_unfolded(events, tmp_path / "unfolded.h5")
    # The lines of the module's docstring.
    with h5py.File(path) as file:
        weights, column = file["weights"][:], list(file["observables"].attrs["names"]).index("mass")
        counts, edges = np.histogram(file["observables"][:, column], 20, weights=weights)
    np.testing.assert_allclose(events.binned("mass", edges).values, counts, rtol=1e-12)


def test_columns_are_chunked_alone_and_compressed(tmp_path):
    import h5py

    count = 70_000
    flat = UnfoldedEvents(np.ones((count, 2)), ("a", "b"), np.ones(count))
    path = write_unfolded(flat, tmp_path / "flat.h5")
    assert path.stat().st_size < 8 * count * 3 / 20
    with h5py.File(path) as file:
        assert file["observables"].chunks == (65536, 1)
        assert "particle-level" in file["observables"].attrs["description"]
    assert read_unfolded(path).replicas is None


def test_covariances_are_their_definitions():
    events = result()
    found = events.binned("mass", EDGES)
    x, w = events.observables[:, 0], events.weights
    nominal = np.histogram(x, EDGES, weights=w)[0]
    np.testing.assert_allclose(found.values, nominal, rtol=1e-12)
    spectra = [np.histogram(x, EDGES, weights=r)[0] for r in events.replicas[:, :20].T]
    np.testing.assert_allclose(found.covariances["bootstrap"], np.cov(np.array(spectra).T))
    # Up and down are exact: 0.1 n, fully correlated.
    np.testing.assert_allclose(found.covariances["scale"], 0.01 * np.outer(nominal, nominal))
    # Two members at n (1 ± .02): variance 8e-4 n^2, of their mean half of that.
    np.testing.assert_allclose(found.covariances["member"], 4e-4 * np.outer(nominal, nominal))
    np.testing.assert_allclose(found.covariance, sum(found.covariances.values()))
    np.testing.assert_allclose(found.error**2, np.diag(found.covariance))


def test_normalised_spectra_do_not_know_a_common_factor():
    found = result().binned("mass", EDGES, normalise=True, density=True)
    assert found.values @ np.diff(EDGES) == pytest.approx(1)
    assert np.abs(found.covariances["scale"]).max() < 1e-30
    # Shares add to 1 in each replica: the covariance has no variance in their sum.
    assert np.diff(EDGES) @ found.covariance @ np.diff(EDGES) == pytest.approx(0, abs=1e-15)
    assert found.kind == "share/width"


def test_bootstrap_covariance_is_that_of_counting():
    # Poisson weights on events of weight 1: the covariance is diag(n), known to sqrt(2/300).
    random = np.random.default_rng(1)
    x = random.uniform(0, 4, (3000, 1))
    events = UnfoldedEvents(
        x, ("x",), np.ones(3000), random.poisson(1, (3000, 300)).astype(float), ("bootstrap",) * 300
    )
    found = events.binned("x", EDGES)
    np.testing.assert_allclose(np.diag(found.covariance), found.values, rtol=0.3)
    correlation = found.covariance / np.outer(found.error, found.error)
    assert np.abs(correlation - np.eye(3)).max() < 0.2


def test_hepdata_tables(tmp_path):
    pytest.importorskip("hepdata_lib")
    found = result().binned("mass", EDGES)
    folder = write_hepdata(found, tmp_path / "hepdata", description="Mass of the jet.")
    tables = list(yaml.safe_load_all((folder / "submission.yaml").read_text()))
    assert [t["name"] for t in tables[1:]] == ["mass spectrum", "mass covariance"]
    assert tables[0]["comment"] == "Mass of the jet."
    spectrum, covariance = (
        yaml.safe_load((folder / t["data_file"]).read_text()) for t in tables[1:]
    )
    bins = [(row["low"], row["high"]) for row in spectrum["independent_variables"][0]["values"]]
    assert bins == [(0, 1), (1, 2), (2, 4)]
    rows = spectrum["dependent_variables"][0]["values"]
    np.testing.assert_allclose([row["value"] for row in rows], found.values, rtol=1e-9)
    labels = [error["label"] for error in rows[0]["errors"]]
    assert labels == ["bootstrap", "scale", "member"]
    total = covariance["dependent_variables"][0]
    assert total["header"]["name"] == "covariance, total"
    matrix = np.array([row["value"] for row in total["values"]]).reshape(3, 3)
    np.testing.assert_allclose(matrix, found.covariance, rtol=1e-9)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hepdata"]
    assert (folder / "submission.tar.gz").exists()


def test_nothing_is_left_of_a_failed_write(tmp_path):
    events = result()
    object.__setattr__(events, "metadata", {"not JSON": object()})
    with pytest.raises(TypeError):
        write_unfolded(events, tmp_path / "unfolded.h5")
    assert list(tmp_path.iterdir()) == []


def change(**given):
    events = result(20, 2)
    fields = ("observables", "names", "weights", "replicas", "kinds", "units")
    return UnfoldedEvents(**{name: getattr(events, name) for name in fields} | given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: change(names=("mass", "mass")), "one of its own"),
        (lambda: change(weights=np.ones(3)), "give \\(events,\\)"),
        (lambda: change(kinds=("bootstrap",)), "with 1 kinds"),
        (lambda: change(kinds=("jackknife",) * 6), "of kind 'jackknife'"),
        (lambda: change(weights=np.full(20, np.nan)), "weight of event 0 is nan"),
        (lambda: result().binned("pt", EDGES), "no observable 'pt'; there are mass, eta"),
        (lambda: result().binned("mass", [1, 1]), "must rise"),
        (lambda: result(bootstraps=1).binned("mass", EDGES), "one replica"),
        (lambda: write_hepdata(result().binned("mass", [0, np.inf]), "x"), "infinite"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_other_files_are_refused(tmp_path):
    import h5py

    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(InputError, match=r"text\.h5: not a readable"):
        read_unfolded(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = [1.0]
    with pytest.raises(InputError, match="format None"):
        read_unfolded(tmp_path / "other.h5")
