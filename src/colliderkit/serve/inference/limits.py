"""What a server takes and when it refuses."""

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bound what a server takes, so that no request can cost the others their answer.

    Args:
        batch: rows of one run of a model, of as many requests as it takes; a CPU is fastest at
            16 to 64. It is the preferred_batch_size that clients read.
        latency: seconds within which a request is answered or refused; the queue of a model holds
            as many rows as it can run in them.
        delay: seconds that an idle model waits for a batch to fill; 0 runs what is there, and
            batches form while a run is going.
        request_rows: rows of one request.
        longest: particles of a jet, or the size of any other free dimension.
        message: MB of one request, after decompression.
        finite: refuse requests with NaN or infinity, which are otherwise answered as the file does.
    """

    batch: int = 64
    latency: float = 0.5
    delay: float = 0.0
    request_rows: int = 1024
    longest: int = 1024
    message: int = 64
    finite: bool = False

    @property
    def message_bytes(self) -> int:
        """Return the largest size of a request in bytes."""
        return self.message << 20
