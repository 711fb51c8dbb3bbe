"""Mutated recipes and overrides: `translate-run --dry-run`; some of the accepted ones are trained for two steps."""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.campaigns.rule import DONE, Campaign, Outcome, called, half_written, outcome
from tests.campaigns.values import TEXTS, at, bytes_changed, hostile, nodes, put
from tests.conftest import REPOSITORY
from tests.reduced import RECIPES, reduced
from translate_core.commands.run import main

Tree = dict[str, Any]

CHEAP = ("quickstart", "quickstart_gan", "quickstart_pix2pix", "quickstart_cut")
"""Their small versions are accepted within half a second; those of the other methods need seconds."""

RAW = (
    "!!python/object/apply:os.system [touch executed]", "!!python/name:os.system", "!!bool x", "!!int [1]",
    "!!float [1]", "!!binary x", "!!timestamp x", "!!set {a}", "!custom 1", "! 1", "&a [*a]", "*nowhere",
    "&a {b: &b [1, 2]}", "{<<: {a: 1}}", "1e400", "-1e400", "0x1F", "0o17", "017", "1_000", "12:30:45", "2001-01-01",
    "yes", "on", "~", ".nan", "-.inf", ".Inf", "? a", "{a, b}", "{? [1]: 2}", "{[1]: 2}", "{1: 2}", "{null: 2}",
    "{a: 1, a: 2}", "[1, 2", "{a: 1", "'", '"', '"\\x00"', '"\\ud800"', '"\\U00110000"', "|", "> x", "@a", "`a`", "%a",
    "- 1", "a: b: c", "[" * 3000, "{a: " * 2000, "- " * 3000, "9" * 5000, "'" + "y" * 200_000 + "'", "#", "\t1",
)  # fmt: skip
"""YAML as it may be typed for a value."""

LAUGHS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}' if n else 'ha'] * 9)}]" for n in range(12))
"""Nine to the twelfth elements, written with aliases."""

ODD_OVERRIDES = (
    "",
    "=",
    "a",
    "a=",
    ".=1",
    "a..b=1",
    "generator.=1",
    ".generator=1",
    "=1",
    "generator",
    "\x00=1",
    "a\nb=1",
)


class Recipes(Campaign):
    """A recipe is drawn, its tree or its text is changed at some places, and overrides are added."""

    name = "recipes"
    limit = 120.0

    def __init__(self, shared: Path) -> None:
        super().__init__(shared)
        self.shipped = [_without_images(yaml.safe_load(_text(name))) for name in RECIPES]
        self.small = {path.stem: self._small(path) for path in map(Path, RECIPES) if path.stem.startswith("quickstart")}
        self.ablations = [
            yaml.safe_load(path.read_text("utf-8")) for path in (REPOSITORY / "recipes/ablations").iterdir()
        ]

    def _small(self, recipe: Path) -> Tree:
        with tempfile.TemporaryDirectory(dir=self.shared) as folder:
            tree: Tree = yaml.safe_load(reduced(REPOSITORY / "recipes" / recipe, Path(folder)).read_text("utf-8"))
        if tree["data"]["type"] == "synthetic":
            tree["data"].update(size=32, train=2, test=1)
        if tree["generator"]["type"] == "unet":
            tree["generator"]["downs"] = 2
        return tree

    def attempt(self, rng: random.Random, folder: Path) -> Outcome:
        """Validates one recipe; trains a part of what is accepted."""
        tree, trains = self._drawn(rng, folder)
        done = []
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            change = rng.choice(TREE_CHANGES)
            done.append(change.__name__.strip("_"))
            change(tree, rng, self.shipped)
        data = _dumped(tree, rng).encode("utf-8", "surrogatepass")
        if rng.random() < 0.35:
            change = rng.choice(TEXT_CHANGES)
            done.append(change.__name__.strip("_"))
            data = change(data, rng)
        path = folder / "r.yaml"
        path.write_bytes(data)
        overrides = [_override(tree, rng) for _ in range(rng.choice((0, 0, 0, 1, 1, 2)))]
        arguments = [str(path), "--device", "cpu", *(word for text in overrides for word in ("--set", text))]
        what = f"{'+'.join(done) or 'unchanged'} {' '.join(f'--set {text[:60]!r}' for text in overrides)}".strip()
        ended = [called("translate-run", main, [*arguments, "--dry-run", "--out", str(folder / "run")])]
        broken = list(ended[0].broken(_names(path, tree, overrides)))
        if ended[0].status == DONE and trains and rng.random() < 0.3:
            short = ["--set", "training.length=2 steps", "--out", str(folder / "run")]
            ended.append(called("translate-run", main, [*arguments, *short]))
            broken += [f"trained: {text}" for text in ended[1].broken()]
        if Path("executed").exists():
            broken.append("a YAML tag was executed")
        return outcome(what, ended, broken + half_written(folder))

    def _drawn(self, rng: random.Random, folder: Path) -> tuple[Tree, bool]:
        """A recipe, and whether it is small enough to train."""
        draw = rng.random()
        if draw < 0.45:
            return copy.deepcopy(rng.choice(self.shipped)), False
        if draw < 0.92:
            return copy.deepcopy(self.small[rng.choice(CHEAP)]), True
        if draw < 0.95:
            return copy.deepcopy(self.small[rng.choice(sorted(self.small))]), True
        tree = copy.deepcopy(rng.choice(self.ablations))
        (folder / "base.yaml").write_text(yaml.safe_dump(self.small["quickstart"]))
        return tree | {"base": "base.yaml", "generator": {"type": "resnet", "blocks": 1, "width": 4}}, False


