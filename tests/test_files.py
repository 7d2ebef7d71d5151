import errno
import os
from pathlib import Path

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
