"""A small network: shortest routes, fair shares, faults that are seen where they are."""

from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import write
from colliderkit.sources.network import ns3_side
from colliderkit.sources.network.counters import LinkCounters, read_counters
from colliderkit.sources.network.faults import KINDS, Fault, drawn_faults
from colliderkit.sources.network.fluid import max_min, simulate_fluid
from colliderkit.sources.network.monitoring import write_counters, write_probes
from colliderkit.sources.network.packets import ns3_is_here, simulate_packets
from colliderkit.sources.network.probes import PathProbes, read_faults, read_probes
from colliderkit.sources.network.topology import Topology, small_wlcg
from colliderkit.sources.network.transfers import daily, drawn_transfers

DAY = 100


def triangle() -> Topology:
    """Sites 0, 1, 2 behind routers 3, 4, 5, of which 3 and 5 are far apart."""
    cables = np.array([[0, 3], [1, 4], [2, 5], [3, 4], [4, 5], [3, 5]])
    ends = np.concatenate([cables, cables[:, ::-1]])
    metric = np.tile([1.0, 1, 1, 1, 1, 3], 2)
    return Topology(3, 6, ends[:, 0], ends[:, 1], np.full(12, 10.0), metric, metric)


def test_routes_are_the_shortest():
    topology = triangle()
    routes = topology.routes()
    path = topology.pairs.tolist().index([0, 2])
    assert [topology.name(i) for i in np.flatnonzero(routes[path])] == [
        *("S0>R0", "R0>R1", "R1>R2", "R2>S2")
    ]
    longer = topology.metric.copy()
    longer[3] = 5.0  # from router 3 to 4: now the direct cable is shorter
    names = [topology.name(i) for i in np.flatnonzero(topology.routes(longer)[path])]
    assert names == ["S0>R0", "R0>R2", "R2>S2"]


def test_sites_that_are_not_connected_are_named():
    topology = triangle()
    apart = replace(topology, target=np.where(topology.target == 5, 4, topology.target))
    with pytest.raises(InputError, match=r"no links lead from site \d to site 2"):
        apart.routes()


def test_max_min_of_a_line():
    """A flow over two links beside one on each: it gets the least, the rest is theirs."""
    routes = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    wanted = np.full(3, 100.0)
    part, level = max_min(wanted, routes, np.array([10.0, 40.0]), np.ones(3))
    np.testing.assert_allclose(part * wanted, [5, 5, 35])
    np.testing.assert_allclose(level, [0.05, 0.35])
    part, level = max_min(np.ones(3), routes, np.array([10.0, 40.0]), np.ones(3))
    np.testing.assert_array_equal(part, 1)
    np.testing.assert_array_equal(level, 1)


def test_max_min_leaves_no_better_share():
    """Each path is held back by its own limit, or by a full link on which nobody has more."""
    random = np.random.default_rng(1)
    for _ in range(50):
        routes = (random.uniform(size=(8, 6)) < 0.4).astype(float)
        routes[routes.sum(1) == 0, 0] = 1
        wanted, most = random.uniform(1, 5, 8), random.uniform(0.3, 1, 8)
        capacity = random.uniform(2, 10, 6)
        part, _ = max_min(wanted, routes, capacity, most)
        used = (part * wanted) @ routes
        assert (used <= capacity * (1 + 1e-9)).all()
        full = used > capacity * (1 - 1e-9)
        for i in range(8):
            held = [part[routes[:, link] > 0].max() for link in np.flatnonzero(routes[i] * full)]
            assert part[i] >= most[i] - 1e-9 or any(part[i] >= top - 1e-9 for top in held)


@pytest.mark.statistical
def test_transfers_fill_the_busiest_link_as_asked(seed):
    """The expected sum of sizes, within three errors of its campaigns."""
    topology = small_wlcg(4, 4)
    found = []
    for i in range(12):
        made = drawn_transfers(topology, 2000, day=DAY, load=0.3, seed=100 * seed + i)
        volume = np.bincount(made.path, made.size, minlength=12) @ topology.routes()
        found.append((volume / topology.capacity).max() / (2000 * 60))
    # The busiest of several fluctuates upwards.
    assert 0.3 - 3 * np.std(found) / 12**0.5 < np.mean(found) < 0.45


