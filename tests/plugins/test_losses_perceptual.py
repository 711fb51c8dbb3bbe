from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import vgg16, vgg19

from tests.plugins.toy_method import ToyMethod, double, loss_parts, prepared
from translate_core import GENERATORS, Frozen, Loss, UserError
from translate_core.commands.run import main
from translate_plugins.fetching import transfer
from translate_plugins.losses import vgg
from translate_plugins.losses.perceptual import Perceptual

INDEX = {
    "vgg16": {"conv1_1": 0, "relu1_2": 3, "conv2_1": 5, "relu2_2": 8, "pool2": 9, "relu3_3": 15},
    "vgg19": {"relu1_1": 1, "relu2_2": 8, "relu3_4": 17},
}
"""The indices of the layers in torchvision's networks, counted by hand from their printed form."""


def theirs(network: str, depth: int) -> nn.Sequential:
    """torchvision's own layers up to `depth`, with weights drawn by a seed."""
    with torch.device("meta"):
        features = {"vgg16": vgg16, "vgg19": vgg19}[network](weights=None, init_weights=False).features[: depth + 1]
    features = features.to_empty(device="cpu")
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in features.parameters():
            fan_in = parameter[0].numel() if parameter.dim() == 4 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * (2 / fan_in) ** 0.5)
    return features


def file_of(network: str, depth: int, folder: Path) -> Path:
    file = folder / f"{network}.pth"
    torch.save({f"features.{key}": value for key, value in theirs(network, depth).state_dict().items()}, file)
    return file


