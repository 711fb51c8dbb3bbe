"""Permissions that bind this process, also where the tests run as root."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_VERSION = 0x20080522
_OVERRIDE = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with these, permissions do not bind a process."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def bound_by_permissions(probe: Path) -> Iterator[None]:
    """Inside, the system applies permissions to this thread and to those that it starts.

    Root gives up its capabilities to override them, and takes them back at the end. The test is skipped where that is
    not possible. probe: an empty folder, in which that is tried.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    header, sets = _Header(_VERSION, 0), (_Sets * 2)()
    if root and libc is not None:
        libc.capget(ctypes.byref(header), sets)
        sets[0].effective &= ~_OVERRIDE
        libc.capset(ctypes.byref(header), sets)
    try:
        if not _is_bound(probe):
            pytest.skip("permissions do not bind this user, who cannot give that up")
        yield
    finally:
        if root and libc is not None:
            sets[0].effective |= _OVERRIDE & sets[0].permitted
            libc.capset(ctypes.byref(header), sets)


def _is_bound(probe: Path) -> bool:
    probe.chmod(0o555)
    try:
        (probe / "file").touch()
    except PermissionError:
        return True
    finally:
        probe.chmod(0o755)
    return False
