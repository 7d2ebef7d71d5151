"""A small trigger: an autoencoder of correlated columns, and a stream with few others."""

from pathlib import Path

from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.autoencoder import SMALL, rows
from contracts.cases.case import Case, Data, TaskCase


def stream(seed: int) -> Data:
    return (rows(600, seed),), {}


def write_trigger(folder: Path) -> None:
    for seed, (name, off) in enumerate({"stream": 0.0, "new": 0.0, "signal": 2.0}.items()):
        write(folder / f"{name}.root", dict(zip("abc", rows(600, seed, off).T, strict=True)))


CASES = {
    "trigger": Case(
        make=lambda: Trigger(
            Autoencoder(
                latent=1,
                options={"hidden": [16]},
                training=Training(epochs=3, batch_size=64, learning_rate=1e-2),
            ),
            target=100.0,
            input_rate=1000.0,
        ),
        data=stream,
        answer=lambda method, args: method.score(args[0]),
        verbs={
            "keeps": lambda method, args: method.keeps(args[0]),
            "rate": lambda method, args: method.rate(args[0]),
            "update": lambda method, args: method.update(args[0]),
        },
    ),
}
TASK_CASES = {
    "trigger": TaskCase(
        write=write_trigger,
        fit=lambda folder: (
            *("--files", str(folder / "stream.root"), "--features", "a,b,c"),
            *("--target", "100", "--input_rate", "1000", *SMALL),
        ),
        update=lambda folder: ("--files", folder / "new.root", "--target", "200"),
        apply=lambda folder: ("--files", folder / "signal.root"),
        evaluate=lambda folder: (
            *("--stream", str(folder / "new.root")),
            *("--signals", f"{{shifted: {folder / 'signal.root'}}}"),
        ),
        export=lambda folder: ("--files", folder / "new.root", "--bits", "8"),
    ),
}
