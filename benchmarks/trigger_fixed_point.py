"""The trigger in fixed point: the selected set, rounded and trained, and hls4ml's emulation.

    python benchmarks/trigger_fixed_point.py

A trigger for one in a thousand of the toy stream. Its score in 16 to 4 bits, rounded after training
and trained as it is rounded, to give what the floats give. What counts is which of 200,000 new
events are kept, each at a threshold of its own that as many others set. Where hls4ml is installed
(extra `fpga`) and g++ is, the same networks are written as firmware, and its emulation is asked: of
a network in fixed point its scores have to be ours, bit for bit; that of the floats is in hls4ml's
own ``ap_fixed<W, I>``.
"""

import importlib.util
import shutil
import tempfile
import time
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.method import versions
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.networks.fixed_point import bit_operations
from colliderkit.serve.fpga import write_firmware
from colliderkit.sources.toys.trigger import COLUMNS, stream, table
from colliderkit.training.settings import Training
from comparison import options, row, save

TARGET, INPUT_RATE, EVENTS = 1_000.0, 1_000_000.0, 200_000
TRAINING = Training(epochs=5, batch_size=512, learning_rate=2e-3, schedule="cosine")
FURTHER = Training(epochs=3, batch_size=512, learning_rate=5e-4, schedule="cosine")
HIDDEN = (28, 15)  # the widths of AXOL1TL's encoder
EMULATED = 20_000


def common(one: Any, other: Any) -> tuple[float, float]:
    """Return the share of the events kept by either that both keep, and its binomial error."""
    both, either = int((one & other).sum()), int((one | other).sum())
    share = both / either
    return share, float(np.sqrt(max(share * (1 - share), 1 / either) / either))


def kept(score: Floats, share: float) -> Any:
    """Return which of the events have the highest scores, a share of them."""
    return score > np.quantile(score, 1 - share)


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--events", type=int, default=EVENTS)
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": "python benchmarks/trigger_fixed_point.py",
        "versions": versions(),
        "threads": 1,
    }
    method = Autoencoder(latent=8, features=COLUMNS, options={"hidden": HIDDEN}, training=TRAINING)
    events = table(stream(chosen.events, seed=1))
    newest, new = (table(stream(chosen.events, seed=[2, i])) for i in range(2))
    trigger = Trigger(method, target=TARGET, input_rate=INPUT_RATE)
    trigger.fit(events, seed=0, progress=False).update(newest)
    of_floats, floats = trigger.keeps(new), trigger.scorer_
    assert isinstance(floats, Autoencoder)
    rows, scorers = [], {}
    for bits in (16, 12, 8, 6, 4):
        found = {}
        for how, training in (("rounded", None), ("trained", FURTHER)):
            other = copy(trigger)
            other.scorer_ = floats.in_fixed_point(events, bits, training=training, progress=False)
            other.update(newest)
            found[how] = common(other.keeps(new), of_floats)
            scorers[bits, how] = other.scorer_
        (ours, error), (rounded, before) = found["trained"], found["rounded"]
        ratio = ours / rounded
        rows.append(
            row(f"kept events in common with floats, {bits} bits, trained over rounded",
                ours, rounded, ratio, ratio * float(np.hypot(error / ours, before / rounded)),
                unit="share of either", bar=">= 1" if bits <= 8 else None,
                bit_operations=bit_operations(scorers[bits, "rounded"].model_), **shared)
        )  # fmt: skip
    if importlib.util.find_spec("hls4ml") is None or shutil.which("g++") is None:
        print("hls4ml or g++ is not installed: no emulation of firmware")
    else:
        rows += emulated(floats, scorers, new[:EMULATED], shared)
    save("trigger_fixed_point", rows)


def emulated(
    floats: Autoencoder, scorers: dict[Any, Any], new: Floats, shared: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return rows on the emulation of the firmware: bits that differ, the selected set, times."""
    rows = []
    events = new.astype(np.float32).astype(np.float64)
    with tempfile.TemporaryDirectory() as folder:
        for bits in (8, 6):
            begin = time.process_time()
            scorer = scorers[bits, "trained"]
            firmware = write_firmware(scorer, Path(folder) / f"own-{bits}")
            equal = float((firmware.score(events) == scorer.score(events)).mean())
            rows.append(
                row(f"events with the same score in hls4ml's emulation, {bits} bits, to the bit",
                    equal, 1.0, equal, None, unit="share", bar=">= 1",
                    cpu_seconds=time.process_time() - begin, **shared)
            )  # fmt: skip
        share = 0.01
        for width, integer in ((16, 6), (12, 6), (8, 5)):
            firmware = write_firmware(
                floats, Path(folder) / f"plain-{width}", bits=width, integer=integer
            )
            one, error = common(
                kept(firmware.score(events), share), kept(floats.score(events), share)
            )
            ours, own = common(
                kept(scorers[width, "trained"].score(events), share),
                kept(floats.score(events), share),
            )
            ratio = ours / max(one, 1e-9)
            rows.append(
                row(f"kept in common with floats, one in a hundred: {width} bits trained further"
                    f" over ap_fixed<{width},{integer}> after training",
                    ours, one, ratio, ratio * float(np.hypot(own / ours, error / max(one, 1e-9))),
                    unit="share of either", **shared)
            )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
