"""A real Prometheus for tests, on loopback, with the configuration of the containers pointed at the test's own addresses."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

FOLDER = Path(__file__).parents[1] / "docker" / "prometheus"
_SECONDS = 60.0

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="needs Prometheus, which is not installed: apt-get install prometheus",
)


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    address: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now: `metric` and `value` of each."""
        answer = httpx.get(f"{self.address}/api/v1/query", params={"query": expression}, trust_env=False, timeout=30)
        found = answer.json()
        assert found["status"] == "success", (expression, found)
        series: list[dict[str, Any]] = found["data"]["result"]
        return series

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression once there is one; after a minute there is none."""
        return self.wait_until(lambda: self.query(expression))

    def wait_until(self, ask: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Return what `ask` returns once that is something, or what it returns after a minute."""
        deadline = time.monotonic() + _SECONDS
        while not (found := ask()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], token: str) -> Iterator[Prometheus]:
    """Run Prometheus with the product's configuration in `folder`; `targets` are the addresses of its jobs, others are left out."""
    folder.mkdir()
    shutil.copy(FOLDER / "lyceum.rules.yml", folder)
    (folder / "metrics_token").write_text(token)
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["scrape_configs"] = [job for job in configuration["scrape_configs"] if job["job_name"] in targets]
    for job in configuration["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
        if "authorization" in job:
            job["authorization"]["credentials_file"] = str(folder / "metrics_token")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Prometheus(_address(process, log))
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        found = re.search(r'msg="Listening on" address=(127\.0\.0\.1:[1-9]\d*)', log.read_text())
        if found and "Server is ready" in log.read_text():
            return f"http://{found[1]}"
        time.sleep(0.1)
    raise AssertionError(log.read_text())
