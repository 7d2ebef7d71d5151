"""Cache policies of libcachesim (GPL, an extra): ARC, S3-FIFO, SIEVE, GDSF, W-TinyLFU, ..."""

import tempfile
from pathlib import Path

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.methods.operations.caches import OWN, Misses

__all__ = ["POLICIES", "replay_with_libcachesim"]

# Ours by name, and what libcachesim calls them.
POLICIES = {
    "arc": "ARC",
    "s3-fifo": "S3FIFO",
    "sieve": "Sieve",
    "gdsf": "GDSF",
    "w-tinylfu": "WTinyLFU",
    "lirs": "LIRS",
    "two-q": "TwoQ",
    "slru": "SLRU",
    "clock": "Clock",
    "lecar": "LeCaR",
    "cacheus": "Cacheus",
    "hyperbolic": "Hyperbolic",
}
MEGABYTES = 1000.0  # sizes in its file have 32 bits
HASH_POWER = 16  # its table of 2^24 is five to eight times slower on a trace of this size


def replay_with_libcachesim(accesses: Accesses, capacity: float, policy: str, first: int) -> Misses:
    """Replay a trace as `caches.replay` does; sizes are rounded up to MB.

    Raises `InputError` for a policy that neither it nor we know, and where it is not installed.
    """
    if policy not in POLICIES:
        raise InputError(
            f"cache policy '{policy}' is unknown; choose one of {', '.join((*OWN, *POLICIES))}."
        )
    try:
        import libcachesim
    except ImportError as error:
        raise InputError(
            f"cache policy '{policy}' is libcachesim's, which is not installed ({error}); pip"
            " install 'colliderkit[caches]'."
        ) from error
    count = len(accesses)
    # Its oracleGeneral: seconds, number, size and the next access of each, which it skips over.
    rows = np.zeros(count, dtype=[("t", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
    size = np.ceil(accesses.size * MEGABYTES)
    use = accesses.next_use()
    rows["t"] = (accesses.time - accesses.begin) * 86400
    rows["id"] = accesses.dataset + 1
    rows["size"] = size[accesses.dataset]
    rows["next"] = np.where(use == count, -1, use)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral.bin"
        rows.tofile(path)

        def reader() -> "libcachesim.TraceReader":
            kind = libcachesim.TraceType.ORACLE_GENERAL_TRACE
            return libcachesim.TraceReader(str(path), kind, libcachesim.ReaderInitParam())

        make = getattr(libcachesim, POLICIES[policy])
        cache = make(int(capacity * MEGABYTES), hashpower=HASH_POWER)
        if first > 0:
            cache.process_trace(reader(), 0, first)
        ratio, bytes_ratio = cache.process_trace(reader(), first, -1)
    read = float(accesses.size[accesses.dataset[first:]].sum())
    left = count - first
    return Misses(left, round(ratio * left), read, bytes_ratio * read)
