"""Fluid model of a network: transfers share links fairly; queues and losses follow."""

from collections.abc import Callable, Sequence

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.seeds import derive
from colliderkit.sources.network.faults import Fault
from colliderkit.sources.network.monitoring import BUFFER, Monitoring, Probing, counters_of
from colliderkit.sources.network.topology import Topology
from colliderkit.sources.network.transfers import Transfers, daily, drawn_transfers

__all__ = ["max_min", "simulate_fluid"]

RAMP = 8  # intervals in which FTS opens all streams of a transfer
# FTS's optimiser looks at a pair of sites in one interval of LOOKS in the mean: of a pair that gets
# less than ENOUGH of what it wants it keeps the share CUT of the streams, else it opens MORE.
LOOKS, ENOUGH, CUT, MORE = 3, 0.9, 0.6, 0.1
LEAST = 0.05  # share of the streams that is always open
STREAM = 0.3  # Gb/s of one stream that nothing holds back
SEGMENT = 72e-6  # Gb, 9000 bytes
PACKETS = 5e5  # a second at 100% of 100 Gb/s, in thousands of which losses are counted
BACKGROUND = 0.15  # share of a link that others take, in the mean
ROOM = 100  # packets of a queue, in bursts of BURSTS
BURSTS = 4.0


def simulate_fluid(
    topology: Topology,
    intervals: int,
    *,
    seconds: float = 60.0,
    day: int = 1440,
    load: float = 0.4,
    transfers: Transfers | None = None,
    faults: Sequence[Fault] = (),
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Monitoring:
    """Run transfers over a network for T intervals, and return what its monitors see.

    In each interval the transfers of a path p want C_p [Gb/s], what their streams take, and get
    lambda_p C_p by max-min fairness (see `max_min`). Streams are closed on a path that gets less
    than 90% and opened again one after another, as FTS's optimiser does. A link with others'
    traffic of a share b and a use rho has a queue of

        q = min(1, [B rho^2 / (1 - rho)] / K)

    of its K = 100 packets, B = 4 for bursts. On a full link streams lose what makes TCP as slow as
    its share (Mathis, 1997): loss = 1.5 (segment / (RTT rate))^2; else nothing is lost but by
    faults, of which counters do not see silent loss. Transfers are `drawn_transfers` if not given.
    """
    if transfers is None:
        transfers = drawn_transfers(
            topology, intervals, seconds=seconds, day=day, load=load, seed=seed
        )
    random = np.random.default_rng(derive(seed, "fluid"))
    usual = topology.routes()
    values = np.zeros((intervals, topology.links, 3))
    traffic = np.zeros((intervals, len(usual)))
    probing = Probing(random, intervals, len(usual))
    first = np.searchsorted(transfers.begin, np.arange(intervals + 1))
    left, path, rate, age = (np.zeros(0) for _ in range(4))
    opened = np.ones(len(usual))
    others = np.zeros(topology.links)
    rho = np.zeros(topology.links)
    routes_of: dict[tuple[float, ...], Floats] = {}
    for time in range(intervals):
        new = slice(first[time], first[time + 1])
        left = np.append(left, transfers.size[new])
        path = np.append(path, transfers.path[new]).astype(np.int64)
        rate = np.append(rate, transfers.rate[new])
        age = np.append(age, np.zeros(new.stop - new.start))
        now = [fault for fault in faults if fault.begin <= time < fault.end]
        metric, capacity, burst, lost = _under(now, topology, rho, random)
        key = tuple(metric)
        if key not in routes_of:
            routes_of[key] = topology.routes(metric).astype(np.float64)
        routes = routes_of[key]
        others = 0.98 * others + random.normal(0, 0.01, topology.links)
        share = np.clip(BACKGROUND * daily(np.array(time), day) + others, 0, 0.5)
        taken = np.minimum(share * topology.capacity + burst, 0.98 * capacity)
        round_trip = 2e-3 * (routes @ topology.delay)
        streams = rate * np.minimum(1, (age + 1) / RAMP) * opened[path]
        wanted = np.bincount(path, streams, minlength=len(routes)).astype(np.float64)
        with np.errstate(divide="ignore"):
            slowest = np.sqrt(1.5 / (routes @ lost)) * SEGMENT / round_trip / STREAM
        given, level = max_min(wanted, routes, capacity - taken, np.minimum(slowest, 1))
        looked = random.uniform(size=len(opened)) < 1 / LOOKS
        changed = np.where(given < ENOUGH, CUT * opened, opened + MORE)
        opened = np.where(looked & (wanted > 0), np.clip(changed, LEAST, 1), opened)
        moved = np.minimum(left, streams * given[path] * seconds)
        traffic[time] = np.bincount(path, moved, minlength=len(routes)) / seconds
        rho = np.clip((traffic[time] @ routes + taken) / capacity, 0, 1)
        # Of a full link the streams are as slow as its level; of others nothing is lost.
        trip = 2e-3 * 4 * topology.delay.mean()
        full = np.where(
            level < 1, 1.5 * (SEGMENT / (trip * STREAM * np.maximum(level, 0.02))) ** 2, 0
        )
        over = np.clip((share * topology.capacity + burst) / capacity - 0.98, 0, 1)
        happens = np.minimum(full + lost + over, 1.0)
        # What is lost in silence no counter of a link sees, but probes do.
        silent = np.zeros(topology.links)
        for fault in now:
            silent[fault.link] += fault.size * (fault.kind == "silent loss")
        noise = random.lognormal(0, 0.15, topology.links)
        queue = BURSTS * rho**2 / np.maximum(1 - rho, 1e-6) / ROOM * noise
        queue = np.minimum(np.where(level < 1, np.maximum(queue, 0.85), queue), 1.0)
        sent = np.maximum(rho * topology.capacity / 100 * PACKETS * seconds, 1.0)
        values[time] = np.stack(
            [
                (traffic[time] @ routes + taken) / topology.capacity,
                queue,
                np.minimum(random.poisson((happens - silent) * sent) / sent, 1.0),
            ],
            axis=1,
        )
        free = np.min(np.where(routes > 0, (1 - rho) * capacity, np.inf), 1)
        probing.see(
            time, routes, topology.delay + BUFFER * queue, happens, np.maximum(free, STREAM)
        )
        left, age = left - moved, age + 1
        going = left > 1e-9
        left, path, rate, age = left[going], path[going], rate[going], age[going]
        if progress is not None:
            progress(time + 1)
    return Monitoring(
        topology,
        counters_of(topology, values),
        traffic,
        probing.delay,
        probing.loss,
        probing.throughput,
        probing.hops,
        usual,
        list(faults),
    )


def max_min(
    wanted: Floats, routes: Floats, capacity: Floats, most: Floats
) -> tuple[Floats, Floats]:
    """Share links fairly: return the part lambda (P,) that each path gets, and the level of links.

    Paths want (P,) [Gb/s] over links `routes` (P, L) of a `capacity` (L,), and take a part of
    `most` (P,) at most. All parts grow together until a link is full; its paths keep theirs, and
    the others grow on: no part can be raised without lowering one that is not larger (Bertsekas and
    Gallager, Data Networks, 6.5). The level of a link (L,) is the part at which it was full, and 1
    of one that never is.
    """
    part = np.zeros(len(wanted))
    level = np.ones(routes.shape[1])
    open_ = wanted > 0
    used = np.zeros(routes.shape[1])
    while open_.any():
        growing = (wanted * open_) @ routes
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(growing > 1e-12, (capacity - used) / growing, np.inf)
        link, ceiling = int(reach.argmin()), float(most[open_].min())
        if ceiling <= reach[link]:
            done = open_ & (most <= ceiling)
            part[done] = ceiling
        else:
            done = open_ & (routes[:, link] > 0)
            part[done] = level[link] = max(reach[link], 0.0)
        used = used + (wanted * part * done) @ routes
        open_ = open_ & ~done
    return part, level


def _under(
    faults: Sequence[Fault], topology: Topology, rho: Floats, random: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return metric, capacity, others' bursts [Gb/s] and loss of the links (L,) under faults."""
    metric, capacity = topology.metric.copy(), topology.capacity.copy()
    burst, lost = np.zeros(topology.links), np.zeros(topology.links)
    for fault in faults:
        link, size = fault.link, fault.size
        if fault.kind == "misroute":
            metric[link] *= size
        elif fault.kind == "silent loss":
            lost[link] += size
        elif fault.kind == "duplex mismatch":  # late collisions grow with what is sent
            capacity[link] *= 1 - size
            lost[link] += 1e-2 * rho[link]
        elif fault.kind == "burst":
            burst[link] += size * topology.capacity[link] * random.uniform(0.7, 1.0)
        else:  # down for a part of the interval, in which what is on its way is lost
            down = min(size * random.uniform(0.3, 1.0), 0.95)
            capacity[link] *= 1 - down
            lost[link] += 0.02 * down
    return metric, capacity, burst, lost
