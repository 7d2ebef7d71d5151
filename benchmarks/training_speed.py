"""Training jets/s and peak memory: the same network, jets, batch size and threads.

    python benchmarks/training_speed.py --jets top_qcd.parquet --peers PEERS

Ours is a whole `colliderkit.training.fit`: features, Lightning, validation and checkpoints
included. The peers' is the training step alone (weaver), on batches loaded beforehand, or
Keras' `fit` on padded arrays in memory (energyflow), after warming up.
"""

from colliderkit.sources import read
from comparison import cut, mixed, options, rates, row, run, save

# Network, peer, jets, batch, epochs: 15 to 40 seconds of the peer's time a repetition.
CASES = (
    ("particle-net", "weaver", 1024, 64, 1),
    ("particle-transformer", "weaver", 1024, 64, 1),
    ("pfn", "energyflow", 20_000, 500, 3),
)
COMMAND = "python benchmarks/training_speed.py --jets JETS --peers PEERS"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--networks", nargs="+", default=[case[0] for case in CASES])
    chosen = parser.parse_args()
    jets = read(chosen.jets)
    rows = []
    for network, peer, count, batch, epochs in CASES:
        if network not in chosen.networks:
            continue
        given = {"network": network, "batch": batch, "epochs": epochs, "threads": chosen.threads}
        common = {"command": COMMAND, "threads": chosen.threads, "batch": batch}
        ours, theirs, bucketed = [], [], []
        with cut(mixed(jets, count)) as file:
            for _ in range(chosen.repetitions):
                theirs.append(run(peer, "train", chosen.peers, file=file, **given))
                ours.append(run("colliderkit", "train", file=file, **given))
                if peer == "weaver":
                    bucketed.append(
                        run(peer, "train", chosen.peers, file=file, bucketing=True, **given)
                    )
        what = f"{network} training against {peer}"
        rows.append(rates(what, ours, theirs, unit="jets/s", bar=">= 3", **common))
        rows.append(rates(f"{what}, CPU", ours, theirs, "cpu_rate", unit="jets/CPU s", **common))
        if bucketed:
            aside = f"{what} with its length bucketing turned on"
            rows.append(rates(aside, ours, bucketed, unit="jets/s", **common))
        most, least = max(a["peak_gb"] for a in ours), min(b["peak_gb"] for b in theirs)
        bar = "<= 0.5" if peer == "weaver" else None
        rows.append(
            row(
                f"{network} peak memory against {peer}",
                most,
                least,
                most / least,
                None,
                unit="GB",
                bar=bar,
                versions=rows[-1]["versions"],
                **common,
            )
        )
    save("training_speed", rows)


if __name__ == "__main__":
    main()
