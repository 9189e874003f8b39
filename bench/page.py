"""Write docs/explanation/performance.md from the stored rows of `drvs bench local`, `images`, `executor` and `cluster`.

python bench/page.py
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "explanation" / "performance.md"

HEAD = """# What it costs, measured

Runs of `drvs bench` with its peers installed, on a virtual machine. Written by `bench/page.py` from `bench/results/`,
where every row and the machine stand. Ratios within a run compare; microseconds of another machine do not.
"""

RUN = "One run on {cpu}, {cpus} CPUs, Linux {kernel}, Python {python}; commit {commit}, load {load} at the start."

TEXTS = {
    "local": """## Calls and copies between processes

`drvs bench local`: round trips, blocks of memory, many endpoints.
""",
    "images": """## Process images

`drvs bench images`, on tmpfs, with checksums. `forked dumper` has the start of a helper in it, which the others do not
need; `commands` are whole command lines, with the start of Python and all imports; `swrk` is how programs use CRIU.
""",
    "executor": """## Warm workers

`drvs bench executor`. Starting lasts from the constructor until 64 different workers have answered, with numpy imported
in all of them. Calls are those of as many workers as CPUs.
""",
    "cluster": """## Between nodes

`drvs bench cluster`, in labs of two nodes, each in namespaces and on a core of its own, joined directly; without TLS
unless a row says so. `spin 50 us` is the default: the proxies look on for that long after traffic.
""",
}

TITLES = {
    "roundtrip": "Round trip, 64 bytes there and back",
    "copy": "Copy out of another process",
    "fanin": "Many callers of one server, as the server sees it",
    "scale": "One server among many endpoints",
    "cycle": "A program put aside and brought back",
    "heap": "200 MB of data, out and in",
    "copies": "Copies of a program, each",
    "pause": "How long a program stands still",
    "start": "Until 64 workers have answered",
    "calls": "Calls of a warm pool",
    "links": "64 bytes to another node and back, one call at a time",
    "callers": "Many callers of a server on another node, as the server sees it",
    "stream": "64 MiB to another node",
    "memory": "Memory",
    "simulation": "Simulated histories",
}
COSTS = {"memory", "simulation"}
MILLISECONDS = {"cycle", "pause", "start"}


def main() -> None:
    """Write the page."""
    parts = [HEAD, *(part(name) for name in TEXTS if (RESULTS / f"{name}.json").exists())]
    PAGE.write_text("\n".join(parts))


def part(name: str) -> str:
    """All that one benchmark gave."""
    file = RESULTS / f"{name}.json"
    rows, meta = json.loads(file.read_text()), json.loads(file.with_suffix(".meta.json").read_text())
    by_table = {known: [row for row in rows if row["table"] == known] for known in TITLES}
    found = [TEXTS[name] + RUN.format(**meta), "", promises(meta["targets"])]
    found += [
        costs(known, chosen) if known in COSTS else table(known, chosen) for known, chosen in by_table.items() if chosen
    ]
    if meta["skipped"]:
        found += [*(f"- Not measured: {what}: {why}" for what, why in meta["skipped"].items()), ""]
    return "\n".join(found)


def promises(targets: list[dict[str, Any]]) -> str:
    """What we set out to reach, and what came of it."""
    lines = [
        f"| {t['figure']} | {t['value']:,.4g} | {t['wanted']} | {'yes' if t['reached'] else 'no'} |" for t in targets
    ]
    return "\n".join(
        ["### Against the promises", "", "| figure | measured | wanted | reached |", "|---|---|---|---|", *lines, ""]
    )


def table(name: str, rows: list[dict[str, Any]]) -> str:
    """One table of the benchmark."""
    copies = name in ("copy", "heap", "stream")
    unit, scale = ("ms", 1000) if name in MILLISECONDS else ("us", 1)
    where = "placement" if name in ("roundtrip", "copy", "fanin", "scale") else "what"
    lines = [
        f"### {TITLES[name]}",
        "",
        f"| mechanism | {where} | p50 {unit} | mean {unit} | p99 {unit} | {'GiB/s' if copies else 'per second'} |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        label = f"{row['mechanism']}, {row['size']:,} bytes" if copies else row["mechanism"]
        rate = f"{row['gib_per_second']:,.3g}" if copies else f"{row['per_second']:,.0f}"
        times = " | ".join(f"{row[key] / scale:,.3g}" for key in ("p50_us", "mean_us", "p99_us"))
        lines.append(f"| {label} | {row['placement']} | {times} | {rate} |")
    return "\n".join([*lines, ""])


def costs(name: str, rows: list[dict[str, Any]]) -> str:
    """A table of what things cost."""
    lines = [f"| {row['mechanism']} | {row['value']:,.3g} {row['unit']} |" for row in rows]
    return "\n".join([f"### {TITLES[name]}", "", "| of | measured |", "|---|---|", *lines, ""])


if __name__ == "__main__":
    main()
