"""Runs that are killed at random moments and started again: the result is bit for bit that of an uninterrupted run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from PIL import Image

from tests.campaigns.rule import DEFECT, DONE, FAULT, INTERRUPTED, Campaign, Ended, Outcome, half_written, outcome
from tests.campaigns.small_recipe import small_recipe
from tests.proofs.test_resume import differences
from translate_core.program import quit_on_interrupt

STEPS = 24
RECIPE = small_recipe(
    {
        "length": f"{STEPS} steps",
        "checkpoint_every": "1 steps",
        "sample_every": "8 steps",
        "evaluate_every": "3 steps",
    }
)
MOST = 8
"""Kills of one run."""
_IMPORTS = 4.0
"""Seconds within which a new interpreter is killed: most of them are imports."""


class Kills(Campaign):
    """A run, a translation or a download is killed several times, then ends; its files are those without kills."""

    name = "kills"
    limit = 240.0

    def __init__(self, shared: Path) -> None:
        super().__init__(shared)
        recipe = shared / "recipe.yaml"
        recipe.write_text(json.dumps(RECIPE))
        self.server = Server(archive())
        Thread(target=self.server.serve_forever, daemon=True).start()
        downloading = {
            **RECIPE,
            "data": {
                "type": "unpaired_folders",
                "root": "data",
                "download": {"url": f"http://127.0.0.1:{self.server.server_port}/a.zip"},
            },
            "training": {**RECIPE["training"], "length": "1 steps"},
            "metrics": {},
        }
        (shared / "downloading.yaml").write_text(json.dumps(downloading))
        self.pictures = shared / "pictures"
        self.pictures.mkdir()
        rng = np.random.default_rng(0)
        for number in range(16):
            pixels = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(self.pictures / f"{number}.png")
        self.run = shared / "run"
        self.seconds = self._measured(self._training(self.run))
        self.state = _state(self.run)
        self.applying_seconds = self._measured(self._applying(shared / "translated"))
        self.translated = _digests(shared / "translated")

    def _measured(self, arguments: Sequence[str]) -> float:
        """The seconds of a command that is not killed."""
        began = time.monotonic()
        ended = _ended(arguments, self.shared / "log")
        assert ended.status == DONE, ended.printed
        return time.monotonic() - began

    def _training(self, out: Path) -> list[str]:
        return ["run", str(self.shared / "recipe.yaml"), "--out", str(out), "--device", "cpu"]

    def _applying(self, out: Path) -> list[str]:
        return ["apply", str(self.run), str(self.pictures), "--out", str(out), "--device", "cpu"]

    def attempt(self, rng: random.Random, folder: Path) -> Outcome:
        """Kills one of the three."""
        draw = rng.random()
        if draw < 0.7:
            return self._kill_training(rng, folder)
        return self._kill_applying(rng, folder) if draw < 0.85 else self._kill_download(rng, folder)

    def _kill_training(self, rng: random.Random, folder: Path) -> Outcome:
        out = folder / "run"
        ended, kills = _killed(rng, self._training(out), folder / "log", self.seconds, partial(_rest, out))
        broken = [
            f"{text}: the state of the last checkpoint differs" for text in differences(self.state, _state(out))[:3]
        ]
        for name in ("results.json", "weights/G_AB.safetensors", "weights/G_BA.safetensors"):
            if (out / name).read_bytes() != (self.run / name).read_bytes():
                broken.append(f"{name} differs")
        return outcome(f"training, {kills}", ended, [*_broken(ended), *broken, *half_written(out)])

    def _kill_applying(self, rng: random.Random, folder: Path) -> Outcome:
        out = folder / "translated"
        ended, kills = _killed(rng, self._applying(out), folder / "log", self.applying_seconds, lambda: 1.0, out)
        broken = [] if _digests(out) == self.translated else ["other pictures"]
        return outcome(f"applying, {kills}", ended, [*_broken(ended), *broken, *half_written(out)])

    def _kill_download(self, rng: random.Random, folder: Path) -> Outcome:
        root = folder / "data" / "a"
        arguments = ["run", str(self.shared / "downloading.yaml"), "--out", str(folder / "run"), "--device", "cpu"]
        arguments += ["--set", f"data.root={root}"]
        ended, kills = _killed(rng, arguments, folder / "log", 1.5, lambda: 1.0)
        broken = [] if len(list(root.rglob("*.png"))) == _IMAGES else ["other images"]
        left = sorted(path.name for path in root.parent.iterdir() if path != root)
        broken += [f"left over: {', '.join(left)}"] * bool(left)
        return outcome(f"download, {kills}", ended, [*_broken(ended), *broken, *half_written(folder)])


def start(arguments: Sequence[str], log: Path) -> int:
    """Forks a process that runs a command, with stderr in a file; returns its id.

    A fork of this process, which has imported everything, so that kills do not all hit imports.
    """
    child = os.fork()
    if child:
        return child
    status = DEFECT
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout = sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0, closefd=False), write_through=True)
        quit_on_interrupt()
        from translate_core.commands import apply, run

        status = {"run": run, "apply": apply}[arguments[0]].main(arguments[1:])
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else DEFECT
    finally:
        os._exit(status)


def _start_anew(arguments: Sequence[str], log: Path) -> int:
    """As `start`, a new interpreter, which imports everything."""
    command = [sys.executable, "-m", f"translate_core.{arguments[0]}", *arguments[1:]]
    opened = (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    return os.posix_spawn(sys.executable, command, os.environ, file_actions=[opened, (os.POSIX_SPAWN_DUP2, 1, 2)])


def _ended(
    arguments: Sequence[str],
    log: Path,
    number: int = 0,
    after: Callable[[], bool] | None = None,
    begin: Callable[[Sequence[str], Path], int] = start,
) -> Ended:
    """Runs a command to its end. number: of the signal that it gets once `after` returns true."""
    log.unlink(missing_ok=True)
    process = begin(arguments, log)
    sent = after is None
    while True:
        done, status = os.waitpid(process, os.WNOHANG if not sent else 0)
        if done:
            printed = log.read_text(errors="replace") if log.exists() else ""
            return Ended(f"translate-{arguments[0]}", os.waitstatus_to_exitcode(status), printed)
        if after is not None and not sent and after():
            os.kill(process, number)
            sent = True
        time.sleep(0.001)


def _killed(
    rng: random.Random,
    arguments: Sequence[str],
    log: Path,
    seconds: float,
    rest: Callable[[], float],
    pictures: Path | None = None,
) -> tuple[list[Ended], str]:
    """The same command again and again, killed up to `MOST` times, then left to end.

    seconds: that it takes. rest: the part of the work that is left. pictures: a folder whose pictures are whole at
    any time.
    """
    ended, kills = [], []
    for _ in range(rng.randint(1, MOST)):
        number = rng.choice((*(signal.SIGKILL,) * 7, signal.SIGTERM, signal.SIGINT, signal.SIGINT))
        begin = rng.choice((start,) * 7 + (_start_anew,))
        moment = rng.uniform(0, seconds * max(rest(), 0.15) if begin is start else _IMPORTS)
        item = _ended(arguments, log, number, partial(_passed, time.monotonic() + moment), begin)
        ended.append(item)
        where = " of a new interpreter" if begin is _start_anew else ""
        kills.append(f"{signal.Signals(number).name} after {moment:.2f} s{where}: {item.status}")
        for path in sorted(pictures.rglob("*.png")) if pictures is not None else ():
            with Image.open(path) as picture:
                picture.load()
        if item.status in (DONE, DEFECT, FAULT):
            break
    ended.append(_ended(arguments, log))
    return ended, ", ".join(kills)


def _passed(moment: float) -> bool:
    return time.monotonic() > moment


def _rest(out: Path) -> float:
    """The part of the steps that are not saved yet."""
    saved = [int(path.stem[5:]) for path in (out / "checkpoints").glob("step-*.pt")]
    return 1 - max(saved, default=0) / STEPS


def _broken(ended: Sequence[Ended]) -> list[str]:
    """What killed commands and the last one broke of the rule."""
    killed = (DONE, INTERRUPTED, -signal.SIGKILL, -signal.SIGTERM)
    broken = [text for item in ended[:-1] for text in item.broken(allowed=killed)]
    return broken + [f"at last: {text}" for text in ended[-1].broken(allowed=(DONE,))]


def _state(out: Path) -> dict[str, Any]:
    content = torch.load(out / "checkpoints" / f"step-{STEPS}.pt", weights_only=True)
    return {key: content[key] for key in ("parts", "rank_parts")}


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_IMAGES = 24


def archive() -> bytes:
    """A zip file of two domains of noise, some megabytes, so that unpacking takes a moment."""
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for number in range(_IMAGES):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(picture, "png")
            folder = ("trainA", "trainB", "testA", "testB")[number % 4]
            archive.writestr(f"a/{folder}/{number}.png", picture.getvalue())
    return content.getvalue()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.requests = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed needs no traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content, first = self.server.content, 0
        self.server.requests += 1
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first = int(wanted[6:].split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        for start in range(first, len(content), 2**16):
            self.wfile.write(content[start : start + 2**16])
            time.sleep(0.005)  # as a network: a kill may hit the transfer

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
