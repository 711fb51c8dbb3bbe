"""Checks the documentation: every block runs, every command parses, every link leads to an existing target."""

from __future__ import annotations

import pkgutil
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.pages import PAGES, Session, blocks_of, prose_of
from tests.reduced import RECIPES
from translate_core import UserError, load_recipe
from translate_core.commands import apply, run
from translate_core.commands import plugins as plugin_command
from translate_core.commands import recipes as recipes_command

DOCS = REPOSITORY / "docs"
NAMES = [page.relative_to(REPOSITORY).as_posix() for page in PAGES]
PARSERS = {
    "translate-run": run.parser,
    "translate-apply": apply.parser,
    "translate-plugins": plugin_command.parser,
    "translate-recipes": recipes_command.parser,
}

BLOCKS = {"bash": 37, "python": 29, "yaml": 34, "json": 1}
"""Least number of blocks that are run, by language. Raise it when you add blocks, so that lost blocks are noticed."""


def test_the_enumeration_is_complete() -> None:
    assert len(PAGES) >= 19
    counted = Counter(block.language for page in PAGES for block in blocks_of(page) if not block.reason)
    assert {language: counted[language] for language in BLOCKS} == {
        language: max(counted[language], least) for language, least in BLOCKS.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_through(page, Session(tmp_path, monkeypatch))


def go_through(page: Path, session: Session) -> None:
    """Runs the blocks of a page from top to bottom."""
    for block in blocks_of(page):
        if block.reason:
            continue
        try:
            session.do(block)
        except Exception as error:
            raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error
    session.finish()


PLUGIN = """
```python
# mine.py
from torch import nn

from translate_core import hookimpl


class Mine(nn.Conv2d):
    '''A convolution.'''

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)


@hookimpl
def register(registry):
    registry.generator("mine", Mine)
```
"""


WRONG = {
    "text that is not marked": ("```text\nprinted\n```", "a block of text cannot be run; give the reason above it"),
    "no language": ("```\nanything\n```", "a block of no language cannot be run"),
    "indented fence": ("- a point\n\n  ```python\n  1 / 0\n  ```", "write a fence as ```language, not indented"),
    "indented code": ("text\n\n    translate-run recipes/quickstart.yaml\n", "put code into fences"),
    "failing script": ("```python\n1 / 0\n```", "line 1: ZeroDivisionError"),
    "failing test": ("```python\ndef test_it():\n    assert 1 == 2\n```", "line 1: AssertionError"),
    "open block": ("```python\n1\n", "a block is not closed"),
    "component that nothing trains": (PLUGIN, "registered and not trained: {('generator', 'mine')}"),
    "plugin without a file": (PLUGIN.replace("# mine.py\n", ""), "begin a plugin with the name of its file"),
    "recipe without a name": ("```yaml\ntraining: {length: 1 epoch}\n```", "begin with `# NAME.yaml`"),
    "option of a fragment": (
        "```yaml\n# in recipes/quickstart.yaml\ngenerator: {type: unet, dows: 3}\n```",
        "did you mean 'downs'",
    ),
    "option of an ablation": (
        "```yaml\n# a.yaml\nbase: recipes/quickstart.yaml\nvary: {generator.blcks: [1, 2]}\n```",
        "blcks",
    ),
    "unknown command": ("```bash\ncurl somewhere\n```", "unknown command curl"),
    "unknown recipe": (
        "```bash\ntranslate-run recipes/quickstrat.yaml\n```",
        "there is no file recipes/quickstrat.yaml",
    ),
    "unknown name of a recipe": ("```bash\ntranslate-run quickstrat\n```", "did you mean 'quickstart'?"),
    "unknown argument": ("```bash\ntranslate-run recipes/quickstart.yaml --sett a=1\n```", "ended with 2"),
    "value of --set": (
        "```bash\ntranslate-run recipes/quickstart.yaml \\\n    --set generator.width=x\n```",
        "a whole number",
    ),
    "unknown run": (
        "```bash\ntranslate-apply runs/nothing a.png --out b\n```",
        "runs/nothing is not the run of a recipe of the project",
    ),
    "unknown target": ("```bash\nmake tset\n```", "line 1: AssertionError"),
    "keys of a log": ('```json\n{"kind": "losses", "loss": 1}\n```', "line 1: AssertionError"),
    "entry point": ('```toml\n[project.entry-points.translate]\na = "b"\n```', "the group is translate_core"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_page_fails(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n")
    (tmp_path / "session").mkdir()
    with pytest.raises(AssertionError) as caught:
        go_through(page, Session(tmp_path / "session", monkeypatch))
    assert message in str(caught.value)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_has_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "page", [*PAGES, *REPOSITORY.glob("*.md")], ids=lambda page: page.relative_to(REPOSITORY).as_posix()
)
def test_every_path_and_module_in_the_text_exists(page: Path) -> None:
    """Those below the project's folders, and modules and names of the engine, in backticks."""
    prose = prose_of(page)
    for path in re.findall(r"`((?:translate_core|plugins|tests|recipes|docs|examples|benchmarks)/[\w./-]*)`", prose):
        assert (REPOSITORY / path).exists(), f"{page.name}: {path}"
    for dotted in re.findall(r"`(translate_core(?:\.\w+)+)", prose):
        assert pkgutil.resolve_name(dotted) is not None, f"{page.name}: {dotted}"


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub derives them."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_links_every_page() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        if page.parent == DOCS and page.name != "README.md":
            assert f"]({page.name})" in index, f"docs/README.md does not link {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_in_the_text_parses(page: Path) -> None:
    """Includes commands with placeholders in capitals. A command without arguments is only a name."""
    for code in re.findall(r"`([^`\n]+)`", prose_of(page)):
        words = shlex.split(code) if code.startswith(tuple(PARSERS)) else []
        if len(words) > (2 if words[:1] in (["translate-plugins"], ["translate-recipes"]) else 1):
            PARSERS[words[0]]().parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_set_in_the_text_fits_a_recipe(page: Path) -> None:
    for override in re.findall(r"`--set (\"[^\"`]+\"|[^\s`]+)`", prose_of(page)):
        assert any(_fits(override.strip('"'), name) for name in RECIPES), f"{page.name}: --set {override}"


def _fits(override: str, name: str) -> bool:
    path = REPOSITORY / "recipes" / name
    try:
        load_recipe(path, [override])
    except UserError:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_lines_have_at_most_120_characters(page: Path) -> None:
    by_hand = re.sub(r"<!-- generated: .*?<!-- end -->", _blank, page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for number, line in enumerate(by_hand.splitlines(), 1):
        unbreakable = line.startswith(("|", "{")) or re.search(r"\]\(\S{40,}\)", line)
        assert len(line) <= 120 or unbreakable or page.name == "options.md", f"{page.name}, line {number}"


def _blank(generated: re.Match[str]) -> str:
    return "\n" * generated[0].count("\n")
