"""Every kind of file that the package exports is served as its file answers."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from colliderkit.events.ragged import Ragged
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.serve.generators import export_generator
from colliderkit.serve.onnx import export_method
from colliderkit.serve.trigger import export_trigger
from colliderkit.sources.toys.trigger import COLUMNS, stream, table
from colliderkit.training.settings import Training
from samples import make_jets
from served import arrays, ask, binary

pytest.importorskip("grpc")
pytest.importorskip("prometheus_client")
from colliderkit.serve.inference import Limits, Server

ONCE = Training(epochs=1, batch_size=200)
PARTICLES = ("px", "py", "pz", "E")


def tagger(path):
    events = make_jets(200, 1)
    method = Tagger("pfn", options={"phi": (8, 8), "f": (8,)}, training=ONCE)
    export_method(method.fit(events, progress=False), path, events)
    flat = Ragged.from_awkward(events["constituents"], PARTICLES)
    one = [flat.padded(np.array([i]))[0].numpy() for i in range(60)]
    return [{"constituents": jet} for jet in one]


def ratio(path):
    random = np.random.default_rng(5)
    theta = random.uniform(-1, 1, (600, 1))
    x1, x0 = random.normal(theta, 1), random.normal(0, 1.5, (600, 1))
    method = Ratio(columns=["x"], parameters=["mu"], family=False, training=ONCE)
    export_method(method.fit(x1, x0, theta=theta, progress=False), path, x0)
    return [{"table": x0[i : i + 3], "theta": theta[i : i + 3]} for i in range(40)]


def generator(path):
    random = np.random.default_rng(1)
    x, condition = random.normal(size=(300, 2)), random.normal(size=(300, 2))
    options = {"transforms": 1, "bins": 3, "hidden": [8]}
    method = ConditionalGenerator(generator="flow", options=options, training=ONCE)
    export_generator(method.fit(x, condition, progress=False), path, condition)
    (noise,) = [
        node.shape[1]
        for node in onnxruntime.InferenceSession(path).get_inputs()
        if node.name == "noise"
    ]
    return [
        {"noise": random.normal(size=(2, noise)), "condition": condition[i : i + 2]}
        for i in range(40)
    ]


def trigger(path):
    events = table(stream(2_000, seed=1))
    method = Autoencoder(latent=4, features=COLUMNS, training=ONCE)
    fitted = Trigger(method, target=0.05, input_rate=1.0).fit(events, progress=False)
    export_trigger(fitted, path, events)
    return [{"table": events[i : i + 1]} for i in range(60)]


def score(path):
    events = np.random.default_rng(2).normal(size=(400, 3))
    method = Autoencoder(latent=1, training=ONCE).fit(events, progress=False)
    export_method(method, path, events)
    return [{"table": events[i : i + 2]} for i in range(40)]


@pytest.mark.parametrize("kind", [tagger, ratio, generator, trigger, score])
def test_it_is_answered_as_by_the_file(kind, tmp_path):
    path = tmp_path / "model.onnx"
    requests = [
        {name: np.ascontiguousarray(x, np.float32) for name, x in one.items()} for one in kind(path)
    ]
    session = onnxruntime.InferenceSession(path)
    with Server([str(path)], http=0, grpc=0, limits=Limits(latency=60.0)) as server:
        config = json.loads(ask(f"{server.url}/v2/models/model/config")[1])
        assert config["max_batch_size"] == 1024  # its rows may share a run
        assert config["input"][0]["allow_ragged_batch"] is (kind is tagger)

        def answered(one):
            body, headers = binary({name: ("FP32", x) for name, x in one.items()})
            status, answer, given = ask(f"{server.url}/v2/models/model/infer", body, **headers)
            assert status == 200, answer
            return arrays(answer, given)

        with ThreadPoolExecutor(16) as clients:
            found = list(clients.map(answered, requests))
    for one, answers in zip(requests, found, strict=True):
        for node, truth in zip(session.get_outputs(), session.run(None, one), strict=True):
            # To 1e-6, and of what is larger than one to as many digits.
            if truth.dtype == bool:
                np.testing.assert_array_equal(answers[node.name], truth)
            else:
                np.testing.assert_allclose(answers[node.name], truth, rtol=1e-6, atol=1e-6)
