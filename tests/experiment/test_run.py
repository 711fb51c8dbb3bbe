"""A run opened from Python: steps, pictures, checkpoints, and what it leaves behind."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from translate_core import DataError, Translator, UserError, load_recipe, open_run
from translate_core.commands.run import main
from translate_core.storage.run_folder import RunFolder

Write = Callable[..., Path]


def weights_of(run: Any) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, network in run.networks.items()
        for key, value in network.state_dict().items()
    }


def test_steps_with_their_losses(write_recipe: Write) -> None:
    with open_run(write_recipe(), device="cpu") as run:
        assert run.folder is None
        assert (run.step, run.length, run.epoch, run.finished) == (0, 6, 6, False)
        before = weights_of(run)
        steps = list(run.steps(2))
        assert [step.number for step in steps] == [1, 2]
        assert {"adversarial", "cycle", "identity", "cycle/rec_A"} <= steps[0].losses.keys()
        assert all(value.dim() == 0 and not value.requires_grad for value in steps[0].losses.values())
        assert any(not torch.equal(before[key], value) for key, value in weights_of(run).items())
        assert [step.number for step in run.steps()] == [3, 4, 5, 6]
        assert run.finished
        assert list(run.steps()) == []


def test_networks_are_modules_by_role(write_recipe: Write) -> None:
    with open_run(write_recipe(), device="cpu") as run:
        assert set(run.networks) == {"G_AB", "G_BA", "D_A", "D_B"}
        assert all(isinstance(network, nn.Module) for network in run.networks.values())
        assert run.networks["G_AB"](torch.zeros(1, 3, 24, 24)).shape == (1, 3, 24, 24)


def test_a_mapping_serves_as_a_recipe(write_recipe: Write) -> None:
    data = yaml.safe_load(write_recipe().read_text())
    with open_run(data, device="cpu") as one, open_run(write_recipe(), device=torch.device("cpu")) as other:
        assert all(torch.equal(a, b) for a, b in zip(weights_of(one).values(), weights_of(other).values(), strict=True))


def test_what_iterating_learns_the_command_learns(write_recipe: Write, tmp_path: Path) -> None:
    """To the bit: steps and training are one loop."""
    recipe = write_recipe()
    with open_run(recipe, device="cpu") as run:
        for _ in run.steps():
            pass
        iterated = weights_of(run)
    assert main([str(recipe), "--out", str(tmp_path / "command"), "--device", "cpu"]) == 0
    with open_run(recipe, device="cpu", folder=tmp_path / "command") as run:
        assert run.finished
        assert all(torch.equal(value, iterated[key]) for key, value in weights_of(run).items())


def test_train_to_the_end(write_recipe: Write, tmp_path: Path) -> None:
    with open_run(write_recipe(), device="cpu", folder=tmp_path / "run") as run:
        assert run.train()
        assert run.finished
    assert (tmp_path / "run" / "results.json").is_file()
    assert (tmp_path / "run" / "weights" / "G_AB.safetensors").is_file()
    assert (tmp_path / "run" / "metrics.jsonl").is_file()
    assert set(Translator.load(tmp_path / "run", device="cpu").networks) == {"G_AB", "G_BA"}


def test_training_without_a_folder_writes_nothing(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_recipe()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with open_run(recipe, device="cpu") as run:
        assert run.train()
        with pytest.raises(UserError, match="open it with open_run"):
            run.save()
    assert sorted(tmp_path.rglob("*")) == before


def test_saved_and_continued(write_recipe: Write, tmp_path: Path) -> None:
    """Saved in the middle and opened again, a run ends with the bits of one that was not interrupted."""
    recipe, folder = write_recipe(), tmp_path / "run"
    with open_run(recipe, device="cpu", folder=folder) as run:
        list(run.steps(3))
        assert run.save() == folder / "checkpoints" / "step-3.pt"
    with open_run(recipe, device="cpu", folder=folder) as run:
        assert run.step == 3
        list(run.steps())
        continued = weights_of(run)
    with open_run(recipe, device="cpu") as run:
        list(run.steps())
        assert all(torch.equal(value, continued[key]) for key, value in weights_of(run).items())


def test_training_after_the_last_step_was_taken_by_hand(write_recipe: Write, tmp_path: Path) -> None:
    """`steps` saves nothing; `train` then does all that belongs to the end of a run."""
    with open_run(write_recipe(), device="cpu", folder=tmp_path / "run") as run:
        list(run.steps())
        assert run.train()
    assert (tmp_path / "run" / "checkpoints" / "step-6.pt").is_file()
    assert (tmp_path / "run" / "weights" / "G_AB.safetensors").is_file()


def test_saving_again_keeps_the_results(write_recipe: Write, folders: Path, tmp_path: Path) -> None:
    metrics = {"psnr": {"type": "psnr", "pairs": {"fake_B": "real_A", "fake_A": "real_B"}}}
    data = {"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}}
    recipe = write_recipe(metrics=metrics, data=data)
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        list(run.steps())
        run.save()
    results = (tmp_path / "run" / "results.json").read_text()
    assert results.count("psnr/fake") == 2
    with open_run(recipe, device="cpu", folder=tmp_path / "run") as run:
        run.save()
    assert (tmp_path / "run" / "results.json").read_text() == results


def test_observers_are_active_while_training_only(write_recipe: Write, tmp_path: Path) -> None:
    with open_run(write_recipe(), device="cpu", folder=tmp_path / "run") as run:
        run.train()
        assert run.assembly.ranks.first
        assert run.save() is not None  # a closed observer would fail
        assert not run._trainer.watchers


def test_a_continued_run_keeps_its_start_time(write_recipe: Write, tmp_path: Path) -> None:
    recipe, folder = write_recipe(), tmp_path / "run"
    with open_run(recipe, device="cpu", folder=folder) as run:
        list(run.steps(1))
        run.save()
    record = json.loads((folder / "run.json").read_text())
    checkpoint = torch.load(folder / "checkpoints" / "step-1.pt", weights_only=True)
    assert record["created"] == checkpoint["record"]["created"]
    time.sleep(1.1)
    with open_run(recipe, device="cpu", folder=folder):
        pass
    assert json.loads((folder / "run.json").read_text())["created"] == record["created"]


def test_a_finished_run_without_checkpoints_is_not_taken_over(write_recipe: Write, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with open_run(write_recipe(), device="cpu", folder=folder) as run:
        run.train()
    shutil.rmtree(folder / "checkpoints")
    changed = load_recipe(write_recipe(), {"losses.cycle.weight": 3})
    with (
        pytest.raises(UserError, match="holds a run of another recipe"),
        open_run(changed, device="cpu", folder=folder),
    ):
        pass


@pytest.mark.parametrize("batch", [[], [{}, {}], ["real_A"], {"real_A": torch.zeros(1, 3, 24, 24)}])
def test_a_batch_of_another_shape(write_recipe: Write, batch: Any) -> None:
    with open_run(write_recipe(), device="cpu") as run:
        with pytest.raises(UserError, match="a batch is a list of 1 micro-batch"):
            run.update(batch)
        assert run.step == 0


def test_a_device_that_is_not_there(write_recipe: Write) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    for device in ("cuda", torch.device("cuda"), torch.device("cuda", 3)):
        with pytest.raises(UserError, match="there is no device 'cuda' here"), open_run(write_recipe(), device=device):
            pass


def test_evaluate_and_sample(write_recipe: Write, folders: Path) -> None:
    data = {"type": "unpaired_folders", "root": str(folders), "transform": {"crop": 24}}
    metrics = {"psnr": {"type": "psnr", "pairs": {"fake_B": "real_A", "fake_A": "real_B"}}}
    with open_run(write_recipe(data=data, metrics=metrics), device="cpu") as run:
        assert run.results == []
        results = run.evaluate()
        assert {(result.name, result.direction) for result in results} == {
            ("psnr/fake_B", "A-B"),
            ("psnr/fake_A", "B-A"),
            ("swd/fake_B", "A-B"),
            ("swd/real_A", "A-B"),
            ("swd/fake_A", "B-A"),
            ("swd/real_B", "B-A"),
        }
        assert run.results == results
        samples = run.samples()
        assert {sample.direction for sample in samples} == {"A-B", "B-A"}
        assert all(picture.dtype == torch.uint8 for sample in samples for picture in sample.pictures.values())
        assert all(network.training for network in run.networks.values())


def test_tensors_and_batches(write_recipe: Write) -> None:
    with open_run(write_recipe(), device="cpu") as run:
        batch = run.batch()
        assert {name: image.dtype for name, image in batch[0].items()} == {"real_A": torch.uint8, "real_B": torch.uint8}
        assert torch.equal(run.batch(3)[0]["real_B"], run.batch(3)[0]["real_B"])
        tensors = run.tensors()
        assert torch.equal(tensors["real_A"], batch[0]["real_A"].float() / 127.5 - 1)
        assert torch.equal(tensors["fake_B"], run.networks["G_AB"](tensors["real_A"]))
        assert not tensors["fake_B"].requires_grad
        assert run.tensors(grad=True)["fake_B"].requires_grad


def test_a_step_on_images_of_ones_own(write_recipe: Write) -> None:
    recipe = write_recipe()
    with open_run(recipe, device="cpu") as run, open_run(recipe, device="cpu") as other:
        step = run.update(run.batch())
        assert step.number == run.step == 1
        assert torch.equal(step.losses["cycle"], next(other.steps()).losses["cycle"])


def test_a_folder_is_locked_while_it_is_open(write_recipe: Write, tmp_path: Path) -> None:
    """A record lock is per process, so another process looks."""
    import subprocess
    import sys

    recipe = write_recipe()
    with open_run(recipe, device="cpu", folder=tmp_path / "run"):
        command = [sys.executable, "-m", "translate_core.run", str(recipe), "--out", str(tmp_path / "run")]
        done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "another process is at work" in done.stderr


def test_a_run_that_another_process_begins_at_this_moment(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files appear between two looks into the folder: they are not those of something else."""
    folder = tmp_path / "run"
    other = ExitStack()
    plain = RunFolder.unknown_files

    def begun(run: RunFolder) -> list[str]:
        monkeypatch.setattr(RunFolder, "unknown_files", plain)
        other.enter_context(open_run(write_recipe(), device="cpu", folder=folder)).save()
        return plain(run)

    monkeypatch.setattr(RunFolder, "unknown_files", begun)
    # Locks are those of a process, and both runs are in this one.
    monkeypatch.setattr(RunFolder, "locked", lambda run: nullcontext())
    with other, open_run(write_recipe(), device="cpu", folder=folder) as run:
        assert run.step == 0


