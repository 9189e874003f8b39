"""Long random walks over the rules, quicker and wider than a property test's; a failing one is cut to what matters.

A walk is a list of steps (rule and arguments), made from a seed alone, so that the seed, or the shortened list that a
failure prints, repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from model.harness import LIMITS, MEMBERS, NUMBERS
from model.machine import Machine
from model.numbers import ANY, NONE, SELF, Code, Op, VmState

Step = tuple[str, dict[str, Any]]
Arguments = Callable[[random.Random], dict[str, Any]]

STRANGERS = [SELF, ANY, NONE, -4, 12345, 2**31 - 1, -(2**31)]
EVERYTHING = 2**64 - 1


def actor(dice: random.Random) -> int:
    """Who acts."""
    return dice.randrange(NUMBERS)


def peer(dice: random.Random) -> int:
    """Who is spoken to."""
    return dice.choice(STRANGERS) if dice.random() < 0.03 else dice.randrange(NUMBERS)


def source(dice: random.Random) -> int:
    """Whom to hear."""
    return ANY if dice.random() < 0.6 else peer(dice)


def often(dice: random.Random, value: int, *others: int) -> int:
    """The value, or now and then one of the others."""
    return value if dice.random() < 0.8 else dice.choice(others)


def rarely(dice: random.Random) -> bool:
    """Once in ten times."""
    return dice.random() < 0.1


def privileges(dice: random.Random) -> dict[str, Any]:
    """Mostly everything, with another number or a process to warn; now and then less."""
    return {
        "index": dice.randrange(MEMBERS),
        "identity": dice.randrange(LIMITS.nr_sysprocs),
        "warn": NONE if dice.random() < 0.3 else dice.randrange(MEMBERS) - LIMITS.nr_tasks,
        "traps": often(dice, 2**32 - 1, 1 << Op.SEND, 2**32 - 1 - (1 << Op.SEND)),
        "calls": often(dice, EVERYTHING, 0),
        "ipc_from": often(dice, EVERYTHING, 0, 0b10101010, 0b01010101),
        "ipc_to": often(dice, EVERYTHING, 0, 0b10101010, 0b01010101),
        "really": rarely(dice),
    }


RULES: list[tuple[int, str, Arguments]] = [
    (
        5,
        "bind",
        lambda d: {"index": d.randrange(MEMBERS), "remote": rarely(d) and rarely(d), "backup": rarely(d) and rarely(d)},
    ),
    (4, "unbind_step", lambda d: {"index": d.randrange(MEMBERS), "force": rarely(d), "another": rarely(d)}),
    (4, "die", lambda d: {"index": d.randrange(MEMBERS), "dies": rarely(d)}),
    (10, "send", lambda d: {"actor": actor(d), "peer": peer(d), "nowait": rarely(d), "answers": often(d, 0, 1, 2, 3)}),
    (
        12,
        "sendrec",
        lambda d: {"actor": actor(d), "peer": peer(d), "nowait": rarely(d), "answers": often(d, 0, 1, 2, 3)},
    ),
    (16, "receive", lambda d: {"actor": actor(d), "source": source(d), "nowait": rarely(d)}),
    (4, "rcvrqst", lambda d: {"actor": actor(d), "nowait": rarely(d)}),
    (2, "reply", lambda d: {"actor": actor(d), "peer": peer(d), "answers": often(d, 0, 1, 2, 3)}),
    (8, "answer", lambda d: {"actor": actor(d), "op": d.choice([Op.REPLY, Op.REPLY, Op.SEND]), "late": rarely(d)}),
    (1, "relay", lambda d: {"actor": actor(d), "source": peer(d), "peer": peer(d)}),
    (4, "pass_on", lambda d: {"actor": actor(d), "peer": peer(d), "answers": often(d, 0, 1, 2)}),
    (8, "notify", lambda d: {"actor": actor(d), "peer": peer(d), "value": d.choice([0, 0, 1, 2])}),
    (
        4,
        "notify_from_outside",
        lambda d: {"p_nr": d.randrange(MEMBERS) - LIMITS.nr_tasks, "peer": peer(d), "value": d.choice([0, 1])},
    ),
    (8, "look", lambda d: {"actor": actor(d)}),
    (4, "cancel", lambda d: {"actor": actor(d), "verdict": d.choice([Code.TIMEDOUT, Code.RESTARTSYS, Code.INTR])}),
    (3, "wakeup", lambda d: {"peer": peer(d), "really": rarely(d)}),
    (
        2,
        "copy_begin",
        lambda d: {"actor": actor(d), "src": peer(d), "dst": peer(d), "nbytes": often(d, 9, 0, 4096, 4097)},
    ),
    (4, "copy_of_waiting", lambda d: {"actor": actor(d), "pick": actor(d), "to_itself": d.random() < 0.5}),
    (5, "copy_end", lambda d: {"actor": actor(d)}),
    (3, "set_priv", privileges),
]


def make_walk(seed: int, length: int) -> list[Step]:
    """The steps that a seed stands for."""
    dice = random.Random(seed)
    weights = [weight for weight, _, _ in RULES]
    steps: list[Step] = [("start", {"bound": set(dice.sample(range(MEMBERS), dice.randrange(4, MEMBERS + 1)))})]
    for _, name, arguments in dice.choices(RULES, weights, k=length):
        steps.append((name, arguments(dice)))
    if rarely(dice):
        steps.insert(-10, ("end", {"now": True, "state": dice.choice([VmState.ENDED, VmState.CORRUPT])}))
    return steps


def take(steps: list[Step], kind: type[Machine]) -> None:
    """Make all the steps in a fresh VM, comparing after each."""
    machine = kind()
    try:
        for name, arguments in steps:
            getattr(machine, name)(**arguments)
            machine.slots_are_the_same()
            machine.the_audit_passes()
    finally:
        machine.teardown()


def failure_of(steps: list[Step], kind: type[Machine]) -> str | None:
    """What goes wrong on this walk."""
    try:
        take(steps, kind)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def shorten(steps: list[Step], kind: type[Machine]) -> list[Step]:
    """Leave out whatever the failure does not need."""
    piece = len(steps) // 2
    while piece:
        at = 1
        while at < len(steps):
            fewer = steps[:at] + steps[at + piece :]
            if failure_of(fewer, kind) is not None:
                steps = fewer
            else:
                at += piece
        piece //= 2
    return steps


def explain(seed: int, length: int, kind: type[Machine]) -> str:
    """A failing walk, shortened, as a program."""
    steps = shorten(make_walk(seed, length), kind)
    lines = [
        f"    machine.{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
        for name, arguments in steps
    ]
    return "\n".join([f"walk {seed} of {length} steps: {failure_of(steps, kind)}", *lines])


def walk_for(seeds: range, length: int, kind: type[Machine] = Machine) -> None:
    """Walk, and explain the first failure."""
    for seed in seeds:
        if failure_of(make_walk(seed, length), kind) is not None:
            raise AssertionError(explain(seed, length, kind))
