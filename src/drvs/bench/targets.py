"""The figures that were promised, as ratios within one run.

A ratio against something measured in turns (the C ping-pong, a small VM) is the median over the rounds of the ratio in
a round, so that the host moving its cores cancels out.
"""

from __future__ import annotations

from collections.abc import Iterator

from drvs.bench import copying, fanin, footprint, roundtrip, scale
from drvs.bench.promise import PUBLISHED_MESSAGES, Target
from drvs.bench.stats import paired_ratio

_YARD, _OURS, _PIPE = "c-pingpong", "drvs", "multiprocessing.Pipe"
_C_FACE = "drvs-c"
_OWN_PREFIXES = (_OURS, _YARD)


def of_roundtrip(results: roundtrip.Results) -> Iterator[Target]:
    """Yield the promises about round trips."""
    yield from _of_c_face(results)
    for place, most in (("different", 1.8), ("same", 1.15)):
        ours, yard, pipe = (results.get((name, place)) for name in (_OURS, _YARD, _PIPE))
        if ours and yard:
            yield Target(
                f"sendrec / {_YARD}, {place} core{'s' * (place == 'different')}", paired_ratio(ours, yard), most
            )
        if ours and pipe and place == "different":
            yield Target(f"{_PIPE} / sendrec, different cores", pipe.mean / ours.mean, 50, at_most=False)
        peers = {n: s.mean for (n, p), s in results.items() if p == place and not n.startswith(_OWN_PREFIXES)}
        if ours and peers and place == "same":
            best = min(peers, key=lambda name: peers[name])
            yield Target(f"fastest peer ({best}) / sendrec, same core", peers[best] / ours.mean, 1, at_most=False)


def _of_c_face(results: roundtrip.Results) -> Iterator[Target]:
    """The C library's, and its messages a second against what the kernel module's authors published."""
    for place, most in (("different", 1.15), ("same", 1.1)):
        ours, yard = results.get((_C_FACE, place)), results.get((_YARD, place))
        if ours and yard:
            cores = "different cores" if place == "different" else "same core"
            yield Target(f"C sendrec / {_YARD}, {cores}", paired_ratio(ours, yard), most)
    across = results.get((_C_FACE, "different"))
    if across and across.mean:
        published = PUBLISHED_MESSAGES["different"]
        yield Target("C messages a second, different cores", 2e9 / across.mean, published, at_most=False)


def of_copy(results: copying.Results) -> Iterator[Target]:
    """Yield the promises about copies."""
    for (mechanism, place, nbytes), series in results.items():
        raw = results.get((copying.RAW, place, nbytes))
        if mechanism == copying.OURS and raw and nbytes > copying.SIZES[0] and place != "same":
            ratio = 1 / paired_ratio(series, raw) if series.means else 0.0
            yield Target(f"copy / {copying.RAW}, {nbytes >> 10} KiB", ratio, 0.95, at_most=False)


def of_scale(results: scale.Results) -> Iterator[Target]:
    """Yield the promises about many endpoints."""
    alone = next(iter(results.values()))
    for (name, series), most in zip(list(results.items())[1:], (1.1, 1.6), strict=True):
        yield Target(f"{name.removeprefix('drvs ').strip('()')} / 2 endpoints", paired_ratio(series, alone), most)


def of_fanin(results: fanin.Results) -> Iterator[Target]:
    """Yield the promise about many callers."""
    one, many = (results[callers] for callers in fanin.GROUPS)
    yield Target("throughput, 16 callers / 1 caller", paired_ratio(one, many), 0.8, at_most=False)


def of_memory(figures: list[footprint.Figure]) -> Iterator[Target]:
    """Yield the promises about costs."""
    for figure in figures:
        if figure.most is not None:
            yield Target(figure.name, figure.value, figure.most, unit=f" {figure.unit}")
