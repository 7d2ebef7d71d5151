"""Bound what a command may allocate by what the machine has free."""

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["bounded", "free"]

# Bytes: libraries reserve more than they touch, about 1 GB in a training.
RESERVED = 2 << 30
UNLIMITED = 1 << 60  # what a control group that sets no limit says


def free() -> int | None:
    """Return the bytes that a process may still get, or None where the system does not say.

    They are those of the machine or of the control group (a batch job, a container), whichever is
    less; the cache of files counts as free.
    """
    try:
        machine = _fields(Path("/proc/meminfo"))
    except OSError:
        return None
    bytes_free = 1024 * (machine.get("MemAvailable", 0) + machine.get("SwapFree", 0))
    return min([bytes_free, *_of_groups()])


@contextmanager
def bounded() -> Iterator[None]:
    """Let the system refuse an allocation beyond what is free, before a page of it is touched.

    Numpy, torch, Arrow and Python then raise their errors of memory, where the system would
    otherwise grant it and end this process, or another one, later. Where a GPU is, whose driver
    reserves more than any machine has, nothing is bounded.
    """
    room = free()
    if room is None or Path("/proc/driver/nvidia").exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    used = 1024 * _fields(Path("/proc/self/status")).get("VmData", 0)
    limits = [used + room + RESERVED, *(x for x in before if x != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _fields(path: Path) -> dict[str, int]:
    """Read the numbers of a file of lines "name: number" or "name number"."""
    found = re.findall(r"^(\w+):?\s+(\d+)", path.read_text(), re.MULTILINE)
    return {name: int(number) for name, number in found}


def _of_groups() -> Iterator[int]:
    """Yield the bytes that the control groups of this process, and those above, have free."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            root, names = Path("/sys/fs/cgroup"), ("memory.max", "memory.current", "file")
        elif "memory" in controllers.split(","):
            root = Path("/sys/fs/cgroup/memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "cache")
        else:
            continue
        here = root / place.lstrip("/")
        for folder in (here, *here.parents):
            try:
                limit, used = (int((folder / name).read_text()) for name in names[:2])
                cache = _fields(folder / "memory.stat").get(names[2], 0)
            except (OSError, ValueError):  # no such group, or "max"
                continue
            if limit < UNLIMITED:
                yield max(0, limit - used + cache)
