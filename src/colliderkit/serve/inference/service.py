"""What a server does for its clients, whatever they speak: models, answers, configurations."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import colliderkit
from colliderkit.serve.inference.batcher import Batcher
from colliderkit.serve.inference.datatypes import config_type
from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.models import Model
from colliderkit.serve.inference.refusals import Reason, Refusal
from colliderkit.serve.inference.requests import Given, malformed, question
from colliderkit.serve.inference.statistics import Counts, Statistics

__all__ = ["EXTENSIONS", "Served", "Service", "Wanted"]

EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "statistics"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that a request asks for, as its `classes` largest if that is not 0."""

    name: str
    classes: int = 0
    binary: bool | None = None


class Served:
    """Answer the requests for one version of a model."""

    def __init__(self, model: Model, limits: Limits, counts: Counts) -> None:
        self.model, self.limits, self.counts = model, limits, counts
        self.batcher = Batcher(model, limits, counts)
        self._places = {t.name: i for i, t in enumerate(model.outputs)}
        self._every = [(Wanted(t.name), t.datatype, i) for i, t in enumerate(model.outputs)]

    async def answer(
        self, given: Sequence[Given], wanted: Sequence[Wanted], seconds: float | None
    ) -> list[tuple[Wanted, str, Any]]:
        """Return the outputs that are wanted, or all if none is named, with their types."""
        places = self._every
        if wanted:
            places = []
            for one in wanted:
                if (place := self._places.get(one.name)) is None:
                    raise malformed(
                        f"model '{self.model.name}' has no output '{one.name}'; it gives"
                        f" {', '.join(self._places)}"
                    )
                places.append((one, self.model.outputs[place].datatype, place))
            if len({one.name for one in wanted}) < len(wanted):
                raise malformed("an output is wanted twice")
        asked = question(self.model, given, self.limits)
        values = await self.batcher.ask(asked, seconds)
        return [(one, datatype, values[place]) for one, datatype, place in places]

    @contextlib.contextmanager
    def failures(self, begin: float) -> Iterator[None]:
        """Count what ends without an answer, by its reason."""
        try:
            yield
        except BaseException as error:
            why = "OTHER"
            if isinstance(error, asyncio.CancelledError):
                why = "CANCELED"
            elif isinstance(error, Refusal):
                why = {
                    Reason.BUSY: "REJECTED", Reason.LATE: "REJECTED", Reason.FAILED: "BACKEND"
                }.get(error.reason, "OTHER")  # fmt: skip
            self.counts.failed(why, time.perf_counter() - begin)
            raise


class Service:
    """Hold the models by name and version, and say what they are."""

    NO_LOADING = "models are loaded by whoever runs this server, who can have them reloaded"

    def __init__(self, limits: Limits, statistics: Statistics, shares_ports: bool = False) -> None:
        self.limits, self.statistics, self.shares_ports = limits, statistics, shares_ports
        self.models: dict[str, dict[int, Served]] = {}
        self.ready = False
        self.stopping = False

    @property
    def served(self) -> list[Served]:
        """Return all versions of all models."""
        return [served for versions in self.models.values() for served in versions.values()]

    def refuse_unready(self) -> None:
        """Raise `Refusal` before the models are warm, and when the server ends."""
        if not self.ready:
            word = "is ending" if self.stopping else "is not ready yet"
            raise Refusal(Reason.BUSY, f"this server {word}; ask again or ask another")

    def model(self, name: str, version: str = "") -> Served:
        """Return a version of a model, the newest if none is named; raise `Refusal` if unknown."""
        versions = self.models.get(name)
        if versions is None:
            raise Refusal(
                Reason.UNKNOWN,
                f"Request for unknown model: '{name[:200]}' is not found; there are"
                f" {', '.join(sorted(self.models)) or 'none yet'}",
            )
        if not version:
            return versions[max(versions)]
        served = versions.get(int(version)) if version.isdecimal() and len(version) < 10 else None
        if served is None:
            raise Refusal(
                Reason.UNKNOWN,
                f"Request for unknown model: '{name}' version {version[:40]} is not found; there"
                f" are {', '.join(map(str, sorted(versions)))}",
            )
        return served

    def metadata(self) -> dict[str, Any]:
        """Return the server's own metadata."""
        version = colliderkit.__version__
        return {"name": "colliderkit", "version": version, "extensions": EXTENSIONS}

    def model_metadata(self, name: str, version: str = "") -> dict[str, Any]:
        """Return the metadata of a model."""
        served = self.model(name, version)
        return served.model.metadata(sorted(self.models[name]))

    def model_stats(self, name: str, version: str = "") -> list[dict[str, Any]]:
        """Return the statistics of a model, of all versions if none is named."""
        if name:
            self.model(name, version)
        return self.statistics.model_stats(name, version)

    def index(self, ready: bool = False) -> list[dict[str, Any]]:
        """Return the names and versions that are served, with their state."""
        del ready  # a model is served when it is ready, and not before
        return [
            {"name": name, "version": str(version), "state": "READY", "reason": ""}
            for name, versions in sorted(self.models.items())
            for version in sorted(versions)
        ]

    def model_config(self, name: str, version: str = "") -> dict[str, Any]:
        """Return the configuration of a model as Triton has it, in names of its enumerations.

        A model whose rows may share a run says so as Triton's do: its dimensions lack the batch,
        and dynamic batching prefers `limits.batch` rows, to which clients may pad.
        """
        model, limits = self.model(name, version).model, self.limits
        skip = 1 if model.batched else 0
        config: dict[str, Any] = {
            "name": model.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "version_policy": {"all": {}},
            "max_batch_size": limits.request_rows if model.batched else 0,
            "input": [
                {"name": t.name, "data_type": config_type(t.datatype), "dims": t.sizes[skip:],
                 "allow_ragged_batch": model.ragged and i == 0}
                for i, t in enumerate(model.inputs)
            ],
            "output": [
                {"name": t.name, "data_type": config_type(t.datatype), "dims": t.sizes[skip:]}
                for t in model.outputs
            ],
            "instance_group": [{"name": model.name, "kind": "KIND_CPU", "count": 1}],
            "default_model_filename": "model.onnx",
        }  # fmt: skip
        if model.batched:
            config["dynamic_batching"] = {
                "preferred_batch_size": [limits.batch],
                "max_queue_delay_microseconds": round(limits.delay * 1e6),
                "default_queue_policy": {
                    "timeout_action": "REJECT",
                    "default_timeout_microseconds": round(limits.latency * 1e6),
                    "allow_timeout_override": True,
                },
            }
        return config
