from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.plugins.made_images import ONLY_8_BITS, colour_png_of_16_bits
from tests.tiny_runs import PLUGIN, train
from translate_core import RecipeError, Translator, UserError
from translate_core.components.plugins import PluginError, load_plugins
from translate_core.contracts.dataset import to_uint8, to_unit_range
from translate_core.runtime.images import open_image
from translate_core.storage.checkpoints import load
from translate_plugins.generators.resnet import ResNet
from translate_plugins.generators.unet import UNet


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with averaged weights, moved away from where it was trained, its images deleted."""
    folder = tmp_path_factory.mktemp("averaged")
    train(folder, training={"ema": 0.9})
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "moved"
    (folder / "run").rename(elsewhere)
    shutil.rmtree(folder)
    return elsewhere


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float64 run of U-Nets that want multiples of 32, from RGB to greyscale; without averaged weights."""
    return train(
        tmp_path_factory.mktemp("unet"),
        data={"channels_B": 1},
        generator={"type": "unet", "downs": 5, "width": 4},
        training={"precision": "fp64", "length": "2 steps"},
    )


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose generators come from a file beside its recipe."""
    folder = tmp_path_factory.mktemp("plugged")
    (folder / "mine.py").write_text(PLUGIN)
    train(folder, plugins=["mine.py"], generator={"type": "mine"}, training={"length": "2 steps"})
    (folder / "mine.executed").unlink()
    return folder


@pytest.fixture
def copied(averaged: Path, tmp_path: Path) -> Path:
    """A run that a test may change."""
    return Path(shutil.copytree(averaged, tmp_path / "copy"))


@pytest.fixture(scope="module")
def translator(averaged: Path) -> Translator:
    return Translator.load(averaged, device="cpu")


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(noise(height, width, 3).numpy())


def pixels(image: Image.Image) -> Any:
    return np.asarray(image)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def message(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        call()
    return str(caught.value)


class TestTranslating:
    def test_names_its_directions(self, translator: Translator) -> None:
        assert translator.directions == ("A-B", "B-A")
        assert translator.step == 6
        assert translator.device == torch.device("cpu")

    @pytest.mark.parametrize(("direction", "name"), [("A-B", "G_AB"), ("B-A", "G_BA")])
    def test_equals_the_averaged_network_computed_by_hand(
        self, averaged: Path, translator: Translator, direction: str, name: str
    ) -> None:
        checkpoint = load(averaged / "checkpoints/step-6.pt")
        network = ResNet(3, 3, blocks=1, width=4).to(memory_format=torch.channels_last).eval()
        network.load_state_dict(checkpoint.parts[f"ema/{name}"])
        image = noise(2, 3, 24, 40)
        with torch.no_grad():
            expected = network(to_unit_range(image))
            network.load_state_dict(checkpoint.parts[f"networks/{name}"])
            as_trained = network(to_unit_range(image))
        output = translator.translate(to_unit_range(image), direction)
        torch.testing.assert_close(output, expected)
        assert not torch.allclose(output, as_trained, atol=1e-3)

    def test_equals_the_unet_computed_by_hand_padded_to_32(self, unet: Path) -> None:
        network = UNet(3, 1, downs=5, width=4).double().eval()
        network.load_state_dict(load(unet / "checkpoints/step-2.pt").parts["networks/G_AB"])
        image = to_unit_range(noise(3, 30, 33), torch.float64)
        mirrored = torch.nn.functional.pad(image[None], (0, 31, 0, 2), mode="reflect")
        with torch.no_grad():
            expected = network(mirrored)[0, :, :30, :33]
        output = Translator.load(unet, device="cpu").translate(image)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)

    def test_the_first_direction_is_the_default(self, translator: Translator) -> None:
        image = picture(16, 16)
        assert (pixels(translator.translate(image)) == pixels(translator.translate(image, "A-B"))).all()
        assert (pixels(translator.translate(image)) != pixels(translator.translate(image, "B-A"))).any()

    def test_leaves_random_numbers_and_gradients_alone(self, translator: Translator) -> None:
        state = torch.get_rng_state()
        image = to_unit_range(noise(3, 16, 16)).requires_grad_()
        output = translator.translate(image)
        assert torch.equal(torch.get_rng_state(), state)
        assert not output.requires_grad
        assert not output.is_inference()

    def test_half_precision_of_the_recipe_is_used(self, copied: Path, translator: Translator) -> None:
        recipe = copied / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("precision: fp32", "precision: bf16"))
        image = to_unit_range(noise(3, 16, 16))
        output, full = Translator.load(copied, device="cpu").translate(image), translator.translate(image)
        assert output.dtype == torch.float32
        assert not torch.equal(output, full)
        torch.testing.assert_close(output, full, rtol=0, atol=0.1)

    def test_needs_nothing_but_the_folder_and_changes_nothing_in_it(self, averaged: Path) -> None:
        before = digests(averaged)
        Translator.load(str(averaged), device=torch.device("cpu")).translate(picture(8, 8))
        assert digests(averaged) == before


class TestSizes:
    @pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (65, 47), (32, 32)])
    @pytest.mark.parametrize("run", ["averaged", "unet"])
    def test_are_kept(self, run: str, size: tuple[int, int], request: pytest.FixtureRequest) -> None:
        loaded = Translator.load(request.getfixturevalue(run), device="cpu")
        assert loaded.translate(picture(*size)).size == size
        assert loaded.translate(noise(2, 3, *size)).shape[-2:] == size

    def test_a_network_that_shrinks_is_told(self, translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ResNet, "forward", lambda self, x: x[..., :8, :12])
        assert message(lambda: translator.translate(picture(32, 20))) == (
            "the networks return 12×8 for an image of 32×20: a network must keep the size, or declare the sides that "
            "it takes by `multiple` and `smallest`"
        )

    def test_a_network_that_cannot_take_a_size_is_told(
        self, translator: Translator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ResNet, "forward", lambda self, x: torch.cat((x, x[..., 1:])))
        raised = message(lambda: translator.translate(picture(16, 12)))
        assert raised.startswith("cpu cannot compute an image of 16×12: Sizes of tensors must match")

    def test_too_little_memory_is_told(self, translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
        def forward(self: ResNet, x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

        monkeypatch.setattr(ResNet, "forward", forward)
        assert message(lambda: translator.translate(picture(16, 12))) == (
            "cpu has too little memory for an image of 16×12: use another device, or a smaller image"
        )


class TestPictures:
    def test_equal_tensors(self, translator: Translator) -> None:
        image = picture(65, 47)
        tensor = torch.from_numpy(pixels(image).copy()).permute(2, 0, 1)
        output = translator.translate(image)
        assert output.mode == "RGB"
        assert (pixels(output) == translator.translate(tensor).permute(1, 2, 0).numpy()).all()

    def test_grey_becomes_rgb(self, translator: Translator) -> None:
        grey = picture(20, 12).convert("L")
        assert (pixels(translator.translate(grey)) == pixels(translator.translate(grey.convert("RGB")))).all()

    def test_more_than_8_bits_are_refused(self, translator: Translator) -> None:
        grey = Image.fromarray(np.linspace(0, 4095, 20 * 12).astype(np.uint16).reshape(12, 20))
        with pytest.raises(UserError) as failure:
            translator.translate(grey)
        assert str(failure.value) == f"the image holds 16-bit values 0 … 4095; {ONLY_8_BITS}"
        colour = open_image(colour_png_of_16_bits(np.full((12, 20, 3), 4000)))
        assert colour.mode == "RGB"
        with pytest.raises(
            UserError, match=r"^the image holds 16-bit values within 3840 … 4095, of which Pillow reads"
        ):
            translator.translate(colour)

    def test_a_palette_is_looked_up(self, translator: Translator) -> None:
        palette = picture(20, 12).convert("P")
        assert (pixels(translator.translate(palette)) == pixels(translator.translate(palette.convert("RGB")))).all()

    def test_transparency_is_put_on_white(self, translator: Translator) -> None:
        image = picture(20, 12)
        alpha = Image.new("L", image.size, 255)
        alpha.paste(0, (0, 0, 5, 12))
        on_white = image.copy()
        on_white.paste((255, 255, 255), (0, 0, 5, 12))
        image.putalpha(alpha)
        assert (pixels(translator.translate(image)) == pixels(translator.translate(on_white))).all()

    def test_exif_rotation_is_honoured(self, translator: Translator, tmp_path: Path) -> None:
        upright = picture(20, 12)
        exif = Image.Exif()
        exif[0x0112] = 6
        upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
        turned = translator.translate(Image.open(tmp_path / "turned.png"))
        assert turned.size == (20, 12)
        assert (pixels(turned) == pixels(translator.translate(upright))).all()
        assert 0x0112 not in turned.getexif()

    def test_of_a_greyscale_domain_are_greyscale(self, unet: Path) -> None:
        loaded = Translator.load(unet, device="cpu")
        assert loaded.translate(picture(20, 12), "A-B").mode == "L"
        assert loaded.translate(picture(20, 12), "B-A").mode == "RGB"

    def test_that_are_damaged_are_told(self, translator: Translator, tmp_path: Path) -> None:
        picture(64, 64).save(tmp_path / "whole.png")
        (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
        raised = message(lambda: translator.translate(Image.open(tmp_path / "cut.png")))
        assert raised.startswith("the image does not decode: ")

    def test_of_a_domain_that_pil_does_not_know_are_told(self, copied: Path) -> None:
        record = json.loads((copied / "run.json").read_text())
        record["data"]["channels"] = {"A": 3, "B": 4}
        changed = Translator.load(copied, device="cpu")
        changed._channels = record["data"]["channels"]
        assert message(lambda: changed.translate(picture(8, 8))) == (
            "images of domain B have 4 channels, a PIL image has 1 or 3: translate tensors instead"
        )


class TestTensors:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_come_back_as_they_came(self, translator: Translator, dtype: torch.dtype) -> None:
        image = to_unit_range(noise(3, 9, 14)).to(dtype)
        output = translator.translate(image)
        assert (output.dtype, output.shape) == (dtype, image.shape)
        torch.testing.assert_close(output, translator.translate(image.float()).to(dtype))

    def test_of_bytes_are_truncated(self, translator: Translator) -> None:
        image = noise(3, 9, 14)
        assert torch.equal(translator.translate(image), to_uint8(translator.translate(to_unit_range(image))))

    def test_in_a_batch_are_translated_one_by_one(self, translator: Translator) -> None:
        batch = to_unit_range(noise(3, 3, 16, 16))
        output = translator.translate(batch)
        for index in range(3):
            torch.testing.assert_close(output[index], translator.translate(batch[index]))

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            (torch.zeros(1, 8, 8), "a tensor must be (3, H, W) or (N, 3, H, W), this one is 1×8×8"),
            (torch.zeros(8, 8), "a tensor must be (3, H, W) or (N, 3, H, W), this one is 8×8"),
            (torch.zeros(3, 0, 8), "a tensor must be (3, H, W) or (N, 3, H, W), this one is 3×0×8"),
            (
                torch.zeros(3, 8, 8, dtype=torch.int64),
                "a tensor must be uint8 or floating point, this one is torch.int64",
            ),
            (
                torch.full((3, 8, 8), 255.0),
                "a floating point tensor must lie in [-1, 1], this one has 255 … 255: "
                "pass uint8, or x / 127.5 - 1 of what is in 0 … 255",
            ),
            (
                torch.full((3, 8, 8), torch.nan),
                "a floating point tensor must lie in [-1, 1], this one has nan … nan: "
                "pass uint8, or x / 127.5 - 1 of what is in 0 … 255",
            ),
        ],
    )
    def test_that_cannot_be_images_are_refused(self, translator: Translator, image: Tensor, expected: str) -> None:
        assert message(lambda: translator.translate(image)) == expected

    def test_anything_else_is_told(self, translator: Translator) -> None:
        path: Any = "horse.jpg"
        assert message(lambda: translator.translate(path)) == "the image must be a PIL image or a tensor, not str"


class TestChoosing:
    @pytest.mark.parametrize("checkpoint", [4, "4", "step-4", "step-4.pt"])
    def test_a_checkpoint_by_its_step(self, averaged: Path, checkpoint: int | str) -> None:
        assert Translator.load(averaged, checkpoint=checkpoint, device="cpu").step == 4

    def test_a_checkpoint_by_its_path(self, averaged: Path) -> None:
        assert Translator.load(averaged, checkpoint=averaged / "checkpoints/step-2.pt", device="cpu").step == 2

    @pytest.mark.parametrize("checkpoint", [5, "step-5", "5"])
    def test_a_checkpoint_that_does_not_exist(self, averaged: Path, checkpoint: int | str) -> None:
        assert message(lambda: Translator.load(averaged, checkpoint=checkpoint)) == (
            "there is no checkpoint step-5. The run has: step-6, step-4, step-2"
        )

    def test_a_checkpoint_of_another_recipe(self, averaged: Path, unet: Path) -> None:
        foreign = unet / "checkpoints/step-2.pt"
        raised = message(lambda: Translator.load(averaged, checkpoint=foreign, device="cpu"))
        assert raised.startswith(f"{foreign} belongs to another recipe: G_AB does not fit: ")

    def test_an_unknown_direction(self, translator: Translator) -> None:
        assert message(lambda: translator.translate(picture(8, 8), "a-b")) == (
            "there is no direction 'a-b', did you mean 'A-B'? The run has: A-B, B-A"
        )

    def test_an_unknown_device(self, averaged: Path) -> None:
        raised = message(lambda: Translator.load(averaged, device="gpu"))
        assert raised.startswith("there is no device 'gpu' here, or this build of torch ")


class TestDamage:
    def test_the_one_before_a_damaged_checkpoint_is_used(
        self, copied: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        newest = copied / "checkpoints/step-6.pt"
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
        before = digests(copied)
        assert Translator.load(copied, device="cpu").step == 4
        assert capsys.readouterr().err == (
            f"warning: {newest} is damaged: its SHA-256 differs from the recorded one; step-4.pt is used\n"
        )
        assert digests(copied) == before

    def test_all_damaged(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = copied / "checkpoints"
        (folder / "step-4.pt.sha256").unlink()
        for path in folder.glob("step-[26].pt"):
            path.write_bytes(path.read_bytes()[:-5])
        assert message(lambda: Translator.load(copied)) == (
            f"no checkpoint in {folder} is complete:\n"
            f"  {folder}/step-6.pt is damaged: its SHA-256 differs from the recorded one\n"
            f"  {folder}/step-4.pt has no digest beside it (step-4.pt.sha256)\n"
            f"  {folder}/step-2.pt is damaged: its SHA-256 differs from the recorded one"
        )
        assert capsys.readouterr().err == ""

    def test_none_yet(self, copied: Path) -> None:
        shutil.rmtree(copied / "checkpoints")
        assert message(lambda: Translator.load(copied)) == (
            f"there is no checkpoint in {copied}/checkpoints yet: train until one is saved"
        )

    def test_a_pickle_is_refused(self, copied: Path) -> None:
        path = copied / "checkpoints/step-6.pt"
        torch.save({"format": 1, "step": 6, "record": {}, "parts": {"a": Path("code")}}, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name("step-6.pt.sha256").write_text(f"{digest}  step-6.pt\n")
        assert message(lambda: Translator.load(copied)) == (
            f"{path} is refused: it is not a checkpoint of this software, which holds tensors and plain data only; "
            f"loading anything else could execute code"
        )

    def test_no_run_folder(self, averaged: Path, tmp_path: Path) -> None:
        assert message(lambda: Translator.load(averaged.parent)) == (
            f"{averaged.parent} is not a run folder: it has no run.json. It holds runs: {averaged}"
        )
        assert message(lambda: Translator.load(tmp_path)) == f"{tmp_path} is not a run folder: it has no run.json."
        wrong = averaged.with_name("moved2")
        assert message(lambda: Translator.load(wrong)) == f"there is no run folder {wrong}, did you mean 'moved'?"
        file = averaged / "checkpoints/step-6.pt"
        assert message(lambda: Translator.load(file)) == f"{file} is a file, not the folder of a run"

    def test_another_format(self, copied: Path) -> None:
        (copied / "run.json").write_text("{}")
        assert message(lambda: Translator.load(copied)) == (
            f"{copied}/run.json is not a file of a run of this version: format: field required; name: field required; "
            f"created: field required; …"
        )

    def test_a_component_that_is_not_installed(self, copied: Path) -> None:
        recipe = copied / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("type: resnet", "type: resnets"))
        with pytest.raises(RecipeError) as caught:
            Translator.load(copied)
        assert caught.value.faults[0].message.startswith("there is no generator 'resnets', did you mean 'resnet'?")


class TestPluginFiles:
    @pytest.fixture
    def copied(self, plugged: Path, tmp_path: Path) -> Path:
        """The run as another machine would get it, with the original of its plugin file elsewhere."""
        return Path(shutil.copytree(plugged / "run", tmp_path / "copy"))

    @pytest.fixture
    def foreign(self, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The run of another user: it was signed with a key that is not at hand."""
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user"))
        return copied

    @staticmethod
    def executed(run: Path) -> bool:
        return (run / "plugins/mine.executed").exists()

    def test_the_users_own_is_executed(self, copied: Path) -> None:
        assert Translator.load(copied, device="cpu").translate(picture(9, 9)).size == (9, 9)
        assert self.executed(copied)

    def test_that_of_another_user_is_not_executed(self, foreign: Path) -> None:
        assert message(lambda: Translator.load(foreign)) == (
            f"loading this run would execute code that it names: {foreign}/plugins/mine.py. It is not known to be "
            f"yours: the run was trained by another user or on another machine, or its code has changed.\n"
            f"Read the code; if you trust it, add --trust (in Python: trust=True)"
        )
        assert not self.executed(foreign)

    def test_somebody_elses_is_executed_when_trusted(self, foreign: Path) -> None:
        assert Translator.load(foreign, device="cpu", trust=True).translate(picture(9, 9)).size == (9, 9)
        assert self.executed(foreign)

    @pytest.mark.parametrize(
        ("signature", "refused"),
        [
            (None, "is not known to be yours"),
            ("", "is not known to be yours"),
            ("0" * 64, "is not known to be yours"),
            (7, "signature: input should be a valid string"),
        ],
        ids=str,
    )
    def test_a_forged_signature_is_refused(self, copied: Path, signature: object, refused: str) -> None:
        record = json.loads((copied / "run.json").read_text())
        record["signature"] = signature
        (copied / "run.json").write_text(json.dumps(record))
        assert refused in message(lambda: Translator.load(copied))
        assert not self.executed(copied)

    def test_a_signature_is_for_one_code_only(self, copied: Path) -> None:
        """A stranger who changes the code and its recorded digest cannot keep the signature."""
        changed = PLUGIN + "\n"
        (copied / "plugins/mine.py").write_text(changed)
        record = json.loads((copied / "run.json").read_text())
        record["files"]["mine.py"]["sha256"] = hashlib.sha256(changed.encode()).hexdigest()
        (copied / "run.json").write_text(json.dumps(record))
        assert "is not known to be yours" in message(lambda: Translator.load(copied))
        assert not self.executed(copied)

    def test_without_a_key_nothing_is_ones_own(self, copied: Path, tmp_path: Path) -> None:
        for content in (None, "", "ab", "not hexadecimal"):
            folder = tmp_path / "state" / "translate-core"
            folder.mkdir(parents=True, exist_ok=True)
            if content is not None:
                (folder / "signing-key").write_text(content)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
                assert "is not known to be yours" in message(lambda: Translator.load(copied))
        assert not self.executed(copied)

    def test_a_changed_copy_is_never_executed(self, copied: Path) -> None:
        path = copied / "plugins/mine.py"
        path.write_text(PLUGIN + "\n")
        assert message(lambda: Translator.load(copied, trust=True)) == (
            f"{path} is not the plugin file that the run was trained with: run.json records another SHA-256"
        )
        path.unlink()
        assert message(lambda: Translator.load(copied, trust=True)) == (
            f"the run is incomplete: the plugin file {path} is missing"
        )
        assert not self.executed(copied)

    def test_a_file_that_the_run_does_not_know_is_never_executed(self, copied: Path) -> None:
        (copied / "other.py").write_text(PLUGIN)
        recipe = copied / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("plugins/mine.py", "other.py"))
        assert "is not the plugin file that the run was trained with" in message(
            lambda: Translator.load(copied, trust=True)
        )
        assert not (copied / "other.executed").exists()

    def test_two_of_one_name_cannot_be_kept_side_by_side(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "mine.py").write_text(PLUGIN.replace('"mine"', f'"{folder}"'))
        with pytest.raises(PluginError) as caught:
            load_plugins(["a/mine.py", "b/mine.py"], tmp_path)
        assert (
            str(caught.value)
            == "two plugin files have the name mine.py, and a run copies both into one folder: rename one"
        )
