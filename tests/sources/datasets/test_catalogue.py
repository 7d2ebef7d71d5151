import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from colliderkit.errors import InputError
from colliderkit.sources.datasets import catalogue as benchmarks
from colliderkit.sources.datasets.catalogue import BENCHMARKS, Benchmark, RemoteFile, fetch
from colliderkit.sources.files.layouts import LAYOUTS

CONTENT = {"a.bin": b"x" * 3_000_000, "b.bin": b"short"}


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Serve CONTENT on the loopback as the record 7 of the data set "test"."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            name = self.path.split("/")[-1].split("?")[0]
            if name not in CONTENT:
                self.send_error(404, "Not here")
                return
            self.send_response(200)
            length = len(CONTENT[name]) + (10 if "cut" in self.path else 0)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(CONTENT[name])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files = tuple(RemoteFile(name, len(data), md5(data)) for name, data in CONTENT.items())
    host = f"http://127.0.0.1:{server.server_port}"
    entry = Benchmark("a test", 7, "none", None, files, host=host)
    monkeypatch.setitem(BENCHMARKS, "test", entry)
    monkeypatch.setattr(benchmarks, "TIMEOUT", 5)
    yield paths
    server.shutdown()
    server.server_close()


def change(monkeypatch: pytest.MonkeyPatch, *files: RemoteFile, **fields: str) -> None:
    entry = BENCHMARKS["test"]
    monkeypatch.setitem(BENCHMARKS, "test", replace(entry, files=files or entry.files, **fields))


def test_downloads_whole_files_and_skips_complete_ones(asked: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert fetch("test", folder, files=["b.bin"]) == [folder / "b.bin"]
    assert asked == ["/records/7/files/b.bin?download=1"]
    paths = fetch("test", folder)
    assert asked[1:] == ["/records/7/files/a.bin?download=1"]
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert sorted(path.name for path in folder.iterdir()) == ["a.bin", "b.bin"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (RemoteFile("b.bin", 6), "b.bin: what was downloaded has 5 bytes where the record has 6"),
        (RemoteFile("b.bin", 5, "0" * 32), "has the MD5 sum .* where the record has 0000"),
        (RemoteFile("c.bin"), "c.bin: the server answers 404 Not here; fetch it from http"),
    ],
)
def test_what_does_not_match_is_not_kept(
    asked: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: RemoteFile,
    message: str,
) -> None:
    change(monkeypatch, file)
    with pytest.raises(InputError, match=message):
        fetch("test", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_transfer_is_not_kept(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, RemoteFile("b.bin"), host=BENCHMARKS["test"].host + "/cut")
    with pytest.raises(InputError, match=r"b.bin: what was downloaded has 5 bytes where .* 15"):
        fetch("test", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_in_the_way_is_named_and_kept(asked: list[str], tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"other")
    with pytest.raises(InputError, match=r"b.bin: has the MD5 sum .*; delete it to download it"):
        fetch("test", tmp_path, files=["b.bin"])
    assert (tmp_path / "b.bin").read_bytes() == b"other"
    assert asked == []


def test_without_a_network_it_says_what_to_do(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    change(monkeypatch, host=f"http://127.0.0.1:{port}")
    with pytest.raises(InputError) as caught:
        fetch("test", tmp_path)
    sentence = str(caught.value)
    assert sentence.startswith("a.bin: no connection (")
    assert f"http://127.0.0.1:{port}/records/7/files/a.bin" in sentence
    assert "DOI 10.5281/zenodo.7" in sentence
    assert f"put it at {tmp_path / 'a.bin'}" in sentence
    assert "\n" not in sentence
    assert list(tmp_path.iterdir()) == []


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="unknown data set 'topp'; known are dctr, jetclass, jetnet"
    ):
        fetch("topp", tmp_path)
    with pytest.raises(InputError, match=r"top-tagging has no file 'x'; its files are train.h5"):
        fetch("top-tagging", tmp_path, files=["x"])


def test_entries_are_sound() -> None:
    assert list(BENCHMARKS) == sorted(BENCHMARKS)
    for benchmark in BENCHMARKS.values():
        assert benchmark.doi == f"10.5281/zenodo.{benchmark.record}"
        assert benchmark.host == "https://zenodo.org"
        assert benchmark.layout is None or benchmark.layout in LAYOUTS
        names = [file.name for file in benchmark.files]
        assert len(set(names)) == len(names)
        sums = [file.md5 for file in benchmark.files if file.md5 is not None]
        assert len(set(sums)) == len(sums)
        assert all(len(x) == 32 and int(x, 16) >= 0 for x in sums)
    assert len(BENCHMARKS["quark-gluon"].files) == 20
    assert len(BENCHMARKS["omnifold"].files) == 34
