"""Fetches one file over HTTP, and resumes interrupted attempts.

Not done by pooch, which fetches a file whole or not at all: after an interruption it starts from the first byte.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from pathlib import Path
from typing import cast
from urllib.error import HTTPError, URLError

from translate_core import progress, write_text

TRIES = 3
BACK_OFF = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = 30.0
"""Seconds without a byte from the server after which an attempt fails."""
_CHUNK = 256 * 1024


class TransferError(Exception):
    """Why a URL could not be fetched, for the user."""


class _BrokenError(Exception):
    """Why an attempt failed that may succeed when it is repeated."""


@dataclass(frozen=True)
class _Origin:
    """The file that a part is the beginning of; stored beside the part for the next attempt.

    Args:
        url: the address of the file.
        validator: strong ETag or date that identifies its version, None where the server sends neither.
        size: bytes of the whole file, None where the server does not send it.
    """

    url: str
    validator: str | None
    size: int | None


def transfer(url: str, part: Path) -> None:
    """Fetches `url` to the file `part`; if that is the beginning of the same file, only the rest is fetched.

    A part is continued only if the server still has the same version of the file (by ETag or date, with `If-Range`),
    else it is fetched from the first byte. After any interruption the next call can continue the part.

    Raises:
        TransferError: the server or the network refused, or the connection broke in each of a few attempts.
    """
    for attempt in range(1, TRIES + 1):
        try:
            _attempt(url, part)
            return
        except _BrokenError as error:
            if attempt == TRIES:
                raise TransferError(f"{error} (attempt {attempt} of {TRIES})") from None
            time.sleep(BACK_OFF * 2 ** (attempt - 1))


def origin_url(part: Path) -> str | None:
    """The URL that a part was fetched from, None if there is no part."""
    origin = _read_origin(part)
    return origin.url if origin else None


def discard(part: Path) -> None:
    """Removes a part and the note beside it."""
    part.unlink(missing_ok=True)
    _origin_file(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path) -> None:
    origin = _read_origin(part)
    have = part.stat().st_size if origin is not None and origin.url == url else 0
    request = urllib.request.Request(url, headers={"User-Agent": "translate", "Accept-Encoding": "identity"})
    if origin is not None and have:
        if have == origin.size:
            return
        if origin.validator is not None:
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", origin.validator)
    try:
        response = cast(HTTPResponse, _opener().open(request, timeout=TIMEOUT))
    except HTTPError as error:
        error.close()
        if error.code == 416:
            discard(part)
            raise _BrokenError("the server has no more bytes for the rest of an earlier download") from None
        reason = f"HTTP status {error.code} ({error.reason})"
        if error.code >= 500 or error.code in (408, 429):
            raise _BrokenError(reason) from None
        raise TransferError(reason) from None
    except URLError as error:
        raise _BrokenError(_reason(error.reason)) from None
    except (ValueError, InvalidURL) as error:
        raise TransferError(f"not a valid address: {error}") from None
    except (OSError, HTTPException) as error:
        raise _BrokenError(_reason(error)) from None
    with response:
        _receive(response, url, part, have)


def _receive(response: HTTPResponse, url: str, part: Path, have: int) -> None:
    if response.status == 206:
        continued = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if continued is None or int(continued[1]) != have:
            discard(part)
            raise _BrokenError("the server sent another piece of the file than the requested one")
        size = None if continued[2] == "*" else int(continued[2])
    elif response.status == 200:
        length = response.headers.get("Content-Length")
        have, size = 0, int(length) if length is not None and length.isdecimal() else None
    else:
        raise TransferError(f"HTTP status {response.status} ({response.reason})")

    with open(part, "ab" if have else "wb") as file:
        # After the file is truncated: a note of the new file must not stand beside content of the old one.
        write_text(_origin_file(part), json.dumps(asdict(_Origin(url, _validator(response.headers), size))))
        with progress(f"{'resuming' if have else 'downloading'} {url}", size, "bytes", have) as advance:
            while chunk := _read(response):
                file.write(chunk)
                have += len(chunk)
                advance(len(chunk))
    if size is not None and have < size:
        raise _BrokenError(f"the connection broke after {have:,} of {size:,} bytes")


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _BrokenError(_reason(error)) from None


def _validator(headers: HTTPMessage) -> str | None:
    etag = headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        return etag
    return headers.get("Last-Modified")


def _reason(error: BaseException | str) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer for {TIMEOUT:g} seconds"
    return str(error) or type(error).__name__


def _origin_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_origin(part: Path) -> _Origin | None:
    try:
        return _Origin(**json.loads(_origin_file(part).read_text())) if part.exists() else None
    except (OSError, ValueError, TypeError):  # no note, or a truncated one: the file is fetched from the start
        return None


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS with the user's proxies, and no other protocol, also after a redirect."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