def reference(network: str, layers: dict[str, float], x: Tensor, y: Tensor, power: int, normalize: bool) -> Tensor:
    """Equation 2 with hooks on torchvision's network, in float64."""
    indices = {INDEX[network][layer]: weight for layer, weight in layers.items()}
    features = theirs(network, max(indices)).double()
    seen: dict[int, list[Tensor]] = {index: [] for index in indices}
    for index, kept in seen.items():
        features[index].register_forward_hook(lambda *a, kept=kept: kept.append(a[2].clone()))
    mean, deviation = (
        torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    for images in (x, y):
        features(((images + 1) / 2 - mean) / deviation)
    total = torch.zeros((), dtype=torch.float64)
    for index, weight in indices.items():
        a, b = seen[index]
        if normalize:
            a, b = (
                (f - f.mean((2, 3), keepdim=True)) / (f.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
                for f in (a, b)
            )
        total = total + weight * ((a - b).abs() ** power).sum() / a.numel()
    return total


CASES: dict[str, tuple[str, dict[str, float], str, bool]] = {
    "the paper's": ("vgg16", {"relu2_2": 1.0}, "l2", False),
    "MUNIT's": ("vgg16", {"relu3_3": 1.0}, "l2", True),
    "several layers, out of order": ("vgg16", {"relu2_2": 0.5, "conv1_1": 2.0, "relu1_2": 1.0}, "l1", False),
    "before the ReLU and after the pool": ("vgg16", {"conv2_1": 1.0, "pool2": 3.0}, "l2", False),
    "vgg19": ("vgg19", {"relu1_1": 1.0, "relu3_4": 0.1}, "l1", True),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_those_of_plain_torchvision(name: str, tmp_path: Path) -> None:
    network, layers, distance, normalize = CASES[name]
    file = file_of(network, max(INDEX[network][layer] for layer in layers), tmp_path)
    loss = Perceptual(network=network, layers=layers, distance=distance, normalize=normalize, weights=str(file))
    prepared(loss).to(torch.float64)
    x, y = double(2, 3, 24, 20, seed=1).requires_grad_(), double(2, 3, 24, 20, seed=2)
    ours = loss_parts(loss, GENERATORS, {"one": x, "two": y})["one"]
    expected = reference(network, layers, x, y, {"l1": 1, "l2": 2}[distance], normalize)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-11)
    mine, plain = torch.autograd.grad(ours, x)[0], torch.autograd.grad(expected, x)[0]
    torch.testing.assert_close(mine, plain, rtol=1e-9, atol=1e-13)
    assert float(plain.abs().max()) > 1e-6


def test_the_defaults_are_those_of_the_paper() -> None:
    loss = Perceptual()
    assert (loss.network, loss.layers, loss.normalize) == ("vgg16", {"relu2_2": 1.0}, False)


def test_layers_after_the_deepest_are_not_kept(tmp_path: Path) -> None:
    loss = Perceptual(weights=str(file_of("vgg16", 8, tmp_path)))
    prepared(loss)
    (network,) = loss.vgg._hidden
    assert sum(parameter.numel() for parameter in network.parameters()) == 260_160
    assert len(network.features) == 9


def test_safetensors_files_are_read(tmp_path: Path) -> None:
    state = torch.load(file_of("vgg16", 8, tmp_path), weights_only=True)
    save_file(state, tmp_path / "vgg.safetensors")
    given = {"one": double(1, 3, 16, 16, seed=1).float(), "two": double(1, 3, 16, 16, seed=2).float()}
    first, second = (
        loss_parts(prepared(Perceptual(weights=str(tmp_path / file))), GENERATORS, given)["one"]
        for file in ("vgg16.pth", "vgg.safetensors")
    )
    assert first.item() == second.item() > 0


def test_one_channel_is_treated_as_grey(tmp_path: Path) -> None:
    loss = prepared(Perceptual(weights=str(file_of("vgg16", 8, tmp_path))))
    x, y = double(2, 1, 16, 16, seed=1).float(), double(2, 1, 16, 16, seed=2).float()
    grey = loss_parts(loss, GENERATORS, {"one": x, "two": y})["one"]
    colour = loss_parts(loss, GENERATORS, {"one": x.repeat(1, 3, 1, 1), "two": y.repeat(1, 3, 1, 1)})["one"]
    torch.testing.assert_close(grey, colour)
    four = double(1, 4, 16, 16).float()
    with pytest.raises(UserError, match="vgg16 takes images with 1 or 3 channels, and was given 4"):
        loss_parts(loss, GENERATORS, {"one": four, "two": four})
    with pytest.raises(UserError, match=r"perceptual compares images, .* and was given 1×8"):
        loss_parts(loss, GENERATORS, {"one": double(1, 8), "two": double(1, 8)})


# Frozen


class UsesFrozen(Loss):
    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Linear(2, 2)
        self.seen = Frozen(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))


def test_a_frozen_network_has_no_parameters_in_the_loss_and_moves_with_it() -> None:
    loss = UsesFrozen()
    (network,) = loss.seen._hidden
    assert sum(1 for _ in loss.parameters()) == 2
    assert list(loss.state_dict()) == ["own.weight", "own.bias"]
    assert [name for name, _ in loss.named_modules()] == ["", "own", "seen"]
    loss.train()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    loss.to(torch.float64)
    assert network[0].weight.dtype == network[1].running_mean.dtype == torch.float64
    x = double(1, 3, 6, 6).requires_grad_()
    loss.seen(x).square().sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert network[0].weight.grad is None
    assert torch.equal(network[1].running_mean, torch.zeros(4, dtype=torch.float64))
    loss.to("meta")
    assert network[0].weight.is_meta


def run(recipe: Path, folder: Path, *options: str) -> int:
    sets = [argument for option in options for argument in ("--set", option)]
    return main([str(recipe), "--out", str(folder), "--device", "cpu", *sets])


def block(weights: Path | str, **options: Any) -> dict[str, Any]:
    pairs = {"fake_B": "real_A", "fake_A": "real_B"}
    return {
        "adversarial": {"type": "lsgan"},
        "p": {"type": "perceptual", "pairs": pairs, "weights": str(weights), **options},
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
def test_it_trains_and_no_checkpoint_holds_the_network(
    precision: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(losses=block(file_of("vgg16", 8, tmp_path), normalize=True), observers={"tensorboard": None})
    folder = tmp_path / "run"
    assert run(recipe, folder, "training.length=2 steps", f"training.precision={precision}") == 0
    checkpoint = torch.load(folder / "checkpoints" / "step-2.pt", weights_only=True)
    assert [states["losses/p"] for states in checkpoint["rank_parts"]] == [{}]
    assert all(tensor.shape != (128, 128, 3, 3) for tensor in tensors_in(checkpoint))
    assert '"p/fake_B"' in (folder / "metrics.jsonl").read_text()
    assert run(recipe, folder, "training.length=3 steps", f"training.precision={precision}") == 0


def tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


# Error messages


def refusal(capsys: pytest.CaptureFixture[str], recipe: Path, folder: Path, *options: str) -> str:
    assert run(recipe, folder, *options) == 2
    assert not (folder / "checkpoints").exists()
    return capsys.readouterr().err


def test_faults_are_reported_before_training(
    write_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of("vgg16", 8, tmp_path)
    recipe = write_recipe(losses=block(file))
    folder = tmp_path / "run"

    def printed(*options: str) -> str:
        return refusal(capsys, recipe, folder, *options)

    words = (
        "losses.p  vgg16 has no layer 'relu22', did you mean 'relu2_2'? It has: conv1_1, relu1_1, conv1_2, relu1_2, "
    )
    assert words in printed("losses.p.layers={relu22: 1}")
    assert "losses.p  layers is empty: give at least one, such as {relu2_2: 1}" in printed("losses.p.layers={}")
    assert "losses.p.layers  must be a mapping from text to a number greater than 0" in printed(
        "losses.p.layers={relu2_2: 0}"
    )
    assert f"losses.p  there is no file {tmp_path}/vgg61.pth, did you mean 'vgg16.pth'?" in printed(
        f"losses.p.weights={tmp_path}/vgg61.pth"
    )
    words = f"losses.p  {file} is not a state_dict of torchvision's vgg16: it has no features.10.weight"
    assert words in printed("losses.p.layers={relu3_1: 1}")
    (tmp_path / "part.pth").write_bytes(file.read_bytes()[:5000])
    assert "part.pth is not a file of weights, or it is damaged" in printed(f"losses.p.weights={tmp_path}/part.pth")
    other = {key: torch.zeros(3, *value.shape[1:]) for key, value in torch.load(file).items()}
    torch.save(other, tmp_path / "other.pth")
    words = "other.pth is not a state_dict of torchvision's vgg16: its features.0.weight is 3×3×3×3, not 64×3×3×3"
    assert words in printed(f"losses.p.weights={tmp_path}/other.pth")
    torch.save({f"features.{k}": v for k, v in theirs("vgg16", 29).state_dict().items()}, file)
    words = "losses.p  vgg16 needs images of at least 16×16 up to relu5_3, and was given 8×8"
    assert words in printed("losses.p.layers={relu5_3: 1}", "data.transform.crop=8")


class Handler(SimpleHTTPRequestHandler):
    requested: list[str]

    def log_request(self, *args: object) -> None:
        self.requested.append(self.path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """An HTTP server of a folder: its address, the folder, and the paths that were requested."""
    folder = tmp_path / "served"
    folder.mkdir()
    requested: list[str] = []
    handler = type("Own", (Handler,), {"requested": requested})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder, requested
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch.hub; returns the folder of its files."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(transfer, "BACK_OFF", 0.01)
    return tmp_path / "hub" / "checkpoints"


def test_the_address_is_torchvisions() -> None:
    for network in ("vgg16", "vgg19"):
        assert vgg._address(network).endswith(".pth")
        assert f"/{network}-" in vgg._address(network)


def test_weights_are_downloaded_once(
    served: tuple[str, Path, list[str]], hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder, requested = served
    content = file_of("vgg16", 8, tmp_path).read_bytes()
    name = f"vgg16-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    (folder / name).write_bytes(content)
    monkeypatch.setattr(vgg, "_address", lambda network: f"{address}/{name}")
    with torch.device("meta"):  # as in the shape check
        Perceptual().prepare(ToyMethod())
    given = {"one": double(1, 3, 16, 16, seed=1).float(), "two": double(1, 3, 16, 16, seed=2).float()}
    value = loss_parts(prepared(Perceptual()), GENERATORS, given)["one"]
    direct = loss_parts(prepared(Perceptual(weights=str(tmp_path / "vgg16.pth"))), GENERATORS, given)["one"]
    assert value.item() == direct.item()
    assert requested == [f"/{name}"]
    assert [file.name for file in hub.iterdir()] == [name]


def test_a_download_with_another_hash_is_refused(
    served: tuple[str, Path, list[str]], hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder, _ = served
    (folder / "vgg16-00000000.pth").write_bytes(b"something else")
    monkeypatch.setattr(vgg, "_address", lambda network: f"{address}/vgg16-00000000.pth")
    with pytest.raises(UserError, match=r"its content does not match its name \(SHA-256 [0-9a-f]{8}…\)"):
        Perceptual().prepare(ToyMethod())
    assert [path.name for path in hub.iterdir()] == ["vgg16-00000000.pth.lock"]


def test_a_failed_download_is_reported_before_training(
    hub: Path,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as taken:  # bound but not listening: refused at once
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/vgg16-397923af.pth"
        monkeypatch.setattr(vgg, "_address", lambda network: url)
        losses = block("")
        del losses["p"]["weights"]
        printed = refusal(capsys, write_recipe(losses=losses), tmp_path / "run")
    assert (
        f"losses.p  needs the weights of vgg16, which are not at {hub}/vgg16-397923af.pth "
        f"and could not be downloaded from {url}: "
    ) in printed
    assert "Put the file there by hand, or give its path: `weights: FILE`" in printed
