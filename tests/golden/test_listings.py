"""The text of the view's files: what the guide lists, in its columns, and exactly what stands in `view/`.

`guide/` has the listings of chapter 7 as printed there; a bitmap lost all but five of its leading dashes in print.
`view/` has our text of the same records. To see a difference: run the test; to accept it: edit the file.
"""

import re
from pathlib import Path

import msgspec
import pytest
from golden import records
from golden.records import LISTINGS, NODES

from drvs.base.ids import EndpointId
from drvs.procview import bitmap
from drvs.procview.listings import of_node, of_vm

HERE = Path(__file__).parent
SIZES = re.compile(r"^(sizeof\(.*)=\d+$", re.M)  # of structures: theirs are others, and ours change


def guide(name: str) -> list[list[str]]:
    """The words of a listing of the guide, line by line, bitmaps whole again."""
    lines = (HERE / "guide" / f"{name}.txt").read_text().splitlines()
    return [[restored(word) for word in words(line)] for line in lines]


def words(line: str) -> list[str]:
    """A line's words; `name=value` is one, with the sizes of structures left out."""
    return [SIZES.sub(r"\1=…", line)] if "=" in line else line.split()


def restored(word: str) -> str:
    """A bitmap with the dashes that it lost."""
    return word[5:].rjust(32, "-") if re.fullmatch(r"-{5}[X-]*", word) else word


@pytest.mark.parametrize("name", sorted(set(LISTINGS) - {"node-stats"}))
def test_a_file_has_what_the_guide_lists_and_what_is_ours_behind_it(name: str) -> None:
    expected = guide(name)
    shown = [words(line) for line in LISTINGS[name].splitlines()]
    assert [line[: len(columns)] for line, columns in zip(shown, expected, strict=False)] == expected


@pytest.mark.parametrize("name", sorted(LISTINGS))
def test_a_file_is_exactly_this(name: str) -> None:
    assert SIZES.sub(r"\1=…", LISTINGS[name]) == (HERE / "view" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", sorted(set(LISTINGS) - {"info", "vm-info"}))
def test_cells_stand_below_their_headings(name: str) -> None:
    """Every cell but the last ends, or begins, where its heading does."""
    heading, *rows = LISTINGS[name].splitlines()
    spans = [match.span() for match in re.finditer(r"\S+", heading)]
    for row in rows:
        cells = [match.span() for match in re.finditer(r"\S+", row)]
        assert len(cells) == len(spans)
        for (start, end), (first, last) in zip(cells, spans, strict=True):
            assert start == first or end == last, row


@pytest.mark.parametrize(
    ("limit", "lines"),
    [
        (4, ["33222222222211111111110000000000", "10987654321098765432109876543210"]),
        (32, ["33222222222211111111110000000000", "10987654321098765432109876543210"]),
        (4096, None),
    ],
)
def test_the_ruler_is_as_wide_as_the_limit_and_never_below_32(limit: int, lines: list[str] | None) -> None:
    drawn = bitmap.rulers(bitmap.width_for(limit))
    assert lines is None or drawn == lines
    columns = ["".join(digits) for digits in zip(*drawn, strict=True)]
    assert list(map(int, columns)) == list(range(max(32, limit) - 1, -1, -1))


def test_bitmaps_have_bit_0_at_the_right() -> None:
    assert bitmap.marks(0b1101, 6) == "--XX-X"
    assert bitmap.marks(0, 3) == "---"
    assert bitmap.marks(1 << 40 | 1, 32) == "-" * 31 + "X"


def test_names_cannot_end_a_line_or_begin_another() -> None:
    rows = [msgspec.structs.replace(NODES[0], name="x\n   1     6      -1\x1b[31m")]
    text = of_node.nodes(rows, 32)
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_many_nodes_make_wide_lines_and_not_more_of_them() -> None:
    line = of_node.nodes(NODES, 256).splitlines()[1]
    assert len(line.split()[3]) == 256


def test_a_column_is_as_wide_as_its_numbers() -> None:
    row = records.process(30, 0, "fs")
    text = of_vm.procs([row, msgspec.structs.replace(row, endpoint=EndpointId(1_234_567_890))])
    heading, *lines = text.splitlines()
    assert [line[:20] for line in lines] == ["   0   30         30", "   0   30 1234567890"]
    assert heading.startswith("VMID p_nr     -endp- -lpid- node ")
    assert {line.index("fs") for line in lines} == {heading.index("name")}


def test_a_vm_without_processes_has_headings_alone() -> None:
    assert of_vm.procs([]).count("\n") == of_vm.stats([]).count("\n") == 1
