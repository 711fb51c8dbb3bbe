"""Times a training step of CycleGAN: the engine against a hand-written loop, and bf16 + channels-last against float32.

    python benchmarks/step.py                 # the full-size networks at 256², a few minutes on a CPU
    python benchmarks/step.py --size 64 --blocks 3 --width 16 --pairs 30

The contenders take turns within one process (A B A B …), so that a machine whose speed drifts treats them alike.
Printed are medians, and the median of the ratios pair by pair. Peak memory is that of a process of its own each.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import torch
import torch.nn.functional as F

from translate_core import open_run
from translate_core.runtime.device import choose_device
from translate_plugins.discriminators.patchgan import PatchGAN
from translate_plugins.generators.resnet import ResNet
from translate_plugins.inits.weights import normal

Step = Callable[[], object]
CONTENDERS = ("engine", "hand-written", "engine, bf16")


class HandPool:
    """The reference's image pool, as one writes it for a single loop."""

    def __init__(self) -> None:
        self.images: list[torch.Tensor] = []

    def query(self, batch: torch.Tensor) -> torch.Tensor:
        """As many images as came, (N, C, H, W)."""
        out = []
        for image in batch:
            if len(self.images) < 50:
                self.images.append(image)
                out.append(image)
            elif random.random() < 0.5:
                slot = random.randrange(50)
                out.append(self.images[slot])
                self.images[slot] = image
            else:
                out.append(image)
        return torch.stack(out)


def hand_written(options: argparse.Namespace, device: torch.device) -> Step:
    """What a researcher would write without any framework: float32, channels-last."""

    def network(made: torch.nn.Module) -> torch.nn.Module:
        normal(made)
        return made.to(device, memory_format=torch.channels_last)

    G_AB, G_BA = (network(ResNet(3, 3, blocks=options.blocks, width=options.width)) for _ in range(2))
    D_A, D_B = (network(PatchGAN(3, width=options.width)) for _ in range(2))
    generators = [*G_AB.parameters(), *G_BA.parameters()]
    discriminators = [*D_A.parameters(), *D_B.parameters()]
    optimizer_G = torch.optim.Adam(generators, 2e-4, (0.5, 0.999), fused=True)
    optimizer_D = torch.optim.Adam(discriminators, 2e-4, (0.5, 0.999), fused=True)
    pool_A, pool_B = HandPool(), HandPool()
    A, B = images(options), images(options)

    def gan(judgement: torch.Tensor, real: bool) -> torch.Tensor:
        return F.mse_loss(judgement, torch.full_like(judgement, float(real)))

    def step() -> None:
        real_A, real_B = (
            (x.to(device).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last) for x in (A, B)
        )
        for parameter in discriminators:
            parameter.requires_grad_(False)
        fake_B, fake_A = G_AB(real_A), G_BA(real_B)
        loss_G = (
            gan(D_B(fake_B), True)
            + gan(D_A(fake_A), True)
            + 10 * F.l1_loss(G_BA(fake_B), real_A)
            + 10 * F.l1_loss(G_AB(fake_A), real_B)
            + 5 * F.l1_loss(G_AB(real_B), real_B)
            + 5 * F.l1_loss(G_BA(real_A), real_A)
        )
        optimizer_G.zero_grad()
        loss_G.backward()
        optimizer_G.step()
        for parameter in discriminators:
            parameter.requires_grad_(True)
        optimizer_D.zero_grad()
        for D, real, fake in (
            (D_A, real_A, pool_A.query(fake_A.detach())),
            (D_B, real_B, pool_B.query(fake_B.detach())),
        ):
            (0.5 * (gan(D(real), True) + gan(D(fake), False))).backward()
        optimizer_D.step()

    return step


def engine(options: argparse.Namespace, device: torch.device, precision: str, opened: ExitStack) -> Step:
    """The same through the engine: a recipe, opened, and updated with the same kind of batch."""
    recipe = {
        "method": {"type": "cyclegan"},
        "data": {"type": "synthetic", "size": options.size, "train": 2 * options.batch, "test": 1},
        "generator": {"type": "resnet", "blocks": options.blocks, "width": options.width},
        "discriminator": {"type": "patchgan", "width": options.width},
        "losses": {
            "adversarial": {"type": "lsgan", "pool": {"type": "history"}},
            "cycle": {"type": "cycle", "weight": 10},
            "identity": {"type": "identity", "weight": 5},
        },
        "optimizer": {"type": "adam", "lr": 2.0e-4},
        "training": {"length": "1000 epochs", "batch_size": options.batch, "precision": precision, "workers": 0},
    }
    run = opened.enter_context(open_run(recipe, device=device))
    batch = [{"real_A": images(options), "real_B": images(options)}]
    return lambda: run.update(batch)


def images(options: argparse.Namespace) -> torch.Tensor:
    """One batch of uint8 noise."""
    return torch.randint(0, 256, (options.batch, 3, options.size, options.size), dtype=torch.uint8)


def contender(name: str, options: argparse.Namespace, device: torch.device, opened: ExitStack) -> Step:
    """A step of the contender of that name."""
    if name == "hand-written":
        return hand_written(options, device)
    return engine(options, device, "bf16" if name.endswith("bf16") else "fp32", opened)


def timed(step: Step, device: torch.device) -> float:
    """Seconds of one step, the device waited for."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(name: str, options: argparse.Namespace) -> float:
    """GB that a process of its own takes for two steps: on CUDA those allocated there, else resident ones."""
    arguments = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def measure_memory(name: str, options: argparse.Namespace, device: torch.device) -> float:
    """The child's side of `peak_memory`."""
    with ExitStack() as opened:
        step = contender(name, options, device, opened)
        step()
        step()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def main() -> None:
    """Prints a Markdown table and the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7, help="steps of each contender (default: %(default)s)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--memory-of", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = choose_device(options.device)
    torch.manual_seed(0)
    if options.memory_of:
        print(json.dumps(measure_memory(options.memory_of, options, device)))
        return
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with ExitStack() as opened:
        steps = {name: contender(name, options, device, opened) for name in CONTENDERS}
        for step in steps.values():
            timed(step, device)
            timed(step, device)
        for _ in range(options.pairs):
            for name, step in steps.items():
                seconds[name].append(timed(step, device))
    report(options, device, seconds)


def report(options: argparse.Namespace, device: torch.device, seconds: dict[str, list[float]]) -> None:
    """The table and the two ratios."""
    networks = f"ResNet-{options.blocks} width {options.width}, batch {options.batch} of {options.size}²"
    print(f"CycleGAN step, {networks}, {device}, torch {torch.__version__}, {torch.get_num_threads()} threads,")
    print(f"{options.pairs} interleaved steps each\n")
    print("| contender | seconds per step: median (min – max) | peak memory, GB |\n| --- | --- | --- |")
    for name, values in seconds.items():
        figures = f"{statistics.median(values):.3f} ({min(values):.3f} – {max(values):.3f})"
        print(f"| {name} | {figures} | {peak_memory(name, options):.2f} |")
    overhead = _ratio(seconds["engine"], seconds["hand-written"]) - 1
    speedup = _ratio(seconds["engine"], seconds["engine, bf16"])
    print(f"\nengine over hand-written loop: {overhead:+.1%}; bf16 against float32: {speedup:.2f} times as fast")


def _ratio(left: list[float], right: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(left, right, strict=True))


if __name__ == "__main__":
    main()
