"""The installed distribution: its name on the package index and its version."""

from __future__ import annotations

DISTRIBUTION = "translate-core"
"""The name that plugins depend on."""


def version(distribution: str = DISTRIBUTION) -> str:
    """The installed version of a distribution, read without importing it."""
    import importlib.metadata  # slower than the rest of a command that needs no version

    return importlib.metadata.version(distribution)


def installation() -> str:
    """The installed distribution with its version, for messages: `translate-core 0.1.0`."""
    return f"{DISTRIBUTION} {version()}"
