"""The YAML of recipes. Faults and their places are in tests/recipe/test_bad_input.py."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from translate_core.runtime.yaml12 import YamlError, dump, inline, parse, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("2.0e-4", 2e-4),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+1.5", 1.5),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("null", None),
        ("Null", None),
        ("~", None),
        ("", None),
        ("off", "off"),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("tRUE", "tRUE"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("12e", "12e"),
        ("2024-01-31", "2024-01-31"),
        ("1.2.3", "1.2.3"),
        ("5 steps", "5 steps"),
        ("'5'", "5"),
        ('"null"', "null"),
        ("=", "="),
        ("<<", "<<"),
        ("[1, [2, a], {b: 2e-4}]", [1, [2, "a"], {"b": 2e-4}]),
        ("{1: a, true: b, null: c}", {"1": "a", "true": "b", "null": "c"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)
def test_scalars(text: str, value: object) -> None:
    parsed = parse(text, "text")
    assert parsed == value
    assert type(parsed) is type(value)


def test_not_a_number() -> None:
    assert math.isnan(parse(".nan", "text"))


@pytest.mark.parametrize(
    "value",
    [
        {"lr": 2e-4, "tiny": 1e-30, "large": 1e22, "whole": 2.0, "infinite": math.inf, "negative": -math.inf},
        {
            "text": [
                "2e-4",
                "off",
                "null",
                "",
                "~",
                "5",
                "0o17",
                "true",
                "2024-01-31",
                " a",
                "a: b",
                "é",
                "#",
                "5 steps",
            ]
        },
        {"lines": "a\nb\n", "quotes": "'\"", "colon": "a:b", "dash": "-"},
        {"empty": {}, "none": None, "list": [], "nested": {"a": [{"b": [1, 2]}]}, "no": False},
        {"1": "a", "true": "b", "null": "c", "2e-4": "d"},
    ],
)
def test_dumped_data_parse_to_the_same(value: object) -> None:
    assert parse(dump(value), "text") == value


def test_inline_is_one_line() -> None:
    data = {"type": "unet", "downs": [2, "off", None], "lr": 2e-4, "note": "a" * 500}
    assert parse(inline(data), "text") == data
    assert "\n" not in inline(data)
    assert inline("a\nb") == "'a b'"


@pytest.mark.parametrize("path", sorted((REPOSITORY / "recipes").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_dumps_and_parses_to_the_same(path: Path) -> None:
    data = read(path)
    assert parse(dump(data), "text") == data
    assert list(parse(dump(data), "text")) == list(data)


def test_python_tags_build_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for tag in ("object/apply:os.system", "object/new:os.system", "object:os.system", "name:os.system", "module:os"):
        with pytest.raises(YamlError, match="is not a supported tag: a recipe holds plain data only"):
            parse(f"a: !!python/{tag} ['touch pwned']", "text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r'a: "\U00110000"', "text, line 1, column 7: an unknown escape in double quotes"),
        (r'a: "\Uffffffff"', "text, line 1, column 7: an unknown escape in double quotes"),
        (r'a: "\ud800"', "text, line 1, column 4: text may not hold half of a surrogate pair"),
        (r'"\udfff": a', "text, line 1, column 1: text may not hold half of a surrogate pair"),
    ],
)
def test_escapes_of_no_character(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=message):
        parse(text, "text")
