import errno
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, atomic_folder, existing_file, refuse_existing


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path) as part:
        part.write_text("whole")
        assert part.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt()])
def test_an_error_leaves_nothing_and_keeps_the_old(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_file(path, force=True) as part:
        part.write_text("half")
        raise error
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_full_disk_is_named_also_when_wrapped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the disk is full"), atomic_file(tmp_path / "a"):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise OSError("a library's own words") from None


def test_a_folder_appears_whole_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for content in ("one", "two"):
        with atomic_folder(path, force=True) as part:
            (part / "x").write_text(content)
        assert (path / "x").read_text() == content
    with pytest.raises(RuntimeError), atomic_folder(path, force=True) as part:
        (part / "x").write_text("half")
        raise RuntimeError
    assert (path / "x").read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_existing_outputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already; choose another output or give --force"):
        refuse_existing(tmp_path)
    assert refuse_existing(tmp_path, force=True) == tmp_path


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        existing_file(tmp_path / "x")
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match=r"the file is empty \(0 bytes\)"):
        existing_file(tmp_path / "x")


def test_a_full_disk_while_hdf5_is_written(tmp_path: Path) -> None:
    """One sentence, and neither a segmentation fault nor a part of the file: another process."""
    code = (
        "import resource, signal, sys\n"
        "import numpy as np\n"
        "from colliderkit.errors import InputError\n"
        "from colliderkit.files import atomic_hdf5\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "for size in (3_000, 200_000):\n"
        "    try:\n"
        "        with atomic_hdf5(f'{sys.argv[1]}/{size}.h5') as file:\n"
        "            for name in 'abc':\n"
        "                file.create_dataset(name, data=np.random.rand(size))\n"
        "    except InputError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(
        "200000.h5: the disk is full; free some space, nothing was written."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["3000.h5"]
    with h5py.File(tmp_path / "3000.h5") as file:
        assert sorted(file) == ["a", "b", "c"]
