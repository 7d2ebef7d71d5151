"""The numbers of a scale, as people read them and as YAML takes them."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from colliderkit.metrics.value import number

__all__ = ["plain", "shown"]


def shown(value: Any) -> Any:
    """Write a size for people; of a mapping each entry."""
    if isinstance(value, Mapping):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return ", ".join(str(shown(item)) for item in value)
    return number(value) if isinstance(value, int | float) else value


def plain(value: Any) -> Any:
    """Return `value` of dictionaries, lists, numbers and text alone, as YAML wants."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
