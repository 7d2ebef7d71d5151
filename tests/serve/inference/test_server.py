"""A server from its start to its end: files, ports, reloads, overload, processes."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.serve.inference.repository import find
from served import arrays, ask, binary, deep_set, jets, node, write

pytest.importorskip("grpc")
pytest.importorskip("prometheus_client")
from colliderkit.serve.inference import Limits, Server


def served(models, **options):
    return Server(list(map(str, models)), http=0, grpc=0, **options)


def answer(server, jet, name="jets", version=None):
    body, headers = binary({"constituents": ("FP32", jet)})
    where = f"/versions/{version}" if version else ""
    return ask(f"{server.url}/v2/models/{name}{where}/infer", body, **headers)


def probability(found):
    status, body, headers = found
    assert status == 200, body
    return arrays(body, headers)["probability"]


def local(path, jet):
    return onnxruntime.InferenceSession(path).run(None, {"constituents": jet})[0]


@pytest.fixture
def repository(tmp_path):
    for version in (1, 3):
        folder = tmp_path / "repository" / "jets" / str(version)
        folder.mkdir(parents=True)
        deep_set(folder / "model.onnx", seed=version)
    (tmp_path / "repository" / "jets" / "config.pbtxt").write_text("")
    return tmp_path / "repository"


def test_the_newest_version_answers_and_older_ones_by_their_number(repository):
    jet = jets(1)[0]
    with served([repository]) as server:
        newest, first = (local(repository / f"jets/{v}/model.onnx", jet) for v in (3, 1))
        np.testing.assert_allclose(probability(answer(server, jet)), newest, atol=1e-6)
        np.testing.assert_allclose(probability(answer(server, jet, version=1)), first, atol=1e-6)
        assert answer(server, jet, version=2)[0] == 404
        assert json.loads(ask(server.url + "/v2/models/jets")[1])["versions"] == ["1", "3"]


def test_a_reload_takes_the_new_and_loses_nothing(tmp_path):
    path, jet = deep_set(tmp_path / "jets.onnx", seed=1), jets(1)[0]
    old = local(path, jet)
    with served([path], limits=Limits(latency=20.0)) as server:
        found, ended = [], threading.Event()

        def client():
            while not ended.is_set():
                found.append(answer(server, jet))

        clients = [threading.Thread(target=client) for _ in range(4)]
        for one in clients:
            one.start()
        time.sleep(0.3)
        deep_set(path, seed=2)
        new = local(path, jet)
        assert server.reload() == "jets/1"
        time.sleep(0.3)
        ended.set()
        for one in clients:
            one.join()
        answers = [probability(one) for one in found]
        assert all(
            np.allclose(a, old, atol=1e-6) or np.allclose(a, new, atol=1e-6) for a in answers
        )
        np.testing.assert_allclose(probability(answer(server, jet)), new, atol=1e-6)
        # A file that is half written leaves the model that there was.
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(InputError, match="is no ONNX file"):
            server.reload()
        np.testing.assert_allclose(probability(answer(server, jet)), new, atol=1e-6)
        path.unlink()
        with pytest.raises(InputError, match="no such file"):
            server.reload()
        assert answer(server, jet)[0] == 200


def test_a_full_queue_refuses_at_once_and_says_when(tmp_path, monkeypatch):
    import grpc

    from colliderkit.serve.inference.messages import SERVICE, message_class
    from colliderkit.serve.inference.models import Model

    path, jet = deep_set(tmp_path / "jets.onnx"), jets(1)[0]
    go, run = threading.Event(), Model.run
    with served([path], limits=Limits(latency=5.0)) as server:
        monkeypatch.setattr(Model, "run", lambda self, x: go.wait(20) and run(self, x))
        (only,) = server.service.served
        only.batcher._seconds_per_row = 1.0  # room for three
        found = []
        clients = [
            threading.Thread(target=lambda: found.append(answer(server, jet))) for _ in range(10)
        ]
        for one in clients:
            one.start()
        end = time.time() + 10
        while len(found) < 7 and time.time() < end:
            time.sleep(0.01)
        assert [status for status, *_ in found] == [503] * 7
        assert all(int(headers["Retry-After"]) >= 1 for *_, headers in found)
        request = message_class("ModelInferRequest")(model_name="jets")
        request.inputs.add(name="constituents", datatype="FP32", shape=jet.shape)
        request.raw_input_contents.append(jet.tobytes())
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            with pytest.raises(grpc.RpcError) as refused:
                call(request.SerializeToString())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert int(dict(refused.value.trailing_metadata())["retry-after"]) >= 1
        go.set()
        for one in clients:
            one.join()
        assert sorted(status for status, *_ in found) == [200] * 3 + [503] * 7


def test_nan_is_answered_or_refused_as_asked(tmp_path):
    path = deep_set(tmp_path / "jets.onnx")
    jet = np.full((1, 2, 4), np.nan, np.float32)
    with served([path]) as server:
        np.testing.assert_array_equal(probability(answer(server, jet)), local(path, jet))
    with served([path], limits=Limits(finite=True)) as server:
        status, body, _ = answer(server, jet)
        assert (status, "NaN or infinity" in json.loads(body)["error"]) == (400, True)
        assert answer(server, jets(1)[0])[0] == 200


def test_models_that_cannot_be_served_are_one_sentence(tmp_path, files, capsys):
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "folder").mkdir()
    texts = [("x", TensorProto.STRING, ["n"])], [("y", TensorProto.STRING, ["n"])]
    write(tmp_path / "texts.onnx", [node("Identity", "x", "y")], *texts)
    shutil.copy(files / "jets.onnx", tmp_path / "jets.onnx")
    for models, said in (
        (["absent.onnx"], "absent.onnx: no such file or folder"),
        ([tmp_path / "text.onnx"], "text.onnx: is no ONNX file that onnxruntime can run"),
        ([tmp_path / "empty.onnx"], "empty.onnx: the file is empty"),
        ([tmp_path / "folder"], "folder: holds no model that can be served"),
        ([tmp_path / "texts.onnx"], "texts.onnx: input 'x' is tensor(string)"),
        ([files / "jets.onnx", tmp_path / "jets.onnx"], "is model 'jets' version 1, as "),
        ([f"={tmp_path / 'jets.onnx'}"], "no name of a model"),
        ([f"a={tmp_path / 'folder'}"], "is a folder"),
        ([], "--models"),
    ):
        words = ["serve", *map(str, models), "--http", "0", "--grpc", "0"]
        assert main(words) == 2, words
        printed = capsys.readouterr().err
        assert said in printed
        assert printed.count("\n") == 1


def test_names_of_files_folders_and_their_versions(repository, files):
    path = files / "jets.onnx"
    found = find([f"tagger={path}", str(path)])
    assert [(entry.name, entry.version) for entry in found] == [("jets", 1), ("tagger", 1)]
    found = find([f"tagger={path}", str(repository)])
    assert [(e.name, e.version) for e in found] == [("jets", 1), ("jets", 3), ("tagger", 1)]


@pytest.mark.parametrize("which", ["http", "grpc"])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_port_in_use_is_one_sentence(files, which, processes, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {"http": "0", "grpc": "0", which: str(taken.getsockname()[1])}
        words = [x for name, port in ports.items() for x in (f"--{name}", port)]
        words = ["serve", str(files / "jets.onnx"), *words, "--processes", processes]
        assert main(words) == 2
    printed = capsys.readouterr().err
    assert f"--{which} is {ports[which]}, and 127.0.0.1:{ports[which]} cannot be used" in printed
    assert printed.count("\n") == 1


def test_it_is_not_ready_before_its_models_are(tmp_path, monkeypatch):
    from colliderkit.serve.inference.models import Model

    path, go, opened = deep_set(tmp_path / "jets.onnx"), threading.Event(), Model.__init__

    def slow(self, *args, **options):
        assert go.wait(20)
        opened(self, *args, **options)

    monkeypatch.setattr(Model, "__init__", slow)

    async def main():
        server = served([path])
        start = asyncio.create_task(server.start())
        while not server.http:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        paths = ("/v2/health/live", "/v2/health/ready")
        before = [(await asyncio.to_thread(ask, server.url + x))[0] for x in paths]
        early = await asyncio.to_thread(answer, server, jets(1)[0])
        go.set()
        await start
        after = [(await asyncio.to_thread(ask, server.url + x))[0] for x in paths]
        await server.stop()
        return before, early[0], after

    assert asyncio.run(main()) == ([200, 503], 503, [200, 200])


def command(*words):
    code = "import sys; from colliderkit.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "serve", *map(str, words), "--http", "0", "--grpc", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_a_command_drains_at_sigterm_and_reloads_at_sighup(tmp_path, processes):
    path, jet = deep_set(tmp_path / "jets.onnx", seed=1), jets(1)[0]
    with command(path, "--processes", processes, "--latency", 30) as running:
        lines = [running.stdout.readline() for _ in range(processes)]
        assert len(set(lines)) == 1
        assert lines[0].startswith("ready: http://127.0.0.1:")
        assert lines[0].endswith(", models jets/1\n")
        url = lines[0].split()[1].rstrip(",")
        body, headers = binary({"constituents": ("FP32", jet)})
        infer = f"{url}/v2/models/jets/infer"
        found, truth = [], local(path, jet)

        def client(count):
            found.extend(ask(infer, body, **headers) for _ in range(count))

        for _ in range(4):
            client(5)
        assert all(np.allclose(probability(one), truth, atol=1e-6) for one in found)
        deep_set(path, seed=2)
        running.send_signal(signal.SIGHUP)
        assert [running.stdout.readline() for _ in range(processes)] == [
            "reloaded: jets/1\n"
        ] * processes
        np.testing.assert_allclose(
            probability(ask(infer, body, **headers)), local(path, jet), atol=1e-6
        )
        time.sleep(0.8)  # until the processes have told each other
        text = ask(url + "/metrics")[1].decode()
        assert 'nv_inference_request_success{model="jets",version="1"} 21.0\n' in text
        # A broken file is said, and the old model goes on.
        path.write_bytes(b"broken")
        running.send_signal(signal.SIGHUP)
        for _ in range(processes):
            assert "not reloaded" in running.stderr.readline()
        assert ask(infer, body, **headers)[0] == 200
        # Whatever was begun is answered, whatever comes later cannot connect.
        large = np.concatenate(jets(1000, 1, 60, 60))
        body, headers = binary({"constituents": ("FP32", large)})
        late = threading.Thread(target=client, args=(1,))
        late.start()
        time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        late.join()
        assert found[-1][0] in (200, 503)
        assert running.wait(20) == 0
        assert running.stderr.read() == ""


def test_a_process_that_dies_is_started_again(tmp_path):
    import psutil

    path, jet = deep_set(tmp_path / "jets.onnx"), jets(1)[0]
    with command(path, "--processes", 2) as running:
        url, _ = [running.stdout.readline().split()[1].rstrip(",") for _ in range(2)]
        parent = psutil.Process(running.pid)
        members = [p for p in parent.children() if "spawn_main" in " ".join(p.cmdline())]
        assert len(members) == 2
        os.kill(members[0].pid, signal.SIGKILL)
        assert "is started again" in running.stderr.readline()
        assert running.stdout.readline().startswith("ready: ")
        body, headers = binary({"constituents": ("FP32", jet)})
        for _ in range(8):
            assert ask(f"{url}/v2/models/jets/infer", body, **headers)[0] == 200
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
