"""Completeness: every canonical symbol has a public name, a test and a reference page, or says when it comes."""

import importlib
import inspect
import sys
from pathlib import Path

import pytest

import canonical_map
from support.covers import declared

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools" / "reference"))

import calls as calls_table

CALLS = {str(call["name"]): call for call in canonical_map.calls_here()}
IMAGES = set(canonical_map.IMAGE_CODES)
STUB = set(canonical_map.CANONICAL["m3ipc_authors_stub"]) - set(canonical_map.SYMBOLS_TO_COME)
COVERS = list(declared(ROOT / "tests"))


def test_every_symbol_has_a_public_name_or_says_when_it_comes() -> None:
    named = set(calls_table.public_names())
    unmapped = canonical_map.symbols() - named - set(canonical_map.SYMBOLS_TO_COME)
    assert not unmapped, f"no docstring says `Canonical: …` for {sorted(unmapped)}"
    unknown = named - canonical_map.symbols()
    assert not unknown, f"docstrings name what no specification has: {sorted(unknown)}"
    both = named & set(canonical_map.SYMBOLS_TO_COME)
    assert not both, f"here already, so no longer to come: {sorted(both)}"


@pytest.mark.parametrize("symbol", sorted({*CALLS, *STUB, *IMAGES}))
def test_its_public_names_can_be_reached(symbol: str) -> None:
    for name in calls_table.public_names()[symbol]:
        resolve(name)


def resolve(name: str) -> object:
    """The object that a dotted name leads to, modules imported as needed."""
    parts = name.split(".")
    found: object = importlib.import_module(parts[0])
    for index, part in enumerate(parts[1:], 2):
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(".".join(parts[:index]))
    return found


@pytest.mark.parametrize("symbol", sorted(name for name in canonical_map.symbols() if name.startswith("mnx_")))
def test_compat_has_it_with_the_arguments_of_the_guide(symbol: str) -> None:
    from drvs.compat import mnx

    function = getattr(mnx, symbol)
    call = next((c for c in canonical_map.CANONICAL["m3ipc_guide"] if c["name"] == symbol), None)
    if call:
        expected = canonical_map.parameters(call["signature"])
        assert len(inspect.signature(function).parameters) == len(expected), f"{symbol} takes {expected}"


@pytest.mark.parametrize("symbol", sorted(CALLS))
def test_every_code_of_it_is_provoked_by_a_test_or_says_when_it_will(symbol: str) -> None:
    covered = {cover.code for cover in COVERS if cover.call == symbol}
    codes = [str(code) for code in CALLS[symbol]["codes"]] + ["OK"]  # type: ignore[attr-defined]
    excused = {code for code in codes if canonical_map.to_come(symbol, code)}
    excused |= {code for call, code in canonical_map.CANNOT_ARISE if call == symbol}
    missing = [code for code in codes if code not in covered | excused]
    assert not missing, f"no test has @covers({symbol!r}, …) for {missing}"


@pytest.mark.parametrize("symbol", sorted(IMAGES))
def test_every_result_of_a_call_for_images_is_provoked_by_a_test(symbol: str) -> None:
    covered = {cover.code for cover in COVERS if cover.call == symbol}
    assert not set(canonical_map.IMAGE_CODES[symbol]) - covered


@pytest.mark.parametrize("symbol", sorted(IMAGES))
def test_compat_has_the_numbers_of_the_calls_for_images(symbol: str) -> None:
    from drvs.compat import bproc

    request = next(r for r in canonical_map.CANONICAL["bproc"] if r["name"] == symbol)
    assert getattr(bproc, symbol) == int(request["number"], 16)


@pytest.mark.parametrize("symbol", sorted(STUB))
def test_calls_beyond_the_guide_have_tests(symbol: str) -> None:
    assert "OK" in {cover.code for cover in COVERS if cover.call == symbol}


def test_covers_name_calls_and_codes_that_exist() -> None:
    from drvs.base.codes import Code

    codes = {code.canonical for code in Code} | {"EMOLNOTVMRUN", "EMOLPROXY"}
    wrong = [
        cover
        for cover in COVERS
        if cover.call not in canonical_map.symbols()
        or cover.code not in {*codes, *canonical_map.IMAGE_CODES.get(cover.call, [])}
    ]
    assert not wrong


def test_every_code_of_the_guide_is_a_code() -> None:
    from drvs.base.codes import Code

    ours = {code.canonical for code in Code} | {"EMOLNOTVMRUN", "EMOLPROXY"}  # the guide's slips for two of them
    theirs = {code for call in canonical_map.CANONICAL["m3ipc_guide"] for code in call["codes"]}
    assert theirs <= ours


def test_what_cannot_arise_is_provoked_by_no_test() -> None:
    provoked = {(cover.call, cover.code) for cover in COVERS}
    assert not provoked & set(canonical_map.CANNOT_ARISE)
