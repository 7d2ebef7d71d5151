"""Make events of Pythia as towers see them: what `generate` does with names of `TOWERS`."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

__all__ = ["TOWERS"]


def seeds(
    process: Literal["trigger-seeds"],
    count: int,
    *,
    out: Path,
    kind: Literal["qcd", "b", "top", "w"] = "qcd",
    tracker: Literal["acts", "helix"] = "acts",
    pileup: float = 10.0,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Generate events with Pythia, and keep towers and pixel hits around the seeds of a trigger.

    Args:
        process: trigger-seeds.
        count: events.
        out: the .parquet file, an event a row.
        kind: qcd, the stream, or a signal: pairs of b or of top quarks, or a W boson.
        tracker: acts, or helix, without material.
        pileup: mean number of further collisions overlaid on each event.
        seed: fixes every event.
        force: overwrite `out`.

    Examples:
        colliderkit generate trigger-seeds 1000 --kind b --out b.parquet
    """
    from colliderkit.files import refuse_existing
    from colliderkit.progress import progress_bar
    from colliderkit.sources.datasets.trigger_seeds import trigger_seeds
    from colliderkit.sources.files.trigger_seeds import write_trigger_seeds

    refuse_existing(out, force)
    with progress_bar() as bar:
        task = bar.add_task(f"trigger seeds ({kind})", total=count)
        made = trigger_seeds(
            f"trigger-{kind}", count, pileup=pileup, tracker=tracker, seed=seed,
            progress=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    print(f"generated: {write_trigger_seeds(out, made, force=force)}")


def objects(
    process: Literal["event-objects"],
    count: int,
    *,
    out: Path,
    kind: Literal["qcd", "w", "top"] = "qcd",
    pileup: float = 10.0,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Generate events with Pythia, and write their towers and true jets, W bosons and top quarks.

    Args:
        process: event-objects.
        count: events.
        out: the .parquet file, an event a row.
        kind: qcd, w (a W beside a quark or gluon) or top (pairs), of 200 to 600 GeV.
        pileup: mean number of further collisions overlaid on each event.
        seed: fixes every event.
        force: overwrite `out`.

    Examples:
        colliderkit generate event-objects 1000 --kind top --out top.parquet
    """
    from colliderkit.files import refuse_existing
    from colliderkit.progress import progress_bar
    from colliderkit.sources.datasets.event_objects import event_objects
    from colliderkit.sources.files.event_objects import write_event_objects

    refuse_existing(out, force)
    with progress_bar() as bar:
        task = bar.add_task(f"events ({kind})", total=count)
        made = event_objects(
            kind, count, pileup=pileup, seed=seed,
            progress=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    print(f"generated: {write_event_objects(out, *made, force=force)}")


# What each makes, and how.
TOWERS: dict[str, tuple[str, Callable[..., None]]] = {
    "event-objects": ("towers of whole events with true jets, W bosons and top quarks", objects),
    "trigger-seeds": ("towers and pixel hits around seeds of a trigger, by ACTS or helices", seeds),
}
