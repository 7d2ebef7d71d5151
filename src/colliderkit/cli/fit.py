"""Train a method on event files."""

from collections.abc import Sequence

from colliderkit.cli.fitted import description, parameters
from colliderkit.cli.following import after_fit
from colliderkit.cli.help import examples
from colliderkit.cli.parsing import Choice, naming_options, option, parse
from colliderkit.errors import InputError
from colliderkit.methods import METHODS
from colliderkit.tasks import TASKS
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.runs import Run
from colliderkit.tasks.task import SUPPLIED

__all__ = ["main"]


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task, of its method and of reading files."""
    if not argv or argv[0] in ("-h", "--help"):
        print(f"usage: colliderkit fit TASK [options]\n\ntasks: {', '.join(TASKS)}")
        return
    name, rest = argv[0], argv[1:]
    task = TASKS.load(name)()
    if not hasattr(task, "read"):
        raise InputError(f"{name} has nothing to fit; it offers {', '.join(task.offers())}.")
    method = option(rest, "method") or task.methods[0]
    if method not in task.methods:
        raise InputError(
            f"{name} has no method '{method}'; choose one of {', '.join(task.methods)}."
        )
    choice = Choice("method", (method, *(m for m in task.methods if m != method)), "what is fitted")
    takes = parameters(task.read)
    around = [METHODS.load(task.around[method])] if method in task.around else []
    parsed = parse(
        f"colliderkit fit {name}",
        description(task.read),
        rest,
        [
            Run,
            task.read,
            METHODS.load(method),
            *around,
            *([Reading] if "reading" in takes else []),
        ],
        supplied=SUPPLIED,
        positional=["files"] if "files" in takes else [],
        choice=choice,
        examples=examples(task.read),
    )
    run, read, built, *further = parsed.taken
    with naming_options(parsed.names), run.begun(parsed.configuration) as account:
        if around:
            built = built(method=further.pop(0))
        inputs = read(built, *further)
        reading = further[0] if further else None
        fitted = task.fit(inputs, seed=run.seed, folder=run.work, resume=run.resume)
        if run.first:
            run.finish(
                fitted,
                parsed.configuration,
                lambda part: task.keep(fitted, inputs, part),
                account,
            )
            print(f"{task.summary(fitted)}: {run.out}")
            print(f"next: {after_fit(task, run.out, read, reading)}")
