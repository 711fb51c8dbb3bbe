"""What is installed beside the package: lower bounds with their reasons, and the audit."""

from __future__ import annotations

import subprocess
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
DEPENDENCIES = [Requirement(text) for text in tomllib.loads(TEXT)["project"]["dependencies"]]
WEAK = {"torch": "2.9.1", "pillow": "12.2.0", "filelock": "3.20.2"}
"""The newest versions with a weakness in what we use: loading weights, decoding images, locks in shared folders."""


@pytest.mark.parametrize("dependency", DEPENDENCIES, ids=str)
def test_each_has_a_lower_bound_that_the_tests_run_with(dependency: Requirement) -> None:
    assert [item.operator for item in dependency.specifier] == [">="]
    assert Version(version(dependency.name)) in dependency.specifier


@pytest.mark.parametrize("name", WEAK)
def test_versions_with_a_known_weakness_are_excluded(name: str) -> None:
    (dependency,) = (item for item in DEPENDENCIES if item.name == name)
    assert Version(WEAK[name]) not in dependency.specifier
    (line,) = (line for line in TEXT.splitlines() if line.strip().startswith(f'"{name}>='))
    assert "CVE-" in line, "the reason"


def test_the_audit_covers_every_installed_version_and_fails_for_an_unknown_one() -> None:
    done = subprocess.run(["make", "-n", "audit"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "pip freeze --exclude-editable" in done.stdout
    assert "pip-audit --strict" in done.stdout
