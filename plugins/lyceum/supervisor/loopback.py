"""Loopback ports: chosen once per home, kept while they are free, chosen again when somebody else took them."""

from __future__ import annotations

import socket
from pathlib import Path

HOST = "127.0.0.1"


def kept_port(file: Path) -> int | None:
    """Return the port that the file keeps, or None when it keeps none."""
    try:
        port = int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return port if 0 < port < 65536 else None


def free_port(file: Path, preferred: int) -> int:
    """Return a loopback port that nobody listens on, and keep it in the file.

    Tried in this order: the port that the file keeps, the preferred one, any that the system gives. The caller holds the
    home's lock and starts its server at once, so a port is lost only to a stranger in between.
    """
    candidates = [port for port in (kept_port(file), preferred) if port is not None]
    port = next((port for port in candidates if _is_free(port)), None) or _any_port()
    file.write_text(f"{port}\n")
    return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