def test_the_day_has_a_mean_of_one():
    assert daily(np.arange(DAY), DAY).mean() == pytest.approx(1)
    assert daily(np.arange(24), 24).argmax() == 15


def test_the_same_seed_is_the_same_network():
    topology = small_wlcg(4, 4, seed=2)
    one, same, other = (simulate_fluid(topology, 60, seed=s, day=DAY) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.counters.values, same.counters.values)
    assert not np.array_equal(one.counters.values, other.counters.values)


def seen(*faults: Fault, intervals: int = 120, load: float = 0.3):
    return simulate_fluid(triangle(), intervals, day=DAY, load=load, faults=faults, seed=3)


def test_no_link_carries_more_than_it_can():
    busy = seen(load=0.95, intervals=400)
    assert busy.counters["utilisation"].max() <= 1 + 1e-9
    assert busy.counters.congested.any()
    assert not busy.counters.congested.all()
    # What crosses a link is what its paths exchange, and others' traffic.
    inside = busy.traffic @ busy.routes / busy.topology.capacity
    assert (busy.counters["utilisation"] - inside > -1e-9).all()


def test_faults_are_seen_where_they_are():
    quiet = seen()
    silent = seen(Fault("silent loss", 3, 50, 100, 0.01))
    through = silent.routes[:, 3]
    lost = silent.loss[50:100].mean(0)
    assert abs(lost[through].mean() - 0.01) < 0.003  # 100 or more path intervals of 600 probes
    assert lost[~through].mean() < 0.002
    assert silent.counters["loss"][50:100, 3].max() == quiet.counters["loss"][50:100, 3].max()
    detour = seen(Fault("misroute", 3, 50, 100, 10.0))
    path = detour.topology.pairs.tolist().index([0, 2])
    assert detour.hops[:50, path].max() == 4
    assert (detour.hops[60:100, path] == 3).all()  # the cable that is longer in metric
    assert detour.delay[60:100, path].mean() > detour.delay[:50, path].mean() + 0.5
    flap = seen(Fault("flap", 3, 50, 60, 1.0))
    assert flap.counters["loss"][50:60, 3].min() > 0
    burst = seen(Fault("burst", 3, 50, 60, 1.2))
    assert burst.counters["utilisation"][50:60, 3].mean() > 0.8
    slow = seen(Fault("duplex mismatch", 3, 50, 100, 0.5))
    assert slow.counters["loss"][51:100, 3].min() > 0
    assert slow.counters["utilisation"][51:100, 3].max() <= 0.5 + 1e-9
    for run in (silent, detour, flap, burst, slow):
        np.testing.assert_array_equal(run.counters.values[:50], quiet.counters.values[:50])
        label = run.faulty()
        assert (label[50:60, 3] > 0).all()
        assert (label[:50] == 0).all()


def test_faults_are_drawn_one_at_a_time():
    faults = drawn_faults(small_wlcg(4, 4), 20_000, 3, seed=1)
    assert sorted(f.kind for f in faults) == sorted(3 * KINDS)
    assert all(a.end + 60 <= b.begin for a, b in zip(faults, faults[1:], strict=False))
    with pytest.raises(InputError, match="fault from interval 5 to 5"):
        Fault("flap", 0, 5, 5, 1.0)


@pytest.mark.parametrize("suffix", [".parquet", ".root", ".csv"])
def test_counters_are_read_as_written(suffix, tmp_path):
    run = seen(Fault("burst", 3, 50, 60, 1.0))
    path = write_counters(run, tmp_path / "counters.parquet")
    table = ak.from_parquet(path)
    # In any order: rows say what they are of.
    mixed = table[np.random.default_rng(0).permutation(len(table))]
    other = tmp_path / f"mixed{suffix}"
    if suffix == ".csv":
        rows = np.stack([ak.to_numpy(mixed[name]).astype(float) for name in mixed.fields], 1)
        np.savetxt(other, rows, delimiter=",", header=",".join(mixed.fields), comments="")
    else:
        write(other, mixed)
    found = read_counters(other, features=["fault"])
    np.testing.assert_allclose(found.values[:, :, :3], run.counters.values)
    np.testing.assert_array_equal(found["fault"], run.faulty())
    np.testing.assert_array_equal(found.feeds, run.counters.feeds)
    np.testing.assert_array_equal(found.congested, run.counters.congested)


