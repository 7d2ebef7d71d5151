"""Run the requests for one model in batches, in a thread of its own, from a bounded queue."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.models import Model
from colliderkit.serve.inference.refusals import Reason, Refusal
from colliderkit.serve.inference.requests import Question
from colliderkit.serve.inference.statistics import Counts

__all__ = ["Batcher"]

Answer = list[NDArray[Any]]
# Of the target, what may pass before a run: the rest is for the run, and for reading and writing.
SHARE = 0.7
PARTICLES = 256  # a row of a full batch may have on average; longer jets come in smaller batches


@dataclass(slots=True, eq=False)
class _Waiting:
    question: Question
    future: asyncio.Future[Answer]
    arrived: float
    deadline: float
    done: int = 0  # rows that were run
    parts: list[Answer] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """What a run was made of, and what came of it."""

    pieces: list[tuple[_Waiting, int]]
    rows: int = 0
    answers: list[Answer | Exception] = field(default_factory=list)
    begin: float = 0.0
    ready: float = 0.0
    end: float = 0.0


class Batcher:
    """Answer questions to one model from a queue whose rows are bounded by the target latency.

    The thread takes the oldest request and what may share its run: rows of the same shape, or of a
    ragged model lengths that leave at most half of the batch padding. It never waits while there is
    something to run (except for `limits.delay`): what comes during a run is the next batch. A
    request of more than a batch is run in pieces. What has waited too long is refused, what nobody
    waits for any more is dropped.

    `ask` and the futures belong to the event loop in which the batcher was made.
    """

    def __init__(self, model: Model, limits: Limits, counts: Counts) -> None:
        self.model, self.limits, self.counts = model, limits, counts
        self.rows = 0  # of all requests that are not answered yet
        self._seconds_per_row = model.seconds_per_row
        self._behind = 0.0  # seconds by which the event loop was late, lately
        self._queues: dict[Hashable, deque[_Waiting]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name=f"run {model.name}", daemon=True)
        self._thread.start()

    @property
    def capacity(self) -> int:
        """Return the rows that may wait: as many as the model runs within the target."""
        return max(1, int(self._patience / self._seconds_per_row))

    @property
    def _patience(self) -> float:
        """Return the seconds that may pass before a run.

        Under load the event loop is behind, once before it reads a request and once before it
        writes the answer.
        """
        latency = self.limits.latency
        return max(SHARE * latency - 2 * self._behind, 0.1 * latency)

    def ask(self, question: Question, seconds: float | None = None) -> asyncio.Future[Answer]:
        """Return the future of an answer; raise `Refusal` at once where it would come too late.

        `seconds` is how long the sender waits at most.
        """
        now = time.perf_counter()
        if self._closing:
            raise Refusal(Reason.BUSY, f"model '{self.model.name}' is being replaced; ask again")
        if self.rows and self.rows + question.rows > self.capacity:
            after = math.ceil(self.rows * self._seconds_per_row)
            raise Refusal(
                Reason.BUSY, f"the queue of model '{self.model.name}' is full; ask again", after
            )
        future: asyncio.Future[Answer] = self._loop.create_future()
        deadline = now + (math.inf if seconds is None else seconds)
        waiting = _Waiting(question, future, now, deadline)
        key: Hashable = question.length.bit_length() if self.model.ragged else question.kind
        self.rows += question.rows
        self.counts.pending += 1
        with self._changed:
            self._queues.setdefault(key, deque()).append(waiting)
            self._changed.notify()
        return future

    async def close(self, drain: bool = True) -> None:
        """End the thread when all that waits is answered, or at once."""
        with self._changed:
            self._closing = True
            if not drain:
                self._queues.clear()
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._queues and not self._closing:
                    self._changed.wait()
                if not self._queues:
                    return
                if (left := self._left_of_delay()) > 0:
                    self._changed.wait(left)
                    continue
                run, refused = self._take()
            self._run(run)
            try:
                self._loop.call_soon_threadsafe(self._answer, run, refused)
            except RuntimeError:  # the loop has ended: nobody waits any more
                return

    def _left_of_delay(self) -> float:
        """Return how long an incomplete batch may still be waited for."""
        if not self.limits.delay or self._closing:
            return 0.0
        oldest = min(queue[0].arrived for queue in self._queues.values())
        queued = sum(w.question.rows for queue in self._queues.values() for w in queue)
        if queued >= self.limits.batch:
            return 0.0
        return oldest + self.limits.delay - time.perf_counter()

    def _take(self) -> tuple[_Run, list[tuple[_Waiting, Refusal]]]:
        """Take a batch off the queues, the oldest request first, and what is too late."""
        now, most = time.perf_counter(), self.limits.batch
        run, refused = _Run([], begin=now), []
        longest = filled = 0
        for key in self._in_order():
            queue = self._queues[key]
            while queue and (room := most - run.rows) > 0:
                waiting = queue[0]
                question = waiting.question
                if waiting.future.done():
                    queue.popleft()
                    refused.append((waiting, Refusal(Reason.LATE, "the sender has gone")))
                    continue
                if not waiting.done and (refusal := self._too_late(waiting, now)):
                    queue.popleft()
                    refused.append((waiting, refusal))
                    continue
                rows = question.rows - waiting.done
                if self.model.ragged:
                    length = max(longest, question.length, 1)
                    full = PARTICLES * most // length - run.rows
                    if run.rows and full < 1:
                        break
                    room = max(1, min(room, full))
                    area = filled + min(rows, room) * question.length
                    if run.rows and (run.rows + min(rows, room)) * length > 2 * area:
                        break
                if run.rows and rows > room:
                    break  # it goes first next time
                rows = min(rows, room) if self.model.batched else rows
                longest = max(longest, question.length, 1)
                filled += rows * question.length
                run.pieces.append((waiting, rows))
                run.rows += rows
                waiting.done += rows
                if waiting.done == question.rows:
                    queue.popleft()
                if not self.model.batched:
                    break
            if not queue:
                del self._queues[key]
            if run.rows and not self.model.batched:
                break
        return run, refused

    def _in_order(self) -> Iterator[Hashable]:
        """Yield the key of the oldest request, then those of what could share its run."""
        oldest = min(self._queues, key=lambda key: self._queues[key][0].arrived)
        if not self.model.ragged:
            yield oldest
            return
        yield from sorted(self._queues, key=lambda key: abs(key - oldest))  # type: ignore[operator]

    def _too_late(self, waiting: _Waiting, now: float) -> Refusal | None:
        if now > waiting.deadline:
            return Refusal(Reason.LATE, "the time that the request gave itself is over")
        if now - waiting.arrived > self._patience:
            return Refusal(
                Reason.BUSY, f"waited {now - waiting.arrived:.2f} s for model '{self.model.name}'"
            )
        return None

    def _run(self, run: _Run) -> None:
        """Run the pieces together or, where that fails, one by one: mates share no error."""
        if not run.pieces:
            run.end = time.perf_counter()
            return
        arrays = self._joined(run.pieces)
        run.ready = time.perf_counter()
        try:
            outputs = self.model.run(arrays)
        except Exception as error:  # of the runtime, whose errors have no common base
            if len(run.pieces) == 1:
                run.answers = [error]
            else:
                alone = [_Run([piece]) for piece in run.pieces]
                for one in alone:
                    self._run(one)
                run.answers = [one.answers[0] for one in alone]
        else:
            if len(run.pieces) == 1:
                run.answers = [outputs]
            else:
                ends = np.cumsum([rows for _, rows in run.pieces]).tolist()
                begins = [0, *ends[:-1]]
                run.answers = [[x[a:b] for x in outputs] for a, b in zip(begins, ends, strict=True)]
        run.end = time.perf_counter()
        if run.rows:
            # In logarithms: one stall of the machine must not close the queue.
            ratio = (run.end - run.ready) / run.rows / self._seconds_per_row
            self._seconds_per_row *= min(max(ratio, 1e-3), 1e3) ** 0.1

    def _joined(self, pieces: Sequence[tuple[_Waiting, int]]) -> list[NDArray[Any]]:
        """Return the inputs of all pieces, jets padded to the longest of them."""
        if len(pieces) == 1 and not (self.model.ragged and pieces[0][0].question.length == 0):
            waiting, rows = pieces[0]
            arrays = waiting.question.arrays
            if rows == waiting.question.rows:
                return arrays
            return [x[waiting.done - rows : waiting.done] for x in arrays]
        columns: list[NDArray[Any]] = []
        for i in range(len(self.model.inputs)):
            parts = [w.question.arrays[i][w.done - rows : w.done] for w, rows in pieces]
            if i > 0 or not self.model.ragged:
                columns.append(np.concatenate(parts))
                continue
            longest = max(1, *(part.shape[1] for part in parts))
            total = sum(map(len, parts))
            padded = np.zeros((total, longest, parts[0].shape[2]), parts[0].dtype)
            begin = 0
            for part in parts:
                padded[begin : begin + len(part), : part.shape[1]] = part
                begin += len(part)
            columns.append(padded)
        return columns

    def _answer(self, run: _Run, refused: Sequence[tuple[_Waiting, Refusal]]) -> None:
        """Give the answers to those who wait, in the event loop."""
        self._behind += 0.2 * (time.perf_counter() - run.end - self._behind)
        for waiting, refusal in refused:
            self._forget(waiting)
            if not waiting.future.done():
                waiting.future.set_exception(refusal)
        if not run.pieces:
            return
        self.counts.ran(run.rows, run.ready - run.begin, run.end - run.ready)
        for (waiting, rows), answer in zip(run.pieces, run.answers, strict=True):
            question = waiting.question
            if isinstance(answer, Exception):
                waiting.done = question.rows
                self._forget(waiting)
                if not waiting.future.done():
                    waiting.future.set_exception(_failed(self.model, answer))
                continue
            if rows < question.rows:
                waiting.parts.append(answer)
                if sum(len(part[0]) for part in waiting.parts) < question.rows:
                    continue
                answer = [np.concatenate(x) for x in zip(*waiting.parts, strict=True)]
            self._forget(waiting)
            self.counts.seconds["queue"] += run.begin - waiting.arrived
            if not waiting.future.done():
                waiting.future.set_result(answer)

    def _forget(self, waiting: _Waiting) -> None:
        self.rows -= waiting.question.rows
        self.counts.pending -= 1


def _failed(model: Model, error: Exception) -> Refusal:
    """Return what the sender is told of an error of the runtime: whose numbers they may be."""
    words = " ".join(str(error).split())[:200]
    blamed = type(error).__name__ == "InvalidArgument"
    reason = Reason.MALFORMED if blamed else Reason.FAILED
    return Refusal(reason, f"model '{model.name}' does not run on this: {words}")
