"""Hostile values: for the keys of recipes and for the nodes of JSON."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

Path_ = tuple[Any, ...]

NUMBERS: tuple[Any, ...] = (
    -1, 0, 1, 2, 3, 7, 64, 10**6, 10**18, 2**31, 2**63, 2**64, -(10**18), 10**400, 0.0, -0.0, 1e-300, 5e-324, 1e308,
    -0.5, 0.5, 1.5, math.nan, math.inf, -math.inf,
)  # fmt: skip
TEXTS = (
    "", " ", "x", "none", "null", "true", "1", "1e400", "5 steps", "0 steps", "-3 epochs", "1e9 steps", "nan epochs",
    "99999999999999999999 steps", "\x00", "a\x00b", "\x1b[31mred\x1b[0m", "\r\n", "\u202e", "\U0001f600", "\udcff",
    "../../etc/passwd", "/dev/zero", "/proc/self/mem", "/dev/null", "~", "$HOME", "%s%n", "{0.__class__}", "[bold]",
    "a/b", "a.b", "..", "-", "=", "x" * 300, "x" * 100_000, "é", "\t", "real_A", "fake_B", "G_AB", "A", "lsgan",
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, {"type": None}, {"type": []})


def deep(levels: int) -> Any:
    """A list in a list in a list …"""
    made: Any = []
    for _ in range(levels):
        made = [made]
    return made


def hostile(rng: random.Random) -> Any:
    """A value of any plain type."""
    draw = rng.random()
    if draw < 0.4:
        return rng.choice(NUMBERS)
    if draw < 0.75:
        return rng.choice(TEXTS)
    if draw < 0.9:
        return rng.choice(OTHERS)
    if draw < 0.93:
        return deep(rng.choice((3, 30, 150)))
    if draw < 0.96:
        return [rng.choice(NUMBERS) for _ in range(rng.choice((1, 2, 3, 5, 1000)))]
    return {rng.choice(TEXTS): rng.choice(NUMBERS) for _ in range(rng.choice((1, 2, 200)))}


def nodes(tree: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The path of every node below the root."""
    items: Any = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from nodes(value, (*path, key))


def at(tree: Any, path: Path_) -> Any:
    """The node at a path."""
    for key in path:
        tree = tree[key]
    return tree


def put(tree: Any, path: Path_, value: Any) -> None:
    """Replaces the node at a path."""
    at(tree, path[:-1])[path[-1]] = value


def bytes_changed(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a few flipped, cut, doubled, inserted or removed."""
    if not data:
        return b"\xff"
    place = rng.randrange(len(data))
    end = min(len(data), place + rng.choice((1, 4, 40, 4000)))
    changes: tuple[Callable[[], bytes], ...] = (
        lambda: data[:place],
        lambda: data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :],
        lambda: data[:place] + rng.randbytes(end - place) + data[end:],
        lambda: data[:place] + data[end:],
        lambda: data[:end] + data[place:],
        lambda: (
            data[:place] + rng.choice((b"\x00", b"\xff\xfe", b"\xc3", b"\t", b"\r", b"\n", b"\x1b[2J")) + data[place:]
        ),
        lambda: data + rng.randbytes(100),
        lambda: b"",
    )
    return rng.choice(changes)()
