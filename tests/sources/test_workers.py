"""Processes side by side: they end with their parent, and a script needs no guard."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """\
import os
from colliderkit.sources.shards import executor

print("runs", flush=True)
with executor(2, None) as pool:
    print(*set(pool.map(abs, range(-3, 0))), flush=True)
"""

HELD = """\
import os, sys, time
from colliderkit.sources.shards import executor

with executor(2, None) as pool:
    list(pool.map(time.sleep, [0.01, 0.01]))
    print(*(child.pid for child in __import__("multiprocessing").active_children()), flush=True)
    list(pool.map(time.sleep, [100, 100]))
"""


def test_a_script_without_a_main_guard_starts_workers(tmp_path: Path) -> None:
    """It runs once: its workers do not run it again."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "runs\n1 2 3\n"


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """However it ends: here by kill -9."""
    (tmp_path / "script.py").write_text(HELD)
    command = [sys.executable, str(tmp_path / "script.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        workers = [int(word) for word in process.stdout.readline().split()]
        assert len(workers) == 2
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while (alive := [pid for pid in workers if running(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
