"""Files that appear whole or not at all."""

import errno
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError

__all__ = ["atomic_file", "atomic_folder", "existing_file", "refuse_existing", "release"]


def existing_file(path: str | Path) -> Path:
    """Return `path` if it is a readable, non-empty file; raise `InputError` naming it if not."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path.")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); write or copy it again.")
    return path


def refuse_existing(path: str | Path, force: bool = False) -> Path:
    """Return `path`, or raise `InputError` if it exists and `force` is off."""
    path = Path(path)
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; choose another output or give --force.")
    return path


@contextmanager
def atomic_file(path: str | Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    On any error the temporary file is removed and an existing `path` is untouched.
    """
    path = refuse_existing(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because writers choose their format by it.
    part = path.with_name(f".{path.stem}.part-{os.getpid()}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if sentence := _explained(error, path):
            raise sentence from error
        raise


@contextmanager
def atomic_folder(path: str | Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its place when the block ends well."""
    path = refuse_existing(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.part-", dir=path.parent))
    try:
        yield part
        part.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)
    except BaseException as error:
        if sentence := _explained(error, path):
            raise sentence from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def release(array: Any) -> None:
    """Give the pages of a read-only numpy map that were read back to the system; others stay."""
    pages = getattr(array, "_mmap", None)
    # Of a map for writing, what is not written yet would be lost.
    if pages is not None and getattr(array, "mode", "") == "r":
        pages.madvise(mmap.MADV_DONTNEED)


def _explained(error: BaseException, path: Path) -> InputError | None:
    """Return a sentence if a full disk or a forbidden folder is behind an error."""
    cause: BaseException | None = error
    # Libraries that fail over a failed write keep it as the cause or the context of theirs.
    while cause is not None:
        number = getattr(cause, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return InputError(f"{path}: the disk is full; free some space, nothing was written.")
        if number in (errno.EACCES, errno.EROFS, errno.EPERM):
            return InputError(f"{path}: not writable; choose another output folder.")
        cause = cause.__cause__ or cause.__context__
    return None
