"""What a direction lets a user decide: drawn, several times, or taken from an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.tiny_runs import train
from translate_core import Translator, UserError
from translate_core.commands.apply import main as apply

MUNIT = {
    "method": {"type": "munit"},
    "generator": {"type": "munit", "width": 4, "blocks": 1, "mlp_width": 8, "init": {"type": "kaiming"}},
    "discriminator": {"type": "multiscale", "width": 4, "layers": 2, "scales": 2},
    "losses": {
        "adversarial": {"type": "lsgan"},
        "image": {"type": "l1", "pairs": "reconstruction", "weight": 10},
        "style": {"type": "l1", "pairs": "style"},
        "content": {"type": "l1", "pairs": "content"},
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("munit"), **MUNIT)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that draws nothing."""
    return train(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def translator(run: Path) -> Translator:
    return Translator.load(run, device="cpu")


@pytest.fixture
def image(run: Path) -> Image.Image:
    return Image.open(next((run.parent / "data" / "testA").iterdir())).convert("RGB")


def styles(run: Path) -> list[Path]:
    return sorted((run.parent / "data" / "testB").iterdir())


class TestTranslator:
    def test_says_what_can_be_chosen(self, translator: Translator, plain: Path) -> None:
        assert translator.choices("A-B") == translator.choices("B-A") == translator.choices() == ("style",)
        assert Translator.load(plain, device="cpu").choices("A-B") == ()

    def test_a_seed_draws_a_style(self, translator: Translator, image: Image.Image) -> None:
        one, same, other = (translator.translate(image, "A-B", seed=seed).tobytes() for seed in (0, 0, 1))
        assert one == same
        assert one != other

    def test_a_style_from_an_image(self, run: Path, translator: Translator, image: Image.Image) -> None:
        """Equal to encoding the example and decoding with its style by hand; independent of the seed."""
        example = Image.open(styles(run)[0]).convert("RGB").resize((44, 28))
        got = translator.translate(image, "A-B", examples={"style": example}, seed=3)
        assert got.tobytes() == translator.translate(image, "A-B", examples={"style": example}).tobytes()

        networks = translator.networks
        to_tensor = lambda picture: (  # noqa: E731
            torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
            .view(1, picture.height, picture.width, 3)
            .permute(0, 3, 1, 2)
            .float()
            / 127.5
            - 1
        )
        with torch.no_grad():
            style = networks["AE_B"].encode(to_tensor(example))[1]
            output = networks["AE_B"].decode(networks["AE_A"].encode(to_tensor(image))[0], style)
        expected = ((output + 1) * 127.5).clamp(0, 255).to(torch.uint8)[0].permute(1, 2, 0).numpy()
        difference = torch.frombuffer(bytearray(got.tobytes()), dtype=torch.uint8).view(expected.shape).int()
        assert (difference - torch.from_numpy(expected).int()).abs().max() <= 1

    def test_one_style_for_a_batch(self, run: Path, translator: Translator) -> None:
        batch = torch.rand(3, 3, 32, 32) * 2 - 1
        example = torch.rand(3, 32, 32) * 2 - 1
        together = translator.translate(batch, "A-B", examples={"style": example})
        for one, image in zip(together, batch, strict=True):
            torch.testing.assert_close(one, translator.translate(image, "A-B", examples={"style": example}))

    @pytest.mark.parametrize(
        ("examples", "message"),
        [
            ({"stlye": Image.new("RGB", (8, 8))}, "A-B has no choice 'stlye', did you mean 'style'? It has: style"),
            ({"style": "boot.png"}, "the example for style must be a PIL image or a tensor, not str"),
            ({"style": torch.zeros(1, 8, 8)}, "a tensor must be (3, H, W) or (N, 3, H, W), this one is 1×8×8"),
        ],
    )
    def test_wrong_examples(
        self, translator: Translator, image: Image.Image, examples: dict[str, object], message: str
    ) -> None:
        with pytest.raises(UserError) as error:
            translator.translate(image, "A-B", examples=examples)  # type: ignore[arg-type]
        assert str(error.value) == message


class TestCommand:
    def test_several_samples(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        arguments = [str(run), str(run.parent / "data" / "testA"), "--out", str(tmp_path), "--device", "cpu"]
        assert apply([*arguments, "--samples", "3"]) == 0
        assert "(style drawn: --choose style=IMAGE takes it from an image)" in capsys.readouterr().err
        made = [sorted(path.name for path in (tmp_path / f"sample-{n}").iterdir()) for n in (1, 2, 3)]
        assert made[0] == made[1] == made[2] == sorted(p.name for p in (run.parent / "data" / "testA").iterdir())
        assert len({(tmp_path / f"sample-{n}" / made[0][0]).read_bytes() for n in (1, 2, 3)}) == 3
        assert apply([*arguments[:3], str(tmp_path / "second"), "--device", "cpu", "--seed", "1"]) == 0
        assert (tmp_path / "second" / made[0][0]).read_bytes() == (tmp_path / "sample-2" / made[0][0]).read_bytes()

    def test_a_style_from_an_image(self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        one, two = styles(run)
        source = str(run.parent / "data" / "testA" / "0.png")
        for number, style in enumerate((one, two)):
            out = str(tmp_path / str(number))
            assert apply([str(run), source, "--out", out, "--choose", f"style={style}", "--device", "cpu"]) == 0
        assert "drawn" not in capsys.readouterr().err
        assert (tmp_path / "0" / "0.png").read_bytes() != (tmp_path / "1" / "0.png").read_bytes()

    @pytest.mark.parametrize(
        ("arguments", "messages"),
        [
            (
                lambda folder: ["--choose", f"style={folder / 'notes.txt'}", "--choose", "boot.png"],
                ["--choose has 2 faults", "notes.txt", "'boot.png' must be NAME=IMAGE, such as style=boot.png"],
            ),
            (lambda folder: ["--choose", f"style={folder}"], ["--choose style", "is a folder, not a file"]),
            (lambda folder: ["--choose", f"style={folder / 'no.png'}"], ["cannot be read: No such file or directory"]),
            (
                lambda folder: ["--choose", f"stile={folder / 'style.png'}"],
                ["A-B has no choice 'stile', did you mean 'style'? It has: style"],
            ),
        ],
        ids=["text", "folder", "nothing", "misspelt"],
    )
    def test_a_style_of_the_wrong_kind(
        self,
        arguments: Callable[[Path], list[str]],
        messages: list[str],
        run: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "notes.txt").write_text("no image")
        Image.new("L", (9, 7)).save(tmp_path / "style.png")
        source = str(run.parent / "data" / "testA" / "0.png")
        out = tmp_path / "out"
        assert apply([str(run), source, "--out", str(out), "--device", "cpu", *arguments(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert all(message in error for message in messages), error
        assert "Traceback" not in error
        assert not out.exists()

    def test_samples_of_a_run_that_draws_nothing(
        self, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        source = str(plain.parent / "data" / "testA" / "0.png")
        out = tmp_path / "out"
        assert apply([str(plain), source, "--out", str(out), "--device", "cpu", "--samples", "2"]) == 2
        assert "this direction draws nothing, so all samples are equal: leave --samples out" in capsys.readouterr().err
        assert not out.exists()
        with pytest.raises(SystemExit):
            apply([str(plain), source, "--out", str(out), "--samples", "0"])
        assert "must be 1 … 10,000, not 0" in capsys.readouterr().err
