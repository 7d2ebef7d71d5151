"""Run a network packet by packet in ns-3, and write what its monitors saw: a program of its own.

    python ns3_side.py PLAN.json OUT.parquet

ns-3 is GPL-2.0-only. This file imports nothing of colliderkit, colliderkit never imports it, and
both share no more than the two files: a plan in JSON, and a table with a row an interval.
"""

import json
import sys
from typing import Any

PROBE_PORT, DATA_PORT, BURST_PORT = 4000, 5000, 9
LOOKS = 5  # at each queue in an interval


def main(plan_path: str, out: str) -> None:
    """Build the network of a plan, run it interval by interval, and write the table."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from ns import ns

    with open(plan_path) as file:
        plan = json.load(file)
    ns.RngSeedManager.SetSeed(plan["seed"] % (2**31 - 1) + 1)
    ns.Config.SetDefault("ns3::TcpSocket::SegmentSize", ns.UintegerValue(1448))
    ns.Config.SetDefault(
        "ns3::TcpL4Protocol::SocketType",
        ns.TypeIdValue(ns.TypeId.LookupByName("ns3::TcpCubic")),
    )
    network = Network(ns, plan)
    step = plan["seconds"]
    rows: dict[str, list[Any]] = {"links": [], "traffic": [], "probes": []}
    before = network.counted()
    for time in range(plan["intervals"]):
        down = network.change(time)
        filled = [0.0] * len(network.queues)
        for look in range(LOOKS):
            if down and look == int(LOOKS * (1 - down[1])):
                network.up(down[0], False)
            ns.Simulator.Stop(ns.Seconds(step / LOOKS))
            ns.Simulator.Run()
            for i, queue in enumerate(network.queues):
                filled[i] += queue.GetNPackets() / plan["queue"] / LOOKS
        if down:
            network.up(down[0], True)
        now = network.counted()
        rows["links"].append(
            [
                value
                for i in range(len(network.queues))
                for value in (
                    8 * (now["bytes"][i] - before["bytes"][i]) / step,
                    filled[i],
                    now["dropped"][i] - before["dropped"][i],
                    now["packets"][i] - before["packets"][i],
                )
            ]
        )
        for name in ("traffic", "probes"):
            both = zip(now[name], before[name], strict=True)
            rows[name].append([float(a - b) for a, b in both])
        before = now
        print(time + 1, flush=True)
    ns.Simulator.Destroy()
    kind = pa.list_(pa.float64())
    pq.write_table(pa.table({name: pa.array(each, kind) for name, each in rows.items()}), out)


class Network:
    """Nodes, cables, sinks and senders of a plan, kept alive while the simulation runs."""

    def __init__(self, ns: Any, plan: dict[str, Any]) -> None:
        self.ns, self.plan = ns, plan
        self.kept: list[Any] = []
        self.nodes = ns.NodeContainer()
        self.nodes.Create(plan["nodes"])
        ns.InternetStackHelper().Install(self.nodes)
        cables = len(plan["links"]) // 2
        self.devices: list[Any] = [None] * (2 * cables)
        for i in range(cables):
            self._cable(i, cables)
        self.queues = [device.GetQueue() for device in self.devices]
        ns.Ipv4GlobalRoutingHelper.PopulateRoutingTables()
        self.address = [self._ip(node).GetAddress(1, 0).GetLocal() for node in range(plan["nodes"])]
        self.sinks = [self._sink(*pair) for pair in plan["pairs"]]
        self.servers = [self._probe(*pair) for pair in plan["pairs"]]
        for transfer in plan["transfers"]:
            self._transfer(*transfer)
        for fault in plan["faults"]:
            if fault["kind"] == "burst":
                self._burst(fault)
        self.errors: dict[int, Any] = {}

    def counted(self) -> dict[str, list[float]]:
        """Return all counters as they stand."""
        return {
            "bytes": [queue.GetTotalReceivedBytes() for queue in self.queues],
            "packets": [queue.GetTotalReceivedPackets() for queue in self.queues],
            "dropped": [queue.GetTotalDroppedPackets() for queue in self.queues],
            "traffic": [sink.GetTotalRx() for sink in self.sinks],
            "probes": [server.GetReceived() for server in self.servers],
        }

    def change(self, time: int) -> tuple[int, float] | None:
        """Begin and end the faults of an interval; return a link that is down for a share of it."""
        ns, down = self.ns, None
        for fault in self.plan["faults"]:
            link, size, kind = fault["link"], fault["size"], fault["kind"]
            begins, ends = fault["begin"] == time, fault["end"] == time
            if kind == "flap" and fault["begin"] <= time < fault["end"]:
                down = link, min(size, 0.9)
            if not begins and not ends:
                continue
            if kind == "misroute":
                metric = self.plan["links"][link]["metric"] * (size if begins else 1)
                node = self.nodes.Get(self.plan["links"][link]["source"])
                ip = node.GetObject[ns.Ipv4]()
                ip.SetMetric(ip.GetInterfaceForDevice(self.devices[link]), int(metric))
                ns.Ipv4GlobalRoutingHelper.RecomputeRoutingTables()
            elif kind in ("silent loss", "duplex mismatch"):
                lost = size if kind == "silent loss" else 1e-2
                self._lossy(link, lost if begins else 0.0)
                if kind == "duplex mismatch":
                    rate = self.plan["links"][link]["rate"] * (1 - size if begins else 1)
                    self.devices[link].SetDataRate(ns.DataRate(int(rate)))
        return down

    def up(self, link: int, works: bool) -> None:
        """Take the beginning of a link down, or up again."""
        node = self.nodes.Get(self.plan["links"][link]["source"])
        ip = node.GetObject[self.ns.Ipv4]()
        interface = ip.GetInterfaceForDevice(self.devices[link])
        if works:
            ip.SetUp(interface)
            self.ns.Ipv4GlobalRoutingHelper.RecomputeRoutingTables()
        else:
            ip.SetDown(interface)

    def _lossy(self, link: int, share: float) -> None:
        cables = len(self.devices) // 2
        receiver = self.devices[(link + cables) % (2 * cables)]
        model = self.ns.CreateObject[self.ns.RateErrorModel]()
        model.SetUnit(self.ns.RateErrorModel.ERROR_UNIT_PACKET)
        model.SetRate(share)
        receiver.SetReceiveErrorModel(model)
        self.errors[link] = model

    def _ip(self, node: int) -> Any:
        return self.nodes.Get(node).GetObject[self.ns.Ipv4]()

    def _cable(self, i: int, cables: int) -> None:
        ns, link = self.ns, self.plan["links"][i]
        helper = ns.PointToPointHelper()
        # One queue alone, that of the device: else a discipline above it hides what is dropped.
        helper.DisableFlowControl()
        helper.SetDeviceAttribute("DataRate", ns.StringValue(f"{int(link['rate'])}bps"))
        helper.SetChannelAttribute("Delay", ns.StringValue(f"{link['delay']}ms"))
        size = ns.QueueSizeValue(ns.QueueSize(f"{self.plan['queue']}p"))
        helper.SetQueue("ns3::DropTailQueue", "MaxSize", size)
        ends = helper.Install(self.nodes.Get(link["source"]), self.nodes.Get(link["target"]))
        subnet = ns.Ipv4AddressHelper(
            ns.Ipv4Address(f"10.{1 + i // 200}.{1 + i % 200}.0"), ns.Ipv4Mask("255.255.255.0")
        )
        subnet.Assign(ends)
        for end, place in enumerate((i, i + cables)):
            self.devices[place] = ends.Get(end)
            ip = self._ip(self.plan["links"][place]["source"])
            interface = ip.GetInterfaceForDevice(ends.Get(end))
            ip.SetMetric(interface, int(self.plan["links"][place]["metric"]))
        self.kept += [helper, ends, subnet]

    def _sink(self, source: int, target: int) -> Any:
        ns = self.ns
        here = ns.InetSocketAddress(ns.Ipv4Address.GetAny(), DATA_PORT + source).ConvertTo()
        apps = ns.PacketSinkHelper("ns3::TcpSocketFactory", here).Install(self.nodes.Get(target))
        apps.Start(ns.Seconds(0))
        self.kept.append(apps)
        return apps.Get(0).GetObject[ns.PacketSink]()

    def _probe(self, source: int, target: int) -> Any:
        ns, port = self.ns, PROBE_PORT + source
        server = ns.UdpServerHelper(port)
        apps = server.Install(self.nodes.Get(target))
        apps.Start(ns.Seconds(0))
        client = ns.UdpClientHelper(ns.InetSocketAddress(self.address[target], port).ConvertTo())
        gap = self.plan["seconds"] / self.plan["packets"]
        client.SetAttribute("Interval", ns.TimeValue(ns.Seconds(gap)))
        client.SetAttribute("MaxPackets", ns.UintegerValue(2**31))
        client.SetAttribute("PacketSize", ns.UintegerValue(64))
        sender = client.Install(self.nodes.Get(source))
        # Not all at once: a hundred probes in the same instant would fill a queue.
        sender.Start(ns.Seconds(gap * ((7 * source + 3 * target) % 29) / 29))
        self.kept += [server, apps, client, sender]
        return apps.Get(0).GetObject[ns.UdpServer]()

    def _transfer(self, begin: float, source: int, target: int, size: int) -> None:
        ns = self.ns
        there = ns.InetSocketAddress(self.address[target], DATA_PORT + source).ConvertTo()
        bulk = ns.BulkSendHelper("ns3::TcpSocketFactory", there)
        bulk.SetAttribute("MaxBytes", ns.UintegerValue(size))
        apps = bulk.Install(self.nodes.Get(source))
        apps.Start(ns.Seconds(begin))

    def _burst(self, fault: dict[str, Any]) -> None:
        ns, link = self.ns, self.plan["links"][fault["link"]]
        there = ns.InetSocketAddress(self.address[link["target"]], BURST_PORT).ConvertTo()
        on = ns.OnOffHelper("ns3::UdpSocketFactory", there)
        on.SetConstantRate(ns.DataRate(int(link["rate"] * fault["size"])), 1448)
        apps = on.Install(self.nodes.Get(link["source"]))
        apps.Start(ns.Seconds(fault["begin"] * self.plan["seconds"]))
        apps.Stop(ns.Seconds(fault["end"] * self.plan["seconds"]))


if __name__ == "__main__":
    main(*sys.argv[1:3])
