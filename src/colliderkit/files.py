"""Files that appear whole or not at all."""

import errno
import fcntl
import io
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError

__all__ = [
    "alone",
    "atomic_file",
    "atomic_files",
    "atomic_folder",
    "atomic_hdf5",
    "existing_file",
    "explained",
    "refuse_existing",
    "release",
]

PART = ".part-"  # in the name of what is not whole yet


def existing_file(path: str | Path) -> Path:
    """Return `path` if it is a readable, non-empty file; raise `InputError` naming it if not."""
    path = Path(path)
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: holds a NUL character, as no path does; check the path.")
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
    part = path.with_name(f".{path.stem}{PART}{os.getpid()}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if sentence := explained(error, path):
            raise sentence from error
        raise


@contextmanager
def atomic_folder(path: str | Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that takes its place when the block ends well."""
    path = refuse_existing(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}{PART}", dir=path.parent))
    try:
        yield part
        part.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)
    except BaseException as error:
        if sentence := explained(error, path):
            raise sentence from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def atomic_files(folder: str | Path, last: str, force: bool = False) -> Iterator[Path]:
    """Yield a temporary folder whose files move into `folder` when the block ends well.

    The folder may hold others. The file `last` moves last: where it is, all are.
    """
    folder = Path(folder)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=PART, dir=folder))
    try:
        yield part
        made = sorted(part.iterdir(), key=lambda path: (path.name == last, path.name))
        for path in made:
            refuse_existing(folder / path.name, force)
        for path in made:
            if path.is_dir():
                shutil.rmtree(folder / path.name, ignore_errors=True)
            os.replace(path, folder / path.name)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()
        if sentence := explained(error, folder):
            raise sentence from error
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def atomic_hdf5(path: str | Path, force: bool = False) -> Iterator[Any]:
    """Yield an h5py file, open for writing, that takes its place when the block ends well.

    A full disk is told at the end of the block: HDF5 itself must not learn of it, for what it
    still holds it then tries to write for ever, and it ends in a segmentation fault.
    """
    import h5py

    with atomic_file(path, force) as part, _Deaf(part, "w+b") as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        finally:
            if raw.failed is not None:
                raise raw.failed


class _Deaf(io.FileIO):
    """File whose writing seems to succeed; the first error of it is kept as `failed`."""

    failed: OSError | None = None

    def write(self, content: Any) -> int:
        """Write all of it, or nothing any more after an error."""
        view = memoryview(content).cast("B")
        done = 0
        try:
            while self.failed is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.failed = error
        if self.failed is not None:
            self.seek(len(view) - done, os.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Cut or grow the file, if that succeeds."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failed = self.failed or error
            return self.tell()

    def flush(self) -> None:
        """Do nothing: it is not buffered."""


@contextmanager
def alone(path: str | Path) -> Iterator[None]:
    """Let one process at a time make `path`; raise `InputError` in any other.

    The lock is a file beside it that the system releases when its process is gone, however it
    ended. It holds the number of the process, for the sentence. What a process that was killed
    left half-written goes.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"'{path}' is a folder that is there already; name the output in it.")
    lock = path.with_name(f".{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(lock, path)
    try:
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            _remove_parts(path)
            yield
        finally:
            # Before it is released: another process would otherwise lock a file of no name.
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _remove_parts(path: Path) -> None:
    """Remove what is half-written of a path that nobody else makes now."""
    stem, name, suffix = map(re.escape, (path.stem, path.name, path.suffix))
    # Not the part of a file whose name begins alike.
    mine = re.compile(rf"\.(?:{stem}{PART}[^.]*{suffix}|{name}{PART}[^.]*)")
    beside = [part for part in path.parent.glob(f".*{PART}*") if mine.fullmatch(part.name)]
    for part in [*beside, *(path.glob(f"{PART}*") if path.is_dir() else ())]:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _locked(lock: Path, path: Path) -> int:
    """Return the descriptor of a lock that this process holds."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            if sentence := explained(error, path):
                raise sentence from error
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            process = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise InputError(
                f"{path}: process {process or 'of another machine'} is making it; wait for its end,"
                " stop it, or choose another output."
            ) from error
        except OSError as error:
            # Some clusters have a file system without locks; a run is then not seen by others.
            if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
                raise
        # The one that held it may have removed the file in between.
        if lock.exists() and os.fstat(descriptor).st_ino == lock.stat().st_ino:
            return descriptor
        os.close(descriptor)


def release(array: Any) -> None:
    """Give the pages of a read-only numpy map that were read back to the system; others stay."""
    pages = getattr(array, "_mmap", None)
    # Of a map for writing, what is not written yet would be lost.
    if pages is not None and getattr(array, "mode", "") == "r":
        pages.madvise(mmap.MADV_DONTNEED)


def explained(error: BaseException, path: Path) -> InputError | None:
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