def test_holes_in_a_table_are_named(tmp_path):
    table = ak.from_parquet(write_counters(seen(intervals=10), tmp_path / "whole.parquet"))
    cases = {
        "hole": (table[np.arange(len(table)) != 30], "has no row of interval 2 and link 6"),
        "twice": (ak.concatenate([table, table[5:6]]), "has 2 rows of interval 0 and link 5"),
        "gap": (table[table.interval != 4], "what follows interval 3 is missing"),
        "moves": (
            ak.with_field(table, np.arange(len(table)), "source"),
            "source or target of a link changes",
        ),
        "share": (ak.with_field(table, 100 * table.queue + 2, "queue"), "shares from 0 to 1"),
    }
    for name, (bad, sentence) in cases.items():
        write(tmp_path / f"{name}.parquet", bad)
        with pytest.raises(InputError, match=sentence):
            read_counters(tmp_path / f"{name}.parquet")


def test_counters_of_another_shape_are_refused():
    with pytest.raises(InputError, match="give \\(intervals, links, counters\\)"):
        LinkCounters.checked(np.zeros((3, 4)))
    with pytest.raises(InputError, match="begin with utilisation, queue, loss"):
        LinkCounters.checked(np.zeros((3, 4, 1)), names=["queue"])


def test_probes_and_faults_are_read_as_written(tmp_path):
    fault = Fault("silent loss", 3, 50, 60, 0.01)
    run = seen(fault)
    folder = write_probes(run, tmp_path / "probes")
    found = read_probes(folder / "probes.parquet", folder / "routes.parquet")
    np.testing.assert_array_equal(found.values, run.probes.values)
    np.testing.assert_array_equal(found.routes, run.routes[:, found.link])
    assert read_faults(folder / "faults.parquet") == [replace(fault, size=1.0)]
    with pytest.raises(InputError, match="the links of each path, one or more"):
        PathProbes.checked(run.probes.values, np.zeros((6, 3)))
    write(tmp_path / "kinds.parquet", {"begin": [1], "end": [2], "link": [0], "kind": [9]})
    with pytest.raises(InputError, match="kind is 9"):
        read_faults(tmp_path / "kinds.parquet")


def test_a_loss_is_a_number_of_packets():
    counts = seen(load=0.9).loss * 600
    np.testing.assert_allclose(counts, np.round(counts), atol=1e-9)


def test_without_ns3_the_way_out_is_said(monkeypatch):
    monkeypatch.setattr("colliderkit.sources.network.packets.ns3_is_here", lambda: False)
    with pytest.raises(InputError, match=r"pip install 'colliderkit\[network\]'"):
        simulate_packets(triangle(), 5)


def test_ns3_stands_apart():
    """GPL-2.0-only: no module of either program imports the other."""
    text = Path(ns3_side.__file__).read_text()
    assert "import colliderkit" not in text
    assert "from colliderkit" not in text
    package = Path(ns3_side.__file__).parents[2]
    for path in package.rglob("*.py"):
        if path.name != "ns3_side.py":
            assert "ns3_side import" not in path.read_text()
            assert "from ns import" not in path.read_text()


@pytest.mark.slow
def test_packets_give_the_same_monitoring():
    if not ns3_is_here():
        pytest.skip("needs the extra network")
    topology = triangle()
    run = simulate_packets(topology, 12, day=DAY, load=0.5, faults=[Fault("flap", 3, 6, 9, 0.5)])
    assert run.counters.values.shape == (12, topology.links, 3)
    assert run.counters["utilisation"].max() < 1.2  # headers of packets are counted too
    assert run.traffic.sum() > 0
    through = run.routes[:, 3]
    assert run.loss[6:9][:, through].mean() > run.loss[:6][:, through].mean()
