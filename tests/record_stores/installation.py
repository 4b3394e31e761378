"""Installs two real Learning Record Stores, each apart from the project's own environment, once a test run.

They go below the test run's home, which is removed afterwards; LYCEUM_TEST_RECORD_STORES names a folder that keeps them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

RALPH = "ralph-malph[full]==5.1.0"
NODE_STORE = "@learninglocker/xapi-statements@7.8.0"
_SECONDS = 240


class NotInstalledError(Exception):
    """A store cannot be installed here; says why."""


def ralph(home: Path) -> Path:
    """Return the interpreter of an environment that holds ralph."""

    def install(folder: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        _run([str(uv), "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run(
            [str(uv), "pip", "install", "--quiet", "--system-certs", "--compile-bytecode", RALPH],
            variables={"VIRTUAL_ENV": str(folder)},
        )

    return _once(home, "ralph", install) / "bin" / "python"


def node_store(home: Path) -> Path:
    """Return the folder in which the Node package is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotInstalledError("node and npm are not installed (on Debian and Ubuntu: apt-get install nodejs npm)")

    def install(folder: Path) -> None:
        folder.mkdir()
        options = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--silent"]
        _run(["npm", "install", *options, "--prefix", str(folder), NODE_STORE])

    return _once(home, "node", install)


def _once(home: Path, name: str, install: Callable[[Path], None]) -> Path:
    """Install unless another worker has; an installation that was broken off is begun anew."""
    root = Path(os.environ.get("LYCEUM_TEST_RECORD_STORES") or home / "record_stores")
    root.mkdir(parents=True, exist_ok=True)
    folder, done, failed = root / name, root / f"{name}.done", root / f"{name}.failed"
    with (root / f"{name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if failed.exists():
            raise NotInstalledError(failed.read_text())
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                install(folder)
            except NotInstalledError as error:
                if not os.environ.get("LYCEUM_TEST_RECORD_STORES"):
                    failed.write_text(str(error))
                raise
            done.touch()
    return folder


def _run(program: list[str], variables: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            program,
            env={**os.environ, **(variables or {})},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(f"{program[0]} did not finish: {error}") from None
    if done.returncode:
        raise NotInstalledError(f"{' '.join(program[:3])} failed: {done.stderr.strip().splitlines()[-1:]}")
