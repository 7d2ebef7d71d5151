"""From a file to ready batches with features computed, against weaver's loader.

    python benchmarks/loading.py --jets top_qcd.parquet --peers PEERS

Both read the same file of four-vectors, compute the seven kinematic features of each
particle and give shuffled batches; weaver pads to 128, ours to the batch's longest jet.
"""

from colliderkit.sources import read
from comparison import cut, mixed, options, rates, run, save

CASES = ((".parquet", 512), (".parquet", 64), (".root", 512))
COMMAND = "python benchmarks/loading.py --jets JETS --peers PEERS"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=40_000)
    chosen = parser.parse_args()
    jets = mixed(read(chosen.jets), chosen.count)
    rows = []
    for suffix, batch in CASES:
        given = {"batch": batch, "threads": chosen.threads}
        ours, theirs = [], []
        with cut(jets, suffix) as file:
            for _ in range(chosen.repetitions):
                theirs.append(run("weaver", "load", chosen.peers, file=file, **given))
                ours.append(run("colliderkit", "load", file=file, **given))
        what = f"loading {suffix[1:]}, batches of {batch}"
        common = {"command": COMMAND, "threads": chosen.threads, "batch": batch}
        rows.append(rates(what, ours, theirs, unit="jets/s", bar=">= 5", **common))
        rows.append(rates(f"{what}, CPU", ours, theirs, "cpu_rate", unit="jets/CPU s", **common))
    save("loading", rows)


if __name__ == "__main__":
    main()
