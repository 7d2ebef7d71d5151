"""Batches of requests: what shares a run, what is refused, and that mates change nothing."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from colliderkit.serve.inference.batcher import Batcher
from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.models import Model
from colliderkit.serve.inference.refusals import Reason, Refusal
from colliderkit.serve.inference.requests import Given, question
from colliderkit.serve.inference.statistics import Statistics
from served import jets

PATIENT = Limits(latency=60.0)


class Held:
    """A model whose first run waits until it is let go, so that a queue builds up."""

    def __init__(self, model: Model) -> None:
        self.model, self.go, self.runs = model, threading.Event(), []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def run(self, arrays):
        assert self.go.wait(20)
        self.runs.append(arrays[0].shape)
        return self.model.run(arrays)


def asked(model, array, limits=PATIENT):
    name, datatype = model.inputs[0].name, model.inputs[0].datatype
    return question(model, [Given(name, datatype, array.shape, array.tobytes())], limits)


def queued(path: Path, arrays, limits=PATIENT, **more):
    """Return the answers of arrays that queue behind the first, and the shapes of the runs."""

    async def main():
        held = Held(Model(path.stem, 1, path, limits))
        batcher = Batcher(held, limits, Statistics().of(path.stem, 1))
        futures = [batcher.ask(asked(held, arrays[0]))]
        await asyncio.sleep(0.1)  # the first run has begun
        futures += [batcher.ask(asked(held, x), **more) for x in arrays[1:]]
        await asyncio.sleep(more.get("seconds", 0) * 2)
        held.go.set()
        answers = await asyncio.gather(*futures, return_exceptions=True)
        await batcher.close()
        assert batcher.rows == 0
        return answers, held.runs

    return asyncio.run(main())


def test_mates_of_other_lengths_change_no_answer(files):
    path, events = files / "jets.onnx", jets(60)
    events[7] = np.full((1, 50, 4), np.nan, np.float32)
    events[9] = 1e6 * events[9]
    events.append(np.concatenate(jets(3, 5, 20, 20)))
    alone = Model("jets", 1, path, Limits())
    answers, runs = queued(path, events)
    for event, (answer,) in zip(events, answers, strict=True):
        np.testing.assert_allclose(answer, alone.run([event])[0], atol=1e-6)
    assert len(runs) < 12
    assert sum(rows for rows, *_ in runs) == 63


def test_at_most_half_of_a_batch_is_padding(files):
    events = [*jets(40, 1, 3, 5), *jets(2, 2, 190, 190)]
    _, runs = queued(files / "jets.onnx", events)
    long = [shape for shape in runs if shape[1] == 190]
    assert sum(rows for rows, *_ in long) == 2
    assert max(length for _, length, _ in runs if length != 190) == 5


def test_a_batch_has_no_more_rows_than_it_may(files):
    events = [np.concatenate(jets(n, n, 8, 8)) for n in (1, 10, 10, 10, 3)]
    _, runs = queued(files / "jets.onnx", events, Limits(batch=16, latency=60.0))
    # What does not fit goes first in the next; what is small may not overtake it.
    assert [rows for rows, *_ in runs] == [1, 10, 10, 13]


def test_a_large_request_is_run_in_pieces(files):
    path, event = files / "jets.onnx", np.concatenate(jets(40, 1, 9, 9))
    limits = Limits(batch=16, latency=60.0)
    (small, (answer,)), runs = queued(path, [jets(1)[0], event], limits)
    assert [rows for rows, *_ in runs] == [1, 16, 16, 8]
    np.testing.assert_allclose(answer, Model("a", 1, path, limits).run([event])[0], atol=1e-6)
    assert small[0].shape == (1, 2)


def test_rows_that_depend_on_each_other_run_alone(files):
    path = files / "mean.onnx"
    arrays = [np.random.default_rng(i).normal(size=(2, 3)).astype(np.float32) for i in range(6)]
    answers, runs = queued(path, arrays)
    assert runs == [(2, 3)] * 6
    for array, (answer,) in zip(arrays, answers, strict=True):
        np.testing.assert_allclose(answer, array - array.mean(0), atol=1e-6)


def test_the_error_of_one_is_not_that_of_its_mates(files):
    arrays = [np.array([i]) for i in (0, 1, 99, 3)]
    answers, _ = queued(files / "place.onnx", arrays)
    assert [float(answers[i][0][0]) for i in (0, 1, 3)] == [0.0, 1.0, 3.0]
    assert isinstance(answers[2], Refusal)
    assert answers[2].reason is Reason.MALFORMED


def test_what_is_too_late_is_refused_and_not_run(files):
    answers, runs = queued(files / "jets.onnx", jets(5), seconds=0.2)
    assert len(runs) == 1
    assert all(answer.reason is Reason.LATE for answer in answers[1:])
    answers, runs = queued(files / "jets.onnx", jets(5), Limits(latency=0.1), seconds=0.3)
    assert len(runs) == 1
    assert {answer.reason for answer in answers[1:]} <= {Reason.LATE, Reason.BUSY}


def test_the_queue_holds_the_rows_of_the_target(files):
    limits = Limits(latency=0.5)

    async def main():
        model = Model("jets", 1, files / "jets.onnx", limits)
        model.seconds_per_row = 0.01
        held = Held(model)
        batcher = Batcher(held, limits, Statistics().of("jets", 1))
        assert batcher.capacity == 35  # 0.7 of half a second
        futures, refused = [], []
        for event in jets(100):
            try:
                futures.append(batcher.ask(asked(model, event)))
            except Refusal as refusal:
                refused.append(refusal)
        assert (len(futures), len(refused)) == (35, 65)
        assert all(x.reason is Reason.BUSY and x.after >= 1 for x in refused)
        held.go.set()
        await asyncio.gather(*futures)
        await batcher.close()

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_run(files):
    async def main():
        held = Held(Model("jets", 1, files / "jets.onnx", Limits()))
        batcher = Batcher(held, Limits(latency=60.0), Statistics().of("jets", 1))
        first, second = (batcher.ask(asked(held, x)) for x in jets(2, 1, 5, 5))
        await asyncio.sleep(0.1)
        second.cancel()
        held.go.set()
        await first
        await batcher.close()
        return held.runs, batcher.rows

    runs, rows = asyncio.run(main())
    # The first is run as soon as it comes, with or without the second beside it.
    assert runs == [(1, 5, 4)] or runs == [(2, 5, 4)]
    assert rows == 0


@pytest.mark.parametrize(("delay", "least"), [(0.0, 0.0), (0.2, 0.15)])
def test_only_a_delay_that_is_asked_for_is_waited(files, delay, least):
    limits = Limits(latency=60.0, delay=delay)

    async def main():
        model = Model("jets", 1, files / "jets.onnx", limits)
        batcher = Batcher(model, limits, Statistics().of("jets", 1))
        begin = time.perf_counter()
        await batcher.ask(asked(model, jets(1)[0]))
        taken = time.perf_counter() - begin
        await batcher.close()
        return taken

    assert asyncio.run(main()) >= least