def test_fresh_moves_an_old_run_aside(write_recipe: Write, tmp_path: Path) -> None:
    recipe, folder = write_recipe(), tmp_path / "run"
    with open_run(recipe, device="cpu", folder=folder) as run:
        next(run.steps())
        run.save()
    with open_run(recipe, device="cpu", folder=folder, fresh=True) as run:
        assert run.step == 0
    assert (tmp_path / "run.1" / "checkpoints" / "step-1.pt").is_file()


def test_another_recipe_is_refused(write_recipe: Write, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with open_run(write_recipe(), device="cpu", folder=folder) as run:
        next(run.steps())
        run.save()
    changed = load_recipe(write_recipe(), {"losses.cycle.weight": 3})
    with (
        pytest.raises(UserError, match=r"losses\.cycle\.weight: 10\.0 there, 3\.0 now"),
        open_run(changed, device="cpu", folder=folder),
    ):
        pass


def test_fresh_with_a_fault_leaves_the_old_run_where_it_is(write_recipe: Write, tmp_path: Path) -> None:
    recipe, folder = write_recipe(), tmp_path / "run"
    with open_run(recipe, device="cpu", folder=folder) as run:
        next(run.steps())
        run.save()
    wrong = load_recipe(recipe, {"networks.G_AB.init_from": "missing.pth"})
    with pytest.raises(UserError, match=r"missing\.pth"), open_run(wrong, device="cpu", folder=folder, fresh=True):
        pass
    assert (folder / "checkpoints" / "step-1.pt").is_file()
    assert not (tmp_path / "run.1").exists()


class TestAFailureBeforeTheFirstStep:
    """It leaves nothing that stands in the way of the corrected command."""

    def test_a_wrong_file_of_weights(self, write_recipe: Write, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        recipe = str(write_recipe())
        wrong = [recipe, "--out", str(folder), "--device", "cpu", "--set", "networks.G_AB.init_from=missing.pth"]
        assert main(wrong) == 2
        assert not (folder / "run.json").exists()
        assert main([recipe, "--out", str(folder), "--device", "cpu"]) == 0

    def test_an_observer_that_fails_at_the_start(
        self, write_recipe: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plugin = """
        from translate_core import Observer, hookimpl

        class Broken(Observer):
            '''Fails.'''

            def on_start(self, run):
                raise ValueError("no display")

        @hookimpl
        def register(registry):
            registry.observer("broken", Broken)
        """
        import textwrap

        (tmp_path / "broken.py").write_text(textwrap.dedent(plugin))
        recipe = str(write_recipe(plugins=["broken.py"]))
        common = ["--out", str(tmp_path / "run"), "--device", "cpu"]
        assert main([recipe, *common, "--set", "observers.broken={type: broken}"]) != 0
        assert main([recipe, *common, "--set", "losses.cycle.weight=3"]) == 0
        assert "holds a run of another recipe" not in capsys.readouterr().err


def test_faults_of_the_data(write_recipe: Write) -> None:
    with (
        pytest.raises(DataError) as caught,
        open_run(load_recipe(write_recipe(), {"data.root": "nowhere"}), device="cpu"),
    ):
        pass
    assert "nowhere" in str(caught.value)