def _text(name: str) -> str:
    return (REPOSITORY / "recipes" / name).read_text("utf-8")


def _without_images(tree: Tree) -> Tree:
    """A shipped recipe whose images do not exist, so that validation ends before networks are built."""
    tree["data"] = {key: value for key, value in tree["data"].items() if key != "download"}
    tree["data"].update({"root": "absent"} if tree["data"]["type"] != "synthetic" else {"train": 2, "test": 1})
    if tree["data"]["type"] == "synthetic":
        tree["data"] = {"type": "unpaired_folders", "root": "absent"}
    return tree


def _names(path: Path, tree: Tree, overrides: list[str]) -> list[str]:
    """Texts of which every message has one: the recipe, a block, or the override."""
    keys = ("method", "data", "generator", "losses", "training", *map(str, tree), *(text[:40] for text in overrides))
    return [str(path), "--set", *(key for key in keys if key)]


# Changes of the tree


def _node(tree: Tree, rng: random.Random) -> tuple[Any, ...] | None:
    found = list(nodes(tree))
    return rng.choice(found) if found else None


def _delete(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    if path := _node(tree, rng):
        del at(tree, path[:-1])[path[-1]]


def _rename(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    path = _node(tree, rng)
    parent = at(tree, path[:-1]) if path else None
    if path and isinstance(parent, dict):
        key = str(path[-1])
        place = rng.randrange(len(key) + 1)
        near = (key[:place] + key[place + 1 :], key[:place] + "x" + key[place:], key.upper(), key[::-1], key + ".x")
        parent[rng.choice((*near, rng.choice(TEXTS), None, 1, 1.5, True))] = parent.pop(path[-1])


def _revalue(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    if path := _node(tree, rng):
        put(tree, path, hostile(rng))


def _add(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    path = _node(tree, rng) or ()
    parent = at(tree, path)
    (parent if isinstance(parent, dict) else tree)[rng.choice(TEXTS)] = hostile(rng)


def _swap(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    """A subtree of another recipe in place of the one of the same key, or of any."""
    other = rng.choice(others)
    path, theirs = _node(tree, rng), _node(other, rng)
    if path and theirs:
        put(tree, path, copy.deepcopy(at(other, theirs)))


def _block(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    """A whole block of another recipe."""
    other = rng.choice(others)
    key = rng.choice(sorted(other))
    tree[key] = copy.deepcopy(other[key])


def _type(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    """Another component in a block, often of another kind."""
    types = [path for path in nodes(tree) if path[-1] == "type"]
    theirs = [at(other, path) for other in others for path in nodes(other) if path[-1] == "type"]
    if types:
        put(tree, rng.choice(types), rng.choice(theirs))


def _resize(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    """Lists of another length, numbers of another sign or size."""
    leaves = [path for path in nodes(tree) if isinstance(at(tree, path), list | int | float)]
    if leaves:
        path = rng.choice(leaves)
        value = at(tree, path)
        if isinstance(value, list):
            put(tree, path, rng.choice((value[:-1], value * 2, value * 1000, [value], [], value[0] if value else None)))
        else:
            put(
                tree, path, rng.choice((-value, value + 1, value * 10**6, value // 3, str(value), [value], bool(value)))
            )


def _alias(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    """One object at two places, which YAML writes with an anchor."""
    first, second = _node(tree, rng), _node(tree, rng)
    if first and second and second != first[: len(second)] and first != second[: len(first)]:
        put(tree, second, at(tree, first))


def _raw(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    """YAML typed for a value; `_dumped` puts it in."""
    if path := _node(tree, rng):
        put(tree, path, f"@@{rng.randrange(len(RAW))}@@")


def _plugins(tree: Tree, rng: random.Random, others: list[Tree]) -> None:
    tree["plugins"] = rng.choice(
        (["absent.py"], ["os"], ["r.yaml"], ["/dev/zero"], [""], [".."], ["a b"], ["tests.conftest"], [hostile(rng)])
    )


TREE_CHANGES: tuple[Callable[[Tree, random.Random, list[Tree]], None], ...] = (
    _delete, _rename, _revalue, _revalue, _revalue, _add, _swap, _block, _type, _resize, _resize, _alias, _raw, _raw,
    _plugins,
)  # fmt: skip


def _dumped(tree: Tree, rng: random.Random) -> str:
    text = yaml.safe_dump(
        tree, sort_keys=False, allow_unicode=rng.random() < 0.5, default_flow_style=rng.random() < 0.3
    )
    for number, raw in enumerate(RAW):
        text = text.replace(f"'@@{number}@@'", raw)
    return text


# Changes of the text


def _bytes(data: bytes, rng: random.Random) -> bytes:
    return bytes_changed(data, rng)


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        lines.insert(one, lines[two])
    elif change == 1:
        del lines[one]
    elif change == 2:
        lines[one], lines[two] = lines[two], lines[one]
    elif change == 3:
        lines[one] = rng.choice((b"\t", b" ", b"   ")) + lines[one]
    else:
        lines[one] = lines[one].lstrip()
    return b"\n".join(lines)


def _encoding(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return rng.choice(
        (
            b"\xef\xbb\xbf" + data,
            text.encode("utf-16"),
            text.encode("utf-32"),
            text.replace("\n", "\r\n").encode(),
            text.replace("\n", "\r").encode(),
            data + b"# \xe9\n",
            data.replace(b"e", b"\x00", 1),
            data.replace(b": ", b":\t", rng.randrange(1, 9)),
        )
    )


def _documents(data: bytes, rng: random.Random) -> bytes:
    return rng.choice(
        (b"---\n" + data, data + b"---\n" + data, b"%YAML 9.9\n---\n" + data, b"%TAG ! x\n" + data, b"...\n" + data)
    )


def _laughs(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((data + LAUGHS.encode(), LAUGHS.encode() + b"\n" + data))


def _nothing(data: bytes, rng: random.Random) -> bytes:
    return rng.choice(
        (
            b"",
            b"\n",
            b"null",
            b"[]",
            b"5",
            b"text",
            b"# only a comment\n",
            b"{}",
            b"- 1\n- 2\n",
            b"\x00",
            b"a: b\n" * 5000,
        )
    )


TEXT_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _bytes, _bytes, _bytes, _lines, _lines, _encoding, _documents, _laughs, _nothing,
)  # fmt: skip


def _override(tree: Tree, rng: random.Random) -> str:
    if rng.random() < 0.15:
        return rng.choice(ODD_OVERRIDES)
    path = _node(tree, rng) or ("x",)
    if rng.random() < 0.2:
        path = (*path, rng.choice(TEXTS))
    key = ".".join(map(str, path))
    value = (
        rng.choice(RAW)
        if rng.random() < 0.3
        else yaml.safe_dump(hostile(rng), default_flow_style=True).removesuffix("...\n")
    )
    text = f"{key}={value.strip()}"
    return text.encode("utf-8", "replace").decode() if rng.random() < 0.9 else text
