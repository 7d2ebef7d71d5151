"""What a request can be refused for, with the status that HTTP and gRPC have for it."""

from enum import Enum

__all__ = ["Reason", "Refusal"]


class Reason(Enum):
    """Why a request is not answered: the status of HTTP, the name of that of gRPC."""

    MALFORMED = (400, "INVALID_ARGUMENT")
    UNKNOWN = (404, "NOT_FOUND")
    TOO_LARGE = (413, "INVALID_ARGUMENT")
    ENCODING = (415, "INVALID_ARGUMENT")
    BUSY = (503, "UNAVAILABLE")  # the only one after which it makes sense to ask again
    LATE = (504, "DEADLINE_EXCEEDED")
    NOT_OFFERED = (501, "UNIMPLEMENTED")
    FAILED = (500, "INTERNAL")


class Refusal(Exception):
    """Refuse a request, in one sentence for its sender; `after` are the seconds to wait."""

    def __init__(self, reason: Reason, sentence: str, after: int = 1) -> None:
        super().__init__(sentence)
        self.reason, self.sentence, self.after = reason, sentence, after
