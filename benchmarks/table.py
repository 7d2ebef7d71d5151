"""Write docs/benchmarks.md from benchmarks/results/*.json.

python benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

from colliderkit.files import atomic_file

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `python benchmarks/table.py` from `benchmarks/results/`; how to repeat each quantity is in
`benchmarks/README.md`. Ratios are ours over the peer's, medians of repetitions run back to back;
± is their standard deviation, for AUC and R30 the standard error over seeds. A row without a bar
is there for comparison. Load is the machine's one-minute load average at the end of the row.

| quantity | ours | peer | unit | ratio | bar | met | threads | load |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    lines, commands, versions = [], {}, {}
    for file in sorted((HERE / "results").glob("*.json")):
        rows = json.loads(file.read_text())
        lines += [line(row) for row in rows]
        commands[file.stem] = (rows[0]["command"], max(row["date"] for row in rows))
        for row in rows:
            versions |= row.get("versions") or {}
    text = HEAD + "\n".join(lines) + "\n\n## Commands\n\n"
    text += "".join(f"- {name} ({date}): `{c}`\n" for name, (c, date) in commands.items())
    text += "\n## Versions\n\n"
    text += ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + "\n"
    with atomic_file(PAGE, force=True) as part:
        part.write_text(text)
    print(PAGE)


def line(row: dict[str, Any]) -> str:
    ratio = number(row.get("ratio"))
    if row.get("uncertainty") is not None:
        error = number(row["uncertainty"], 2)
        ratio = f"{ratio} ± {error}" if row.get("ratio") is not None else f"± {error}"
    met = {True: "yes", False: "**no**"}.get(row.get("met"), "")  # type: ignore[arg-type]
    cells = [
        row["quantity"],
        number(row["ours"]),
        number(row.get("peer")),
        row.get("unit") or "",
        ratio,
        str(row.get("bar") or ""),
        met,
        str(row.get("threads") or ""),
        number(row.get("load"), 2),
    ]
    return "| " + " | ".join(cells) + " |"


def number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:,.{digits}g}" if abs(value) < 1000 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
