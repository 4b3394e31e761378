"""A port is kept while it is free and given up when somebody else listens on it."""

from __future__ import annotations

import socket
from pathlib import Path

from lyceum.supervisor import loopback


def listener() -> socket.socket:
    taken = socket.socket()
    taken.bind((loopback.HOST, 0))
    taken.listen()
    return taken


def test_a_port_is_kept_for_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "port"
    with listener() as probe:
        preferred = probe.getsockname()[1]

    first = loopback.free_port(file, preferred)

    assert loopback.kept_port(file) == first
    assert loopback.free_port(file, preferred=1) == first


def test_a_port_that_somebody_took_is_given_up(tmp_path: Path) -> None:
    file = tmp_path / "port"
    with listener() as stranger:
        taken = stranger.getsockname()[1]
        file.write_text(f"{taken}\n")

        port = loopback.free_port(file, preferred=taken)

    assert port != taken
    assert loopback.kept_port(file) == port


def test_a_damaged_port_file_keeps_nothing(tmp_path: Path) -> None:
    file = tmp_path / "port"
    for content in ("", "none", "0", "70000"):
        file.write_text(content)
        assert loopback.kept_port(file) is None
