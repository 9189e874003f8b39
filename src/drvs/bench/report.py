"""What a person sees of a run: a table a question, a plot of the round trips, and the promises with what came out."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from drvs.bench.promise import PUBLISHED_MESSAGES, Target
from drvs.bench.stats import Row
from drvs.ui.console import out, unicode_ok
from drvs.ui.picture import Bar, bars
from drvs.ui.table import Column, number, plain, show
from drvs.ui.units import count, significant, size

_TITLES = {
    "roundtrip": "Round trip, 64 bytes there and back (us)",
    "copy": "Copy out of another process",
    "scale": "One server among many endpoints (us)",
    "fanin": "Many callers of one server, as the server sees it (us)",
    "cycle": "A program put aside and brought back (ms)",
    "heap": "200 MB of data, out and in",
    "copies": "Copies of a program (us each)",
    "pause": "How long a program stands still (ms)",
    "start": "From the constructor to the last worker's first answer (ms)",
    "calls": "Calls of a warm pool (us)",
    "links": "64 bytes to another node and back (us)",
    "callers": "Many callers of a server on another node, as the server sees it (us)",
    "stream": "64 MiB to another node",
}
_NOTES = {
    "different": "on two cores",
    "same": "on one core",
    "unpinned": "where the scheduler likes",
}
TIMES = ("p50_us", "mean_us", "p99_us")


def _mechanism(row: Row) -> str:
    name = plain(row["mechanism"])
    return f"[ours]{name}[/]" if name.startswith("drvs") else name


def _timing_cells(row: Row, scale: float = 1.0) -> list[str]:
    return [significant(row[key] / scale) for key in TIMES] + [count(row["per_second"])]


def timing_table(table: str, rows: Sequence[Row], scale: float = 1.0) -> None:
    """Print the timing rows of a table, fastest first within a placement."""
    columns = [Column("mechanism"), Column("placement"), *map(number, ("p50", "mean", "p99", "per second"))]
    places = list(dict.fromkeys([*_NOTES, *(row["placement"] for row in rows)]))
    ordered = sorted(rows, key=lambda row: (places.index(row["placement"]), row["p50_us"]))
    cells = [[_mechanism(row), row["placement"], *_timing_cells(row, scale)] for row in ordered]
    show(columns, cells, _TITLES[table])


def milliseconds_table(table: str, rows: Sequence[Row]) -> None:
    """Print the timing rows of a table of longer things."""
    timing_table(table, rows, 1000)


def published_table(rows: Sequence[Row]) -> None:
    """Print the C library's messages a second (a round trip is two) beside what M3-IPC's authors published."""
    found = {row["placement"]: row for row in rows if row["mechanism"] == "drvs-c" and row["mean_us"]}
    cells = [
        [_NOTES[placement], count(2e6 / found[placement]["mean_us"]), count(published)]
        for placement, published in PUBLISHED_MESSAGES.items()
        if placement in found
    ]
    if cells:
        columns = [Column("messages a second"), number("drvs-c"), number("M3-IPC, published")]
        show(columns, cells, "Beside the kernel module (its authors' hardware, 2018)")


def copy_table(rows: Sequence[Row]) -> None:
    """Print the rows of the copy table."""
    columns = [
        Column("mechanism"),
        Column("placement"),
        number("size"),
        number("p50 us"),
        number("mean us"),
        number("p99 us"),
        number("GiB/s"),
    ]
    ordered = sorted(rows, key=lambda row: (row["placement"], row["size"], row["mechanism"]))
    cells = [
        [
            _mechanism(row),
            row["placement"],
            size(row["size"]),
            *_timing_cells(row)[:3],
            significant(row["gib_per_second"]),
        ]
        for row in ordered
    ]
    show(columns, cells, _TITLES[rows[0]["table"]])


def memory_table(rows: Sequence[Row]) -> None:
    """Print what things cost."""
    cells = [[_cost(row), f"{significant(row['value'])} {row['unit']}"] for row in rows]
    show([Column("cost", fold=True), number("measured")], cells, "Memory and idle cost")


def simulation_table(rows: Sequence[Row]) -> None:
    """Print what histories cost."""
    cells = [[_cost(row), f"{significant(row['value'])} {row['unit']}"] for row in rows]
    show([Column("history", fold=True), number("CPU time")], cells, "Simulated clusters")


def _cost(row: Row) -> str:
    """What a cost is of: for `drvs (a waiting process)`, the words in brackets."""
    name = row["mechanism"]
    return plain(name.removeprefix("drvs (").removesuffix(")") if name.startswith("drvs (") else name)


def plot(rows: Sequence[Row]) -> None:
    """Draw the median round trips of each placement as bars on a logarithmic scale."""
    console = out()
    for placement, note in _NOTES.items():
        chosen = sorted((row for row in rows if row["placement"] == placement), key=lambda row: row["p50_us"])
        if chosen:
            console.print(f"\nMedian round trip {note}, logarithmic scale", style="bold", markup=False)
            entries = [Bar(row["mechanism"], row["p50_us"], f"{significant(row['p50_us'])} us") for row in chosen]
            width = max(10, min(48, console.width - 40))
            for row, line in zip(chosen, bars(entries, width, unicode_ok(sys.stdout)), strict=True):
                style = "ours" if row["mechanism"].startswith("drvs") else None
                console.print(line, style=style, markup=False, no_wrap=True)


def targets_table(targets: Sequence[Target]) -> None:
    """Print the promises and what came out."""
    rows = [
        [target.what, target.shown, target.wanted, "[ok]reached[/]" if target.reached else "[warn]missed[/]"]
        for target in targets
    ]
    show([Column("figure", fold=True), number("measured"), number("wanted"), Column("")], rows, "Against the promises")


def roundtrip_tables(rows: Sequence[Row]) -> None:
    """Print the round trips, beside what was published, with their plot."""
    timing_table("roundtrip", rows)
    published_table(rows)
    plot(rows)


def skipped_lines(skipped: dict[str, str]) -> list[str]:
    """Return a line for each mechanism that was not measured."""
    return [f"skipped: {name}: {reason}" for name, reason in skipped.items()]
