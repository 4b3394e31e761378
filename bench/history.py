"""Measure a history load from the file to the published rows: `python bench/history.py OULAD.zip`.

Collects an OULAD delivery with `--history` into a warehouse of its own (logged tables, fsync on, the server's defaults), builds,
and prints seconds, CPU-seconds of clients and server, rows per second and the peak of all processes' own memory (USS: what is
theirs alone, so without the server's shared buffers). The warehouse is stopped and removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

AS_OF = "2016-01-01T00:00:00Z"
SAMPLE_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Measured:
    """One command: wall seconds, CPU-seconds of its own processes and of the server, and what each held at their common peak, in bytes."""

    seconds: float
    client_cpu: float
    server_cpu: float
    peak: dict[str, int]
    output: str


class Server:
    """The embedded server of a home, as a tree of processes."""

    def __init__(self, home: Path) -> None:
        pid = int((home / "server" / "data" / "postmaster.pid").read_text().splitlines()[0])
        self._postmaster = psutil.Process(pid)

    def processes(self) -> list[psutil.Process]:
        return [self._postmaster, *self._postmaster.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU-seconds of the server so far; backends that ended count through their parent."""
        total = 0.0
        for process in self.processes():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
            if process.pid == self._postmaster.pid:
                total += times.children_user + times.children_system
        return total


def measure(command: list[str], environment: dict[str, str], server: Server) -> Measured:
    """Run a command and sample what it and the server use."""
    peak: dict[str, int] = {}
    finished = threading.Event()
    cpu_before = server.cpu_seconds()
    children_before = os.times()
    began = time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    client = psutil.Process(process.pid)

    def sample() -> None:
        nonlocal peak
        while not finished.wait(SAMPLE_SECONDS):
            held: dict[str, int] = {}
            try:
                watched = [client, *client.children(recursive=True), *server.processes()]
            except psutil.Error:
                continue
            for one in watched:
                try:
                    held[f"{one.pid} {' '.join(one.cmdline())[:60]}"] = one.memory_full_info().uss
                except psutil.Error:
                    continue
            if sum(held.values()) > sum(peak.values()):
                peak = held

    sampler = threading.Thread(target=sample)
    sampler.start()
    output, _ = process.communicate()
    finished.set()
    sampler.join()
    seconds = time.monotonic() - began
    children = os.times()
    client_cpu = (children.children_user - children_before.children_user) + (
        children.children_system - children_before.children_system
    )
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:3])} exited with {process.returncode}")
    return Measured(seconds, client_cpu, server.cpu_seconds() - cpu_before, peak, output)


def main() -> None:
    """Run the measurement and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("delivery", type=Path, help="an OULAD zip or folder")
    delivery = parser.parse_args().delivery.resolve()
    lyceum = str(Path(sys.executable).with_name("lyceum"))
    home = Path(tempfile.mkdtemp(prefix="lyceum-bench-"))
    environment = {**os.environ, "LYCEUM_HOME": str(home)}
    try:
        subprocess.run([lyceum, "up", "--database-only"], env=environment, check=True)
        subprocess.run(
            [lyceum, "organization", "add", "open-university", "--time-zone", "Europe/London"],
            env=environment,
            check=True,
        )
        server = Server(home)
        arguments = [str(delivery), "--organization", "open-university", "--format", "oulad", "--history"]
        collected = measure([lyceum, "--json", "collect", *arguments, "--as-of", AS_OF], environment, server)
        built = measure([lyceum, "--json", "build", "--as-of", AS_OF], environment, server)
        rows = int(json.loads(collected.output)["records_read"])
        print(f"\n{'':10}{'seconds':>10}{'client CPU-s':>14}{'server CPU-s':>14}{'rows/s':>12}{'peak MiB':>10}")
        for name, one in (("collect", collected), ("build", built)):
            print(
                f"{name:10}{one.seconds:10.1f}{one.client_cpu:14.1f}{one.server_cpu:14.1f}"
                f"{rows / one.seconds:12,.0f}{sum(one.peak.values()) / 2**20:10.0f}"
            )
        for name, one in (("collect", collected), ("build", built)):
            print(f"\nAt the peak of {name}:")
            for process, held in sorted(one.peak.items(), key=lambda item: -item[1])[:5]:
                print(f"{held / 2**20:8.0f} MiB  {process}")
        total = collected.seconds + built.seconds
        print(f"{'together':10}{total:10.1f}{'':28}{rows / total:12,.0f}")
    finally:
        subprocess.run([lyceum, "down"], env=environment, check=False)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
