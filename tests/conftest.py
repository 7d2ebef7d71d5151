"""One thread a test, if not told otherwise: the tests run side by side.

Ctrl-C is heard wherever they were started. `seed` moves the seeds of statistical tests.

A test is slow by its time. `slow.txt` lists those that take more than 3 s, fixtures included, of a
processor; `make quick` leaves them out. ``make slow`` runs all and writes the list anew.
"""

import os
import resource
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell lets what it starts in the background ignore Ctrl-C, and so do the programs that the
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import torch

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"].split(",")[0]))

SLOW = Path(__file__).with_name("slow.txt")
SECONDS = 3.0
fixtures: dict[object, float] = {}  # seconds of each, which every test that asks for it pays
measured: dict[str, float] = {}  # of each test, by its id


@pytest.fixture
def seed() -> int:
    """Where the seeds of a `statistical` test begin: COLLIDERKIT_TEST_SEED, 0 if not set."""
    return int(os.environ.get("COLLIDERKIT_TEST_SEED", "0"))


def pytest_addoption(parser):
    parser.addoption("--write-slow", action="store_true", help="write the list of slow tests")


def pytest_collection_modifyitems(items):
    listed = set(SLOW.read_text().split("\n")) if SLOW.is_file() else set()
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)


def cpu_seconds() -> float:
    """The processor's time of this process and of the programs that it has started."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef):
    begin = cpu_seconds()
    try:
        return (yield)
    finally:
        fixtures[fixturedef] = max(cpu_seconds() - begin, fixtures.get(fixturedef, 0.0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    begin = cpu_seconds()
    try:
        return (yield)
    finally:
        asked = [parts[-1] for parts in item._fixtureinfo.name2fixturedefs.values()]
        seconds = cpu_seconds() - begin + sum(fixtures.get(part, 0.0) for part in asked)
        item.user_properties.append(("seconds", seconds))


def pytest_runtest_logreport(report):
    if report.when == "call":
        measured[report.nodeid] = dict(report.user_properties).get("seconds", 0.0)


def pytest_sessionfinish(session):
    if not session.config.getoption("--write-slow") or hasattr(session.config, "workerinput"):
        return
    before = set(SLOW.read_text().split("\n")) if SLOW.is_file() else set()
    slow = {name for name, seconds in measured.items() if seconds > SECONDS}
    # Files that were not run keep their places in the list.
    ran = {name.partition("::")[0] for name in measured}
    others = {name for name in before if name and name.partition("::")[0] not in ran}
    SLOW.write_text("".join(f"{name}\n" for name in sorted(slow | others)))
