"""Write docs/explanation/performance.md from the rows of one `drvs bench local --json bench/results/local.json`.

python bench/page.py
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "local.json"
PAGE = HERE.parent / "docs" / "explanation" / "performance.md"

HEAD = """# What it costs, measured

One run of `drvs bench local` with its peers installed, on {cpu}, {cpus} CPUs (a virtual machine), Linux {kernel},
Python {python}; commit {commit}, load {load} at the start. Written by `bench/page.py` from `bench/results/`. Ratios
within a run compare; microseconds of another machine do not.
"""

TITLES = {
    "roundtrip": "Round trip, 64 bytes there and back",
    "copy": "Copy out of another process",
    "fanin": "Many callers of one server, as the server sees it",
    "scale": "One server among many endpoints",
}


def main() -> None:
    """Write the page."""
    rows = json.loads(RESULTS.read_text())
    meta = json.loads(RESULTS.with_suffix(".meta.json").read_text())
    parts = [HEAD.format(**meta), promises(meta["targets"])]
    parts += [table(name, [row for row in rows if row["table"] == name]) for name in TITLES]
    PAGE.write_text("\n".join(parts))


def promises(targets: list[dict[str, Any]]) -> str:
    """What we set out to reach, and what came of it."""
    lines = [
        f"| {t['figure']} | {t['value']:,.4g} | {t['wanted']} | {'yes' if t['reached'] else 'no'} |" for t in targets
    ]
    return "\n".join(
        ["## Against the promises", "", "| figure | measured | wanted | reached |", "|---|---|---|---|", *lines, ""]
    )


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """One table of the benchmark."""
    copies = name == "copy"
    last = "GiB/s" if copies else "per second"
    lines = [
        f"## {TITLES[name]}",
        "",
        f"| mechanism | placement | p50 us | mean us | p99 us | {last} |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        label = f"{row['mechanism']}, {row['size']:,} bytes" if copies else row["mechanism"]
        rate = row["gib_per_second"] if copies else row["per_second"]
        times = " | ".join(f"{row[key]:,.3g}" for key in ("p50_us", "mean_us", "p99_us"))
        lines.append(
            f"| {label} | {row['placement']} | {times} | {rate:,.3g} |"
            if copies
            else f"| {label} | {row['placement']} | {times} | {rate:,.0f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
