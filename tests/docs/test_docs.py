"""What the documentation says is so: every block is run, every command is parsed, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.pages import PAGES, Session, blocks_of, prose_of
from tests.reduced import RECIPES
from translate_core import UserError, apply, plugin_command, run
from translate_core.recipe import read_recipe
from translate_core.resolver import resolve

DOCS = REPOSITORY / "docs"
NAMES = [page.relative_to(REPOSITORY).as_posix() for page in PAGES]
PARSERS = {
    "translate-run": run.parser, "translate-apply": apply.parser, "translate-plugins": plugin_command.parser
}  # fmt: skip

EXPECTED = {
    "README", "first-run", "own-images", "run-folder", "ablation", "write-a-generator", "write-a-loss",
    "write-a-dataset", "write-a-method", "contract",
}  # fmt: skip
BLOCKS = {"bash": 25, "python": 14, "yaml": 20, "json": 1}
"""How many blocks of each language are run, at least. Raised by hand when some are added: a lost one is missed."""


def test_the_enumeration_is_whole() -> None:
    assert {page.stem for page in PAGES if page.parent == DOCS} >= EXPECTED
    counted = Counter(block.language for page in PAGES for block in blocks_of(page) if not block.reason)
    assert {language: counted[language] for language in BLOCKS} == {
        language: max(counted[language], least) for language, least in BLOCKS.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom, as a reader would."""
    session = Session(tmp_path, monkeypatch)
    for block in blocks_of(page):
        if block.reason:
            continue
        try:
            session.do(block)
        except Exception as error:
            raise AssertionError(f"{block.place}: {type(error).__name__}: {error}") from error
    session.finish()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """What headings are linked by, as GitHub makes it of their text."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_found_from_the_first() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        if page.parent == DOCS and page.name != "README.md":
            assert f"]({page.name})" in index, f"docs/README.md does not link {page.name}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_in_the_text_parses(page: Path) -> None:
    """Those with something to fill in, in capitals, as well; a bare `translate-plugins check` is only a name."""
    for code in re.findall(r"`([^`\n]+)`", prose_of(page)):
        words = shlex.split(code) if code.startswith(tuple(PARSERS)) else []
        if len(words) > (2 if words[:1] == ["translate-plugins"] else 1):
            PARSERS[words[0]]().parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_set_in_the_text_fits_a_recipe(page: Path) -> None:
    for override in re.findall(r"`--set (\"[^\"`]+\"|[^\s`]+)`", prose_of(page)):
        assert any(_fits(override.strip('"'), name) for name in RECIPES), f"{page.name}: --set {override}"


def _fits(override: str, name: str) -> bool:
    path = REPOSITORY / "recipes" / name
    try:
        resolve(path, read_recipe(path, [override]))
    except UserError:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_lines_are_not_too_long(page: Path) -> None:
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        unbreakable = line.startswith(("|", "{")) or re.search(r"\]\(\S{40,}\)", line)
        generated = page.name in ("contract.md", "options.md")
        assert len(line) <= 120 or unbreakable or generated, f"{page.name}, line {number}"
