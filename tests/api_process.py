"""The API as a process of its own, as a person runs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from lyceum.settings import Settings


@contextmanager
def serving(settings: Settings, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run `lyceum serve` as a person would."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LYCEUM_")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from lyceum.cli import main; main()", "serve", "--port", str(port), *arguments],
        env={**environment, **settings.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not is_ready(address):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
        yield address, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def is_ready(address: str) -> bool:
    """Say whether it answers, and its database."""
    try:
        return httpx.get(f"{address}/health/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
