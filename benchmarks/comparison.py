"""A comparison: two sides run back to back, and rows that say what came out."""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.files import atomic_file
from colliderkit.sources import write

HERE = Path(__file__).parent
RESULTS = HERE / "results"
COLUMNS = ("px", "py", "pz", "E")
Answer = dict[str, Any]


def options(
    description: str | None, jets: bool = True, peers: bool = True
) -> argparse.ArgumentParser:
    """Return a parser with what the comparisons share."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    if jets:
        parser.add_argument("--jets", type=Path, required=True, help="Parquet of top and QCD jets")
    if peers:
        parser.add_argument("--peers", type=Path, required=True, help="environments.py's folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser


def run(side: str, verb: str, peers: Path | None = None, **given: Any) -> Answer:
    """Run one side in a process of its own and return what it measured.

    `side` is "colliderkit", or the name of a peer, whose environment is in `peers`.
    """
    if side == "colliderkit":
        python, script = Path(sys.executable), HERE / "colliderkit_side.py"
    else:
        assert peers is not None
        python, script = peers / side / "bin" / "python", HERE / "peers" / f"{side}_side.py"
    command = [str(python), str(script), verb]
    threads = str(given.get("threads", 1))
    for name, value in given.items():
        if value is True:
            command.append(f"--{name}")
        elif value is not None and value is not False:
            command += [f"--{name}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{side} {verb} failed:\n{done.stderr[-3000:]}")
    answer: Answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "jets" in answer:
        answer["wall_rate"] = answer["jets"] / answer["wall_s"]
        answer["cpu_rate"] = answer["jets"] / answer["cpu_s"]
    shown = {k: round(v, 2) for k, v in answer.items() if isinstance(v, float | int)}
    print(f"  {side:12} {verb} {shown}", flush=True)
    return answer


@contextmanager
def cut(jets: ak.Array, suffix: str = ".parquet") -> Iterator[Path]:
    """Yield a temporary file of jets with the columns that both sides read."""
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        path = Path(folder) / f"jets{suffix}"
        write(path, slim(jets))
        yield path


def slim(jets: ak.Array) -> ak.Array:
    """Keep four-vectors, the jet's kinematics, label and event."""
    kept = jets[["jet_pt", "jet_eta", "jet_phi", "jet_mass", "label", "event"]]
    return ak.with_field(kept, jets["constituents"][list(COLUMNS)], "constituents")


def mixed(jets: ak.Array, count: int, skip: int = 0) -> ak.Array:
    """Return `count` jets, half of each class in random order, after the first `skip`.

    The draw is the same in every run.
    """
    random = np.random.default_rng(20190902)
    label = ak.to_numpy(jets["label"])
    chosen = []
    for kind in (0, 1):
        order = random.permutation(np.flatnonzero(label == kind))
        if len(order) < (skip + count) // 2:
            sys.exit(
                f"the file has {len(order)} jets of class {kind}; {(skip + count) // 2} needed"
            )
        chosen.append(order[skip // 2 : (skip + count) // 2])
    return jets[random.permutation(np.concatenate(chosen))]


def rates(
    quantity: str, ours: list[Answer], peer: list[Answer], key: str = "wall_rate", **rest: Any
) -> Answer:
    """Compare repetitions of a rate: medians, and the ratio with the spread of its repetitions."""
    each = [a[key] / b[key] for a, b in zip(ours, peer, strict=True)]
    return row(
        quantity,
        statistics.median(a[key] for a in ours),
        statistics.median(b[key] for b in peer),
        statistics.median(each),
        statistics.stdev(each) if len(each) > 1 else None,
        versions={**peer[0]["versions"], **ours[0]["versions"]},
        **rest,
    )


def row(
    quantity: str,
    ours: float,
    peer: float | None,
    ratio: float | None,
    uncertainty: float | None,
    *,
    unit: str,
    bar: str | None = None,
    met: bool | None = None,
    **rest: Any,
) -> Answer:
    """Return one row of a results file; a bar like ">= 3" is judged by the ratio."""
    if met is None and bar is not None and ratio is not None:
        relation, value = bar.split()
        met = ratio >= float(value) if relation == ">=" else ratio <= float(value)
    line = {
        "quantity": quantity,
        "ours": ours,
        "peer": peer,
        "unit": unit,
        "ratio": ratio,
        "uncertainty": uncertainty,
        "bar": bar,
        "met": met,
        **rest,
        "load": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
    }
    print(
        f"{quantity}: ours {ours:.4g}, peer {peer if peer is None else format(peer, '.4g')} {unit};"
        f" ratio {ratio if ratio is None else format(ratio, '.3g')};"
        f" bar {bar}: {'met' if met else 'NOT met' if met is False else '-'}",
        flush=True,
    )
    return line


def save(name: str, rows: list[Answer]) -> None:
    """Write benchmarks/results/NAME.json."""
    with atomic_file(RESULTS / f"{name}.json", force=True) as part:
        part.write_text(json.dumps(rows, indent=1) + "\n")
