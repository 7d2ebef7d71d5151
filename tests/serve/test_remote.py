"""The client: equal to the local file, bounded in flight, patient with a server that is busy."""

import time

import numpy as np
import onnxruntime
import pytest

from asked import failing, toy
from colliderkit.errors import InputError
from colliderkit.serve.load import drive
from colliderkit.serve.remote import RemoteModel, Unavailable

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return toy(tmp_path_factory.mktemp("served") / "toy.onnx")


@pytest.fixture(scope="module")
def server(file):
    pytest.importorskip("grpc")
    from colliderkit.serve.inference import Server

    with Server([f"toy={file}"], http=0, grpc=0) as server:
        yield server


@pytest.fixture(params=["http", "grpc"])
def address(request, server):
    return f"{request.param}://127.0.0.1:{getattr(server, request.param)}"


@pytest.fixture
def jets():
    return np.random.default_rng(1).normal(size=(150, 20, 4)).astype("f4")


def test_a_server_answers_as_the_file(address, file, jets):
    session = onnxruntime.InferenceSession(file)
    with RemoteModel(f"{address}/toy", rows=64) as remote:
        described = remote.metadata()
        assert [x["name"] for x in described["inputs"]] == ["constituents"]
        assert [x["shape"] for x in described["outputs"]] == [[-1, 2], [-1]]
        found = remote.run(["score", "probability"], {"constituents": jets})
        truth = session.run(["score", "probability"], {"constituents": jets})
        for ours, theirs in zip(truth, found, strict=True):
            np.testing.assert_allclose(theirs, ours, atol=1e-6)
        # Three requests of 64, 64 and 22 rows; numbers alone are 4 bytes each.
        assert remote.requests == 3
        assert jets.nbytes < remote.sent < 1.02 * jets.nbytes
        assert 150 * 3 * 4 < remote.received < 150 * 3 * 4 + 3 * 500


def test_requests_in_flight_do_not_mix(address, file, jets):
    """Jets of other lengths, asked at once and answered in one batch perhaps."""
    session = onnxruntime.InferenceSession(file)
    with RemoteModel(address, "toy", in_flight=50) as remote:
        feeds = [{"constituents": jets[i : i + 1, : 1 + i % 20]} for i in range(150)]
        futures = [remote.submit(feed) for feed in feeds]
        for feed, future in zip(feeds, futures, strict=True):
            (ours,) = session.run(["probability"], feed)
            np.testing.assert_allclose(future.result()["probability"], ours, atol=1e-6)
        load = drive(remote, feeds, 60)
        assert len(load.latency) == 60
        assert (load.latency > 0).all()
        assert load.latency.max() <= load.seconds


def test_what_a_server_refuses_is_said_once(address, jets):
    with RemoteModel(f"{address}/toy") as remote:
        for feed, said in (
            ({"constituents": jets.astype("f8")}, "FP32"),
            ({"wrong": jets}, "wrong"),
        ):
            with pytest.raises(InputError, match=said):
                remote.run(None, feed)
        assert remote.repeated == 0
    with RemoteModel(f"{address}/nobody") as remote, pytest.raises(InputError, match="nobody"):
        remote.metadata()


X = np.arange(12, dtype="f4").reshape(3, 4)


def test_a_busy_server_is_asked_again():
    with failing([503, 429, 502]) as (url, given), RemoteModel(f"{url}/sum") as remote:
        (found,) = remote.run(["y"], {"x": X})
        np.testing.assert_array_equal(found, X.sum(1))
        assert given == [503, 429, 502, 200]
        assert (remote.requests, remote.repeated) == (1, 3)


def test_no_sooner_than_it_asks():
    begin = time.monotonic()
    with failing([503], retry_after="1") as (url, given), RemoteModel(f"{url}/sum") as remote:
        remote.run(["y"], {"x": X})
        assert given == [503, 200]
    assert time.monotonic() - begin >= 1.0


def test_a_deadline_ends_it():
    begin = time.monotonic()
    with failing([503] * 1000) as (url, _), RemoteModel(f"{url}/sum", deadline=0.4) as remote:
        with pytest.raises(Unavailable, match=r"no answer within 0.4 s \(status 503: the queue"):
            remote.run(["y"], {"x": X})
        assert remote.repeated >= 1
    assert time.monotonic() - begin < 3.0


def test_an_error_of_the_server_is_not_repeated():
    with failing([500]) as (url, given), RemoteModel(f"{url}/sum") as remote:
        with pytest.raises(InputError, match="500: the queue is full"):
            remote.run(["y"], {"x": X})
        assert given == [500]


def test_the_farm_answers_for_one_that_is_gone():
    with failing([]) as (url, given), RemoteModel([NOBODY, url], "sum", rows=1) as remote:
        (found,) = remote.run(["y"], {"x": X})
        np.testing.assert_array_equal(found, X.sum(1))
        assert given == [200] * 3


def test_the_local_file_answers_when_nobody_does(file, jets):
    (ours,) = onnxruntime.InferenceSession(file).run(["score"], {"constituents": jets})
    with RemoteModel(f"{NOBODY}/toy", deadline=0.2, fallback=file) as remote:
        with pytest.warns(UserWarning, match="The local file answers instead"):
            (found,) = remote.run(["score"], {"constituents": jets})
        np.testing.assert_allclose(found, ours, atol=1e-6)
        assert remote.local == 150
        begin = time.monotonic()
        remote.run(["score"], {"constituents": jets[:64]})  # it is known by now
        assert time.monotonic() - begin < 0.15
    with RemoteModel(f"{NOBODY}/toy", deadline=0.2) as remote, pytest.raises(Unavailable):
        remote.metadata()


def test_no_more_are_in_flight_than_allowed():
    """The third request waits until the server has answered one."""
    with failing([503] * 4, retry_after="1") as (url, given):
        with RemoteModel(f"{url}/sum", in_flight=2) as remote:
            begin = time.monotonic()
            futures = [remote.submit({"x": X}) for _ in range(3)]
            assert time.monotonic() - begin > 0.9
            assert all(len(future.result()["y"]) == 3 for future in futures)
        assert given.count(200) == 3


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("localhost:8001", "write grpc://host:port"),
        ("grpc://localhost/toy", "write grpc://host:port"),
        ("ftp://localhost:1/toy", "write grpc://host:port"),
        ("http://localhost:99999/toy", "write grpc://host:port"),
        ("http://localhost:8000", "has no model"),
        ([], "names none"),
    ],
)
def test_addresses_that_are_none(address, said):
    with pytest.raises(InputError, match=said):
        RemoteModel(address)
    with pytest.raises(InputError, match="in_flight is 0"):
        RemoteModel("http://localhost:8000/toy", in_flight=0)
