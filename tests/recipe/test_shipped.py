"""Recipes that come with the package are found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from translate_core import UserError
from translate_core.recipe.file import is_ablation, read_recipe
from translate_core.recipe.shipped import copy_recipe, find_recipe, shipped_recipes, summary_of

FILES = sorted((REPOSITORY / "recipes").rglob("*.yaml"))
NAMES = list(shipped_recipes())


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tests run in an empty folder: no recipe is found because it lies below the current one."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_every_recipe_has_a_name() -> None:
    assert len(FILES) >= 20
    assert sorted(shipped_recipes().values()) == FILES
    assert {"quickstart", "cyclegan_horse2zebra", "ablations/cycle_loss"} <= set(NAMES)


def test_ablations_come_last() -> None:
    ablations = [name.startswith("ablations/") for name in NAMES]
    assert ablations == sorted(ablations)
    assert any(ablations)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_finds_the_file(name: str) -> None:
    assert find_recipe(name) == REPOSITORY / "recipes" / f"{name}.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_has_a_summary_on_one_line(name: str) -> None:
    summary = summary_of(shipped_recipes()[name])
    assert summary.endswith(".")
    assert "\n" not in summary
    assert "translate-run" not in summary


def test_a_summary_of_two_lines_is_joined() -> None:
    assert summary_of(find_recipe("cyclegan_maps")) == (
        "CycleGAN, aerial photographs (A) <-> maps (B), a paired set used unpaired (Zhu et al., ICCV 2017, section 5.1 "
        "and appendix)."
    )


def test_a_file_wins_over_a_name(elsewhere: Path) -> None:
    (elsewhere / "quickstart").write_text("method: {type: gan}\n")
    assert find_recipe("quickstart") == Path("quickstart")


def test_a_folder_does_not_hide_a_name(elsewhere: Path) -> None:
    (elsewhere / "quickstart").mkdir()
    assert find_recipe("quickstart") == REPOSITORY / "recipes" / "quickstart.yaml"


LISTED = f"The shipped recipes: {', '.join(NAMES)}"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("quikstart", f"there is neither a file nor a shipped recipe 'quikstart', did you mean 'quickstart'? {LISTED}"),
        (
            "cycle_los",
            "there is neither a file nor a shipped recipe 'cycle_los', did you mean 'ablations/cycle_loss'? " + LISTED,
        ),
        ("nothing", f"there is neither a file nor a shipped recipe 'nothing'. {LISTED}"),
        ("nothing.yaml", "there is no file nothing.yaml"),
        (
            "recipes/quickstart.yaml",
            "there is no file recipes/quickstart.yaml. The recipe 'quickstart' comes with the package: "
            "give its name instead of a path",
        ),
        (
            "ablations/cycle_loss.yaml",
            "there is no file ablations/cycle_loss.yaml. The recipe 'ablations/cycle_loss' comes with the package: "
            "give its name instead of a path",
        ),
    ],
)
def test_what_is_not_there(wrong: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        find_recipe(wrong)
    assert str(caught.value) == message


# Copies


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_the_same_recipe_and_launches_itself(name: str, elsewhere: Path) -> None:
    copied = copy_recipe(name, Path())
    recipe, *base = copied.written
    assert recipe == Path(Path(name).name + ".yaml")
    source = shipped_recipes()[name]
    data = read_recipe(recipe)
    if is_ablation(read_recipe(source)):
        assert data.pop("base") == base[0].name
        original = read_recipe(source)
        assert read_recipe(base[0]) == read_recipe(source.parent / original.pop("base"))
        assert data == original
    else:
        assert base == []
        assert data == read_recipe(source)
    text = recipe.read_text()
    assert f"#   translate-run {recipe}" in text
    assert "recipes/" not in text
    assert all(path.exists() for path in elsewhere.iterdir())


def test_a_copy_under_another_name(elsewhere: Path) -> None:
    copied = copy_recipe("quickstart", Path("new folder/mine.yaml"))
    assert copied.written == (Path("new folder/mine.yaml"),)
    assert "#   translate-run 'new folder/mine.yaml'\n" in copied.written[0].read_text()


def test_a_copy_into_a_folder(elsewhere: Path) -> None:
    (elsewhere / "mine").mkdir()
    assert copy_recipe("quickstart", Path("mine")).written == (Path("mine/quickstart.yaml"),)


def test_nothing_is_overwritten(elsewhere: Path) -> None:
    (elsewhere / "quickstart.yaml").write_text("mine")
    for name in ("quickstart", "ablations/cycle_loss"):  # the second varies the first
        with pytest.raises(UserError) as caught:
            copy_recipe(name, Path())
        assert str(caught.value) == (
            "quickstart.yaml exists already: choose another file or folder, nothing was copied"
        )
    assert [path.name for path in elsewhere.iterdir()] == ["quickstart.yaml"]
    assert (elsewhere / "quickstart.yaml").read_text() == "mine"


def test_two_ablations_of_one_recipe_share_its_copy() -> None:
    copy_recipe("ablations/cycle_loss", Path())
    copied = copy_recipe("ablations/identity_loss_quickstart", Path())
    assert copied.written == (Path("identity_loss_quickstart.yaml"),)
    assert copied.kept == (Path("quickstart.yaml"),)


def test_an_ablation_cannot_take_the_name_of_its_base() -> None:
    with pytest.raises(UserError, match="is the name of the recipe that 'ablations/cycle_loss' varies"):
        copy_recipe("ablations/cycle_loss", Path("quickstart.yaml"))


def test_the_name_of_no_recipe_is_not_copied() -> None:
    with pytest.raises(UserError, match="did you mean 'quickstart'"):
        copy_recipe("quick_start", Path())
