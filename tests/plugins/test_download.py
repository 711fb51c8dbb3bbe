from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from translate_core import DataError, UserError
from translate_plugins.datasets.unpaired_folders import UnpairedFolders
from translate_plugins.fetching import archive, transfer
from translate_plugins.fetching.download import Download
from translate_plugins.fetching.manifest import SHIPPED, read_manifest
from translate_plugins.fetching.once import make_once

SHARED = Path(__file__).parents[2].parent / "shared"
LOCK = ["tiny.lock"]  # stays after a failure; the next process locks it again
WAYS_OUT = "\nPut the folder there by hand, or set where it is: --set data.root=…"


class Server(ThreadingHTTPServer):
    """Serves one file; tests set its defects."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.etag: str | None = '"one"'
        self.modified: str | None = None
        self.ranges = True
        self.length = True
        self.drop_after: list[int] = []  # bytes after which each of the next responses breaks
        self.stall_after: list[int] = []  # bytes after which each of the next responses stalls
        self.pause = 0.0
        self.status = 200
        self.moved_to: str | None = None
        self.requested: list[str | None] = []  # the Range of each request
        self.url = f"http://127.0.0.1:{self.server_address[1]}/set.zip"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that disconnects is not an error."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.requested.append(wanted)
        self.close_connection = True
        if server.moved_to:
            self.send_response(302)
            self.send_header("Location", server.moved_to)
            self.end_headers()
            return
        if server.status != 200:
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if wanted and server.ranges and self.headers.get("If-Range") in (server.etag, server.modified):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            if start >= len(server.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.length:
            self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.modified:
            self.send_header("Last-Modified", server.modified)
        self.end_headers()
        stop = server.drop_after.pop(0) if server.drop_after else len(body)
        stall = server.stall_after.pop(0) if server.stall_after else None
        for at in range(0, min(stop, len(body)), 4096):
            if stall is not None and at >= stall:
                self.wfile.flush()
                time.sleep(1.5)
                return
            self.wfile.write(body[at : min(at + 4096, stop)])
            time.sleep(server.pause)


def jpeg(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(out, "JPEG")
    return out.getvalue()


FILES = {
    f"{folder}/{number}.jpg": jpeg(17 * number + place)
    for place, folder in enumerate(("trainA", "trainB", "testA", "testB"))
    for number in range(6)
}


def zipped(files: dict[str, bytes], top: str = "tiny/") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(top + name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes], top: str = "tiny/", *extra: tarfile.TarInfo) -> bytes:
    """An archive as `tar czf` writes it, with folders; of the extra members only the header is written."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        for folder in dict.fromkeys((top + name).rpartition("/")[0] for name in files):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            file.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(top + name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
        for entry in extra:
            file.addfile(entry)
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def unzipped(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def beside(root: Path) -> list[str]:
    return sorted(path.name for path in root.parent.iterdir())


def part_of(root: Path) -> Path:
    return root.with_name(root.name + ".part")


def manifest_at(path: Path, files: dict[str, bytes] = FILES) -> str:
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in files.items()]
    path.write_text("# made by the test\n" + "\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "BACK_OFF", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve() -> Iterator[Server]:
    with Server(zipped(FILES)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tiny"


class TestFetching:
    def test_leaves_the_folder_and_nothing_else(self, serve: Server, root: Path) -> None:
        Download(serve.url).fetch(root)
        assert unzipped(root) == FILES
        assert beside(root) == ["tiny"]

    def test_requests_nothing_when_the_folder_exists(self, serve: Server, root: Path) -> None:
        root.mkdir(parents=True)
        Download(serve.url).fetch(root)
        assert serve.requested == []
        assert beside(root) == ["tiny"]

    def test_progress_on_stderr(self, serve: Server, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        Download(serve.url).fetch(root)
        captured = capsys.readouterr()
        assert captured.out == ""
        megabytes = f"{len(serve.content) / 1e6:.1f} MB"
        assert captured.err == f"downloading {serve.url} ({megabytes})\nunpacking {part_of(root)} (24 files)\n"

    def test_resumes_after_a_broken_connection(self, serve: Server, root: Path) -> None:
        serve.drop_after = [9000, 5000]
        Download(serve.url).fetch(root)
        assert serve.requested == [None, "bytes=9000-", "bytes=14000-"]
        assert unzipped(root) == FILES

    def test_resumes_by_the_date_without_a_strong_etag(self, serve: Server, root: Path) -> None:
        serve.etag, serve.modified = 'W/"weak"', "Tue, 01 Aug 2017 10:00:00 GMT"
        serve.drop_after = [9000]
        Download(serve.url).fetch(root)
        assert serve.requested == [None, "bytes=9000-"]
        assert unzipped(root) == FILES

    def test_starts_again_where_the_server_has_no_ranges(self, serve: Server, root: Path) -> None:
        serve.ranges = False
        serve.drop_after = [9000]
        Download(serve.url).fetch(root)
        assert serve.requested == [None, "bytes=9000-"]
        assert unzipped(root) == FILES

    def test_starts_again_without_etag_and_date(self, serve: Server, root: Path) -> None:
        serve.etag = None
        serve.drop_after = [9000]
        Download(serve.url).fetch(root)
        assert serve.requested == [None, None]
        assert unzipped(root) == FILES

    def test_resumes_in_the_next_call(self, serve: Server, root: Path) -> None:
        serve.drop_after = [4000, 2000, 1000]
        with pytest.raises(UserError) as failure:
            Download(serve.url).fetch(root)
        assert str(failure.value) == (
            f"dataset {root} does not exist and could not be downloaded\n"
            f"  {serve.url}: the connection broke after 7,000 of {len(serve.content):,} bytes (attempt 3 of 3)"
            + WAYS_OUT
        )
        assert beside(root) == [*LOCK, "tiny.part", "tiny.part.json"]
        assert part_of(root).read_bytes() == serve.content[:7000]
        Download(serve.url).fetch(root)
        assert serve.requested[3:] == ["bytes=7000-"]
        assert unzipped(root) == FILES

    def test_starts_again_when_the_file_has_changed(self, serve: Server, root: Path) -> None:
        serve.drop_after = [4000, 2000, 1000]
        with pytest.raises(UserError):
            Download(serve.url).fetch(root)
        changed = {name: content + b"newer" for name, content in FILES.items()}
        serve.content, serve.etag = zipped(changed), '"two"'
        Download(serve.url).fetch(root)
        assert serve.requested[3:] == ["bytes=7000-"]
        assert unzipped(root) == changed

    def test_starts_again_when_the_part_is_longer_than_the_file(self, serve: Server, root: Path) -> None:
        root.parent.mkdir(parents=True)
        part_of(root).write_bytes(b"x" * (len(serve.content) + 5))
        note = {"url": serve.url, "validator": serve.etag, "size": None}
        part_of(root).with_name("tiny.part.json").write_text(json.dumps(note))
        Download(serve.url).fetch(root)
        assert serve.requested == [f"bytes={len(serve.content) + 5}-", None]
        assert unzipped(root) == FILES

    @pytest.mark.parametrize("note", ["", '{"url": "htt', "[]", '{"other": 1}'])
    def test_starts_again_without_a_readable_note(self, serve: Server, root: Path, note: str) -> None:
        root.parent.mkdir(parents=True)
        part_of(root).write_bytes(b"x" * 100)
        part_of(root).with_name("tiny.part.json").write_text(note)
        Download(serve.url).fetch(root)
        assert serve.requested == [None]
        assert unzipped(root) == FILES

    def test_a_server_that_sends_no_length(self, serve: Server, root: Path) -> None:
        serve.length = False
        Download(serve.url).fetch(root)
        assert unzipped(root) == FILES

    def test_a_slow_server_is_no_timeout(self, serve: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transfer, "TIMEOUT", 0.5)
        serve.pause = 0.15  # in total longer than the time-out
        Download(serve.url).fetch(root)
        assert serve.requested == [None]

    def test_a_server_that_stalls_is_a_timeout(
        self, serve: Server, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transfer, "TIMEOUT", 0.3)
        serve.stall_after = [8192]
        Download(serve.url).fetch(root)
        assert serve.requested == [None, "bytes=8192-"]
        assert unzipped(root) == FILES

    def test_tries_the_mirrors_in_order(self, serve: Server, root: Path) -> None:
        with Server(b"") as other:
            threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            other.status = 404
            Download([other.url, serve.url]).fetch(root)
            other.shutdown()
        assert len(other.requested) == 1  # a 404 is final
        assert unzipped(root) == FILES

    def test_tries_again_after_a_server_error(self, serve: Server, root: Path) -> None:
        serve.status = 503
        with pytest.raises(UserError, match=re.escape("HTTP status 503 (Service Unavailable) (attempt 3 of 3)")):
            Download(serve.url).fetch(root)
        assert len(serve.requested) == 3

    def test_without_a_network_every_attempt_is_reported(self, serve: Server, root: Path) -> None:
        serve.status = 404
        with Server(b"") as closed:
            unreachable = closed.url
        with pytest.raises(UserError) as failure:
            Download([serve.url, unreachable]).fetch(root)
        refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
        assert str(failure.value) == (
            f"dataset {root} does not exist and could not be downloaded\n"
            f"  {serve.url}: HTTP status 404 (Not Found)\n"
            f"  {unreachable}: {refused} (attempt 3 of 3)" + WAYS_OUT
        )
        assert beside(root) == LOCK

    @pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://127.0.0.1/set.zip"])
    def test_follows_no_redirect_to_other_protocols(self, serve: Server, root: Path, place: str) -> None:
        serve.moved_to = place
        with pytest.raises(UserError, match="could not be downloaded"):
            Download(serve.url).fetch(root)
        assert beside(root) == LOCK

    def test_a_folder_that_cannot_be_written(self, serve: Server, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file")
        root = tmp_path / "data" / "tiny"
        with pytest.raises(UserError, match="could not be stored beside"):
            Download(serve.url).fetch(root)

    def test_a_full_disk_keeps_the_part(self, serve: Server, root: Path) -> None:
        """A full disk is simulated by a limit on the size of files."""
        program = (
            "import resource, sys\n"
            "from pathlib import Path\n"
            "from translate_core.errors import UserError\n"
            "from translate_plugins.fetching.download import Download\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
            "try: Download(sys.argv[1]).fetch(Path(sys.argv[2]))\n"
            "except UserError as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, serve.url, root], capture_output=True, text=True, check=True
        )
        assert done.stdout == f"dataset {root} could not be stored beside {root}: [Errno 27] File too large\n"
        Download(serve.url).fetch(root)
        assert serve.requested == [None, "bytes=8192-"]
        assert unzipped(root) == FILES


class TestContent:
    def test_a_page_instead_of_a_zip(self, serve: Server, root: Path) -> None:
        serve.content = b"<html>please log in</html>"
        with pytest.raises(UserError) as failure:
            Download(serve.url).fetch(root)
        assert str(failure.value) == (
            f"dataset {root} does not exist and could not be downloaded\n"
            f"  {serve.url}: is neither a zip file nor a .tar.gz file" + WAYS_OUT
        )
        assert beside(root) == LOCK

    def test_a_damaged_zip(self, serve: Server, root: Path) -> None:
        content = bytearray(serve.content)
        content[len(content) // 2] ^= 0x55
        serve.content = bytes(content)
        with pytest.raises(UserError, match="damaged"):
            Download(serve.url).fetch(root)
        assert beside(root) == LOCK

    def test_after_a_damaged_mirror_the_next_one_is_tried(self, serve: Server, root: Path) -> None:
        with Server(b"no zip") as other:
            threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            Download([other.url, serve.url]).fetch(root)
            other.shutdown()
        assert unzipped(root) == FILES

    def test_only_files_of_the_manifest_are_unpacked(self, serve: Server, root: Path, tmp_path: Path) -> None:
        serve.content = zipped({**FILES, "trainA/smuggled.jpg": FILES["trainA/0.jpg"], "LICENSE": b"text"})
        Download(serve.url, manifest=manifest_at(tmp_path / "tiny.sha256")).fetch(root)
        assert unzipped(root) == FILES

    def test_every_difference_from_the_manifest_is_named(self, serve: Server, root: Path, tmp_path: Path) -> None:
        wrong = {**FILES, "trainA/2.jpg": b"other"}
        del wrong["trainB/3.jpg"]
        serve.content = zipped(wrong)
        right, other = hashlib.sha256(FILES["trainA/2.jpg"]).hexdigest(), hashlib.sha256(b"other").hexdigest()
        manifest = manifest_at(tmp_path / "tiny.sha256")
        with pytest.raises(UserError) as failure:
            Download(serve.url, manifest=manifest).fetch(root)
        assert str(failure.value) == (
            f"dataset {root} does not exist and could not be downloaded\n"
            f"  {serve.url}: lacks trainB/3.jpg\n"
            f"    has a trainA/2.jpg that differs from the manifest's (SHA-256 {other[:12]}…, not {right[:12]}…)"
            + WAYS_OUT
        )
        assert beside(root) == LOCK

    def test_of_many_differences_twenty_are_named(self, serve: Server, root: Path, tmp_path: Path) -> None:
        serve.content = zipped({name: content for name, content in FILES.items() if name == "trainA/0.jpg"})
        with pytest.raises(UserError) as failure:
            Download(serve.url, manifest=manifest_at(tmp_path / "tiny.sha256")).fetch(root)
        assert str(failure.value).count("lacks ") == 20
        assert "    … 23 in all\n" in str(failure.value)

    def test_counts(self, serve: Server, root: Path) -> None:
        with pytest.raises(UserError) as failure:
            Download(serve.url, counts={"trainA": 6, "trainB": 7, "valA": 1}).fetch(root)
        assert str(failure.value) == (
            f"dataset {root} does not exist and could not be downloaded\n"
            f"  {serve.url}: has 6 images in trainB, not 7\n"
            "    has 0 images in valA, not 1" + WAYS_OUT
        )
        Download(serve.url, counts={"trainA": 6, "trainB": 6}).fetch(root)
        assert unzipped(root) == FILES

    @pytest.mark.parametrize("top", ["", "tiny/", "another name/"])
    def test_the_top_folder_is_removed_from_names(self, serve: Server, root: Path, top: str) -> None:
        serve.content = zipped(FILES, top)
        Download(serve.url).fetch(root)
        assert unzipped(root) == FILES

    def test_hidden_files_are_not_unpacked(self, serve: Server, root: Path) -> None:
        with zipfile.ZipFile(buffer := io.BytesIO(serve.content), "a") as file:
            file.writestr("__MACOSX/tiny/trainA/._1.jpg", b"x")
            file.writestr("tiny/.DS_Store", b"x")
        serve.content = buffer.getvalue()
        Download(serve.url).fetch(root)
        assert unzipped(root) == FILES

    @pytest.mark.parametrize(
        "name", ["../evil.jpg", "tiny/../../evil.jpg", "/evil.jpg", "C:/evil.jpg", "c:evil.jpg", "tiny\\..\\..\\evil"]
    )
    def test_a_member_outside_of_the_folder(self, serve: Server, root: Path, name: str) -> None:
        with zipfile.ZipFile(buffer := io.BytesIO(serve.content), "a") as file:
            file.writestr(zipfile.ZipInfo(name), b"x")
        serve.content = buffer.getvalue()
        with pytest.raises(UserError) as failure:
            Download(serve.url).fetch(root)
        assert f"{serve.url}: has a member that lies outside of its folder, {name!r}; not unpacked" in str(
            failure.value
        )
        assert beside(root) == LOCK
        assert [path for path in root.parent.parent.rglob("*") if "evil" in path.name] == []

    def test_a_link(self, serve: Server, root: Path) -> None:
        link = zipfile.ZipInfo("tiny/trainA/link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(buffer := io.BytesIO(serve.content), "a") as file:
            file.writestr(link, "/etc/passwd")
        serve.content = buffer.getvalue()
        with pytest.raises(UserError, match=re.escape("a member that is a link, 'tiny/trainA/link.jpg'; not unpacked")):
            Download(serve.url).fetch(root)
        assert beside(root) == LOCK

    def test_too_large_a_content(self, serve: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MOST_BYTES", 10**6)
        serve.content = zipped({"trainA/0.jpg": bytes(2 * 10**6)})
        with pytest.raises(UserError, match=r"has 0 GB of content in 0 MB, too much for images; not unpacked"):
            Download(serve.url).fetch(root)
        assert beside(root) == LOCK

    def test_an_encrypted_zip(self, serve: Server, root: Path) -> None:
        content = bytearray(zipped({"a/0.jpg": b"x"}))
        content[6] |= 1  # the flag in the member's own header …
        content[content.index(b"PK\x01\x02") + 8] |= 1  # … and in the directory
        serve.content = bytes(content)
        with pytest.raises(UserError, match=r"is a zip file that Python cannot unpack: .*encrypted"):
            Download(serve.url).fetch(root)


class TestTar:
    """Served as set.zip: the content decides, not the name."""

    @pytest.fixture(autouse=True)
    def _tar(self, serve: Server) -> None:
        serve.content = tarred(FILES)

    def failure(self, serve: Server, root: Path) -> str:
        """The reason of the failed download, which leaves only the lock file behind."""
        with pytest.raises(UserError) as failure:
            Download(serve.url).fetch(root)
        assert beside(root) == LOCK
        text = str(failure.value)
        start = f"dataset {root} does not exist and could not be downloaded\n  {serve.url}: "
        assert text.startswith(start)
        assert text.endswith(WAYS_OUT)
        return text.removeprefix(start).removesuffix(WAYS_OUT)

    def test_is_fetched(self, serve: Server, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        serve.drop_after = [9000]
        Download(serve.url, counts={"trainA": 6, "testB": 6}).fetch(root)
        assert unzipped(root) == FILES
        assert beside(root) == ["tiny"]
        assert serve.requested == [None, "bytes=9000-"]
        assert capsys.readouterr().err.splitlines()[2:] == [
            f"checking {part_of(root)} ({len(serve.content) / 1e6:.1f} MB)",
            f"unpacking {part_of(root)} (24 files)",
        ]

    @pytest.mark.parametrize("top", ["", "tiny/", "./tiny/", "./", "./another name/"])
    @pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    def test_every_tar_format_and_top_folder(
        self, serve: Server, root: Path, top: str, form: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tarfile.TarFile, "format", form)
        files = {**FILES, f"trainA/{'long' * 20}/{'é' * 20}.jpg": b"a name in a header of its own"}
        serve.content = tarred(files, top)
        Download(serve.url).fetch(root)
        assert unzipped(root) == files

    def test_only_files_of_the_manifest_are_unpacked(self, serve: Server, root: Path, tmp_path: Path) -> None:
        serve.content = tarred({**FILES, "trainA/smuggled.jpg": b"x", "LICENSE": b"text"})
        Download(serve.url, manifest=manifest_at(tmp_path / "tiny.sha256")).fetch(root)
        assert unzipped(root) == FILES

    def test_hidden_files_are_not_unpacked(self, serve: Server, root: Path) -> None:
        serve.content = tarred({**FILES, "._trainA": b"x", "trainA/._0.jpg": b"x", ".git/config": b"x"})
        Download(serve.url).fetch(root)
        assert unzipped(root) == FILES

    def test_of_members_with_one_name_the_last_is_unpacked(self, serve: Server, root: Path) -> None:
        """As `tar` does, since members can be appended to an archive."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as file:
            for content in (b"first", b"second"):
                file.addfile(entry("a/0.jpg", size=len(content)), io.BytesIO(content))
        serve.content = out.getvalue()
        Download(serve.url).fetch(root)
        assert unzipped(root) == {"0.jpg": b"second"}

    @pytest.mark.parametrize(
        "name", ["../evil.jpg", "tiny/../../evil.jpg", "/evil.jpg", "C:/evil.jpg", "c:evil.jpg", "tiny\\..\\..\\evil"]
    )
    def test_a_member_outside_of_the_folder(self, serve: Server, root: Path, name: str) -> None:
        serve.content = tarred(FILES, "tiny/", entry(name))
        assert self.failure(serve, root) == (f"has a member that lies outside of its folder, {name!r}; not unpacked")
        assert [path for path in root.parent.parent.rglob("*") if "evil" in path.name] == []

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
    def test_a_link(self, serve: Server, root: Path, kind: bytes) -> None:
        serve.content = tarred(FILES, "tiny/", entry("tiny/.link.jpg", kind, link="/etc/passwd"))
        assert self.failure(serve, root) == "has a member that is a link, 'tiny/.link.jpg'; not unpacked"

    @pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"Z"])
    def test_a_member_that_is_not_a_file(self, serve: Server, root: Path, kind: bytes) -> None:
        serve.content = tarred(FILES, "tiny/", entry("tiny/trainA/9.jpg", kind))
        expected = "has a member that is neither a file nor a folder, 'tiny/trainA/9.jpg'; not unpacked"
        assert self.failure(serve, root) == expected

    def test_too_large_a_declared_size(self, serve: Server, root: Path) -> None:
        serve.content = tarred(FILES, "tiny/", entry("tiny/trainA/9.jpg", size=2 * 10**13))
        assert self.failure(serve, root) == "has 20000 GB of content in 0 MB, too much for images; not unpacked"

    def test_too_large_a_content_in_members_that_are_not_unpacked(
        self, serve: Server, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Reading stops at the limit, although the hidden member would not be written."""
        monkeypatch.setattr(archive, "MOST_BYTES", 10**6)
        serve.content = tarred({**FILES, ".zeros": bytes(50 * 10**6)})
        assert self.failure(serve, root) == "has 0 GB of content in 0 MB, too much for images; not unpacked"

    def test_zeros_after_the_end(self, serve: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MOST_BYTES", 10**6)
        serve.content = gzip.compress(gzip.decompress(serve.content) + bytes(200 * 10**6), 1)
        assert self.failure(serve, root) == "has 0 GB of content in 1 MB, too much for images; not unpacked"

    @pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
    def test_too_long_a_name(self, serve: Server, root: Path, kind: bytes) -> None:
        serve.content = tarred(FILES, "tiny/", entry("name", kind, size=5 * 10**9))
        assert self.failure(serve, root) == "has a header with an invalid size; not unpacked"

    def test_a_size_below_zero(self, serve: Server, root: Path) -> None:
        """tarfile would read the same headers in an endless loop."""
        negative = bytearray(entry("tiny/9.jpg").tobuf(tarfile.GNU_FORMAT))
        negative[124:136] = tarfile.itn(-512, 12, tarfile.GNU_FORMAT)
        negative[148:156] = b"        "
        negative[148:156] = b"%06o\0 " % sum(negative)
        content = gzip.decompress(serve.content).rstrip(b"\0")
        padding = bytes(-len(content) % 512)
        serve.content = gzip.compress(content + padding + bytes(negative) + bytes(1024))
        assert self.failure(serve, root) == "is a damaged .tar.gz file: 'tiny/9.jpg' has a size below zero"

    def test_too_many_members(self, serve: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archive, "MOST_MEMBERS", 20)
        assert self.failure(serve, root) == "has more than 20 members, too many for images; not unpacked"

    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.99, -8, -1])
    def test_cut_short(self, serve: Server, root: Path, kept: float) -> None:
        """The server sends no length."""
        serve.length = False
        whole = len(serve.content)
        serve.content = serve.content[: int(kept * whole) if kept > 0 else whole + int(kept)]
        assert self.failure(serve, root) == (
            "is not a .tar.gz file, or is damaged: Compressed file ended before the end-of-stream marker was reached"
        )

    def test_a_flipped_bit(self, serve: Server, root: Path) -> None:
        content = bytearray(serve.content)
        content[len(content) // 2] ^= 0x10
        serve.content = bytes(content)
        assert self.failure(serve, root).startswith("is not a .tar.gz file, or is damaged: ")

    def test_a_broken_header_in_the_middle(self, serve: Server, root: Path) -> None:
        """tarfile would take the rest for the end of the archive, without an error."""
        content = bytearray(gzip.decompress(serve.content))
        content[content.index(b"tiny/testA/3.jpg") + 1] = ord("x")
        serve.content = gzip.compress(bytes(content))
        assert self.failure(serve, root) == ("is a damaged .tar.gz file: there is content after an invalid header")

    @pytest.mark.parametrize(("content", "reason"), [(b"no tar file" * 100, "invalid header"), (b"", "empty file")])
    def test_another_gzip_file(self, serve: Server, root: Path, content: bytes, reason: str) -> None:
        serve.content = gzip.compress(content)
        assert self.failure(serve, root) == f"is not a .tar.gz file, or is damaged: {reason}"

    def test_a_file_where_a_folder_is(self, serve: Server, root: Path) -> None:
        serve.content = tarred({**FILES, "trainA": b"x"})
        assert self.failure(serve, root) == "is damaged: 'trainA' is both a file and a folder; not unpacked"


class TestOptions:
    def test_only_http(self) -> None:
        with pytest.raises(UserError) as failure:
            Download(["http://a/b.zip", "ftp://a/b.zip", "/home/b.zip", "https://"])
        assert str(failure.value) == (
            "url must be an address with http:// or https://, not 'ftp://a/b.zip', '/home/b.zip', 'https://'"
        )
        with pytest.raises(UserError, match="url must have at least one address"):
            Download([])

    def test_an_unknown_manifest(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(DataError) as failure:
            Download("http://127.0.0.1/x.zip", manifest="horse2zebra.sha").fetch(root)
        assert failure.value.faults[0].message == (
            f"there is no file 'horse2zebra.sha' in {tmp_path}, and the package has no manifest of that name, "
            "did you mean 'horse2zebra.sha256'? It has: horse2zebra.sha256"
        )

    def test_a_file_that_is_not_a_manifest(self, root: Path, tmp_path: Path) -> None:
        path = tmp_path / "wrong.txt"
        path.write_text("# comment\n\nabc  trainA/1.jpg\n")
        with pytest.raises(DataError) as failure:
            Download("http://127.0.0.1/x.zip", manifest=str(path)).fetch(root)
        assert failure.value.faults[0].path == f"{path}:3"
        assert failure.value.faults[0].message == "must be '<sha256>  <relative name>', not 'abc  trainA/1.jpg'"
        path.write_text("")
        with pytest.raises(DataError, match="lists no files"):
            Download("http://127.0.0.1/x.zip", manifest=str(path)).fetch(root)

    def test_the_manifest_that_comes_with_the_package(self) -> None:
        folder = SHARED / "data" / "horse2zebra"
        if not folder.is_dir():
            pytest.skip("shared/data/horse2zebra is not beside the repository")
        listed = read_manifest("horse2zebra.sha256")
        assert len(listed) == 1067 + 1334 + 120 + 140
        assert (SHIPPED / "horse2zebra.sha256").read_text().startswith("# ")
        assert listed == {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*.jpg")
        }


class TestWithTheDataset:
    def test_a_missing_root_is_fetched(self, serve: Server, root: Path) -> None:
        data = UnpairedFolders(str(root), download=Download(serve.url, counts={"trainA": 6, "trainB": 6}))
        data.open()
        assert len(data.train) == 6
        assert sorted(data.test) == ["A", "B"]
        data.close()

    def test_the_message_about_an_empty_root(self, serve: Server, root: Path) -> None:
        root.mkdir(parents=True)
        data = UnpairedFolders(str(root), download=Download(serve.url))
        with pytest.raises(DataError) as failure:
            data.open()
        assert failure.value.faults[0].message == (
            f"does not exist. {root} is empty; remove it to have the set downloaded"
        )


SLOW_UNPACKING = """
import sys, time
from pathlib import Path
from translate_plugins.fetching import archive
from translate_plugins.fetching.download import Download
read = archive._read
def slow(source):
    time.sleep(0.05)
    return read(source)
archive._read = slow
Download(sys.argv[1]).fetch(Path(sys.argv[2]))
"""

PLAIN = """
import sys
from pathlib import Path
from translate_plugins.fetching.download import Download
Download(sys.argv[1]).fetch(Path(sys.argv[2]))
"""


def wait_until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


class TestSeveralProcesses:
    def test_killed_while_unpacking(self, serve: Server, root: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", SLOW_UNPACKING, serve.url, root])
        unpacking = root.with_name("tiny.unpacking")
        wait_until(lambda: len(list(unpacking.rglob("*.jpg"))) > 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not root.exists()
        assert "tiny.lock" in beside(root)
        (unpacking / "trainA" / "stale.jpg").write_bytes(b"of another attempt")

        Download(serve.url).fetch(root)
        assert unzipped(root) == FILES
        assert beside(root) == ["tiny"]
        assert serve.requested == [None]  # the zip file was whole and is not requested again

    def test_killed_while_downloading(self, serve: Server, root: Path) -> None:
        serve.pause = 0.2
        process = subprocess.Popen([sys.executable, "-c", PLAIN, serve.url, root])
        wait_until(lambda: part_of(root).exists() and part_of(root).stat().st_size >= 8192)
        process.send_signal(signal.SIGKILL)
        process.wait()
        have = part_of(root).stat().st_size
        assert have < len(serve.content)

        serve.pause = 0.0
        Download(serve.url).fetch(root)
        assert serve.requested == [None, f"bytes={have}-"]
        assert unzipped(root) == FILES
        assert beside(root) == ["tiny"]

    def test_only_one_fetches(self, serve: Server, root: Path) -> None:
        serve.pause = 0.05
        processes = [subprocess.Popen([sys.executable, "-c", PLAIN, serve.url, root]) for _ in range(3)]
        assert [process.wait() for process in processes] == [0, 0, 0]
        assert serve.requested == [None]
        assert unzipped(root) == FILES
        assert beside(root) == ["tiny"]


HOLDING = """
import sys, time
from pathlib import Path
from translate_plugins.fetching.once import make_once
def hold():
    print("in", flush=True)
    time.sleep(60)
make_once(Path(sys.argv[1]), hold)
"""


class TestMakeOnce:
    def test_one_of_several_makes_it_and_the_others_wait(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        target = tmp_path / "x"
        made: list[str] = []

        def make() -> None:
            made.append(threading.current_thread().name)
            time.sleep(0.5)
            target.touch()

        ended: list[bool] = []

        def want() -> None:
            make_once(target, make)
            ended.append(target.exists())

        threads = [threading.Thread(target=want) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1
        assert ended == [True] * 3
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
        line = f"waiting for another process to finish (it holds {target}.lock)"
        assert capsys.readouterr().err.splitlines() == [line, line]

    def test_after_a_failure_the_next_one_makes_it(self, tmp_path: Path) -> None:
        target = tmp_path / "x"

        def fail() -> None:
            raise RuntimeError

        with pytest.raises(RuntimeError):
            make_once(target, fail)
        assert [path.name for path in tmp_path.iterdir()] == ["x.lock"]
        make_once(target, target.touch)
        assert [path.name for path in tmp_path.iterdir()] == ["x"]

    def test_the_lock_of_a_killed_process_is_free(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "x"
        process = subprocess.Popen([sys.executable, "-c", HOLDING, target], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        waiting = threading.Thread(target=make_once, args=(target, target.touch))
        waiting.start()
        time.sleep(0.5)
        assert waiting.is_alive()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        waiting.join(10)
        assert target.exists()
        assert capsys.readouterr().err.startswith("waiting for another process to finish (it holds ")

    def test_nothing_is_locked_where_the_target_exists(self, tmp_path: Path) -> None:
        make_once(tmp_path, lambda: pytest.fail("called"))
        assert not tmp_path.with_name(tmp_path.name + ".lock").exists()
