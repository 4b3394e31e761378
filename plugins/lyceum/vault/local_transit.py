"""A key service of one's own machine: the part of the transit protocol that `transit` uses, for development and for tests.

It listens on loopback, keeps its keys in memory and forgets them when it ends. Real data want a real service.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


@dataclass
class TransitEngine:
    """The keys of a transit engine, by name, each a list of versions. `requests` counts what was asked of it."""

    token: str
    keys: dict[str, list[bytes]] = field(default_factory=dict, repr=False)
    oldest: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def make_key(self, name: str) -> None:
        """Make a key with one version."""
        self.keys[name] = [os.urandom(_KEY_BYTES)]

    def answer(self, method: str, path: str, token: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and the body of the answer to one request."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                return 403, {"errors": ["permission denied"]}
            parts = path.strip("/").split("/")
            if len(parts) < 2 or parts[1] not in self.keys:
                return 404, {"errors": []}
            actions: dict[tuple[str, str, str], Callable[[str, dict[str, Any]], dict[str, Any]]] = {
                ("GET", "keys", ""): self._read,
                ("POST", "keys", "rotate"): self._rotate,
                ("POST", "keys", "config"): self._configure,
                ("POST", "encrypt", ""): self._encrypt,
                ("POST", "decrypt", ""): self._decrypt,
            }
            action = actions.get((method, parts[0], "/".join(parts[2:])))
            if action is None:
                return 405, {"errors": ["unsupported operation"]}
            data = action(parts[1], body)
            results = data.get("batch_results", [])
            is_refused = bool(results) and all("error" in result for result in results)
            return (400 if is_refused else 200), {"data": data}

    def _read(self, name: str, _: dict[str, Any]) -> dict[str, Any]:
        versions = range(1, len(self.keys[name]) + 1)
        return {
            "name": name,
            "type": "aes256-gcm96",
            "latest_version": len(self.keys[name]),
            "min_decryption_version": self.oldest.get(name, 1),
            "keys": {str(version): 0 for version in versions},
        }

    def _rotate(self, name: str, _: dict[str, Any]) -> dict[str, Any]:
        self.keys[name].append(os.urandom(_KEY_BYTES))
        return {}

    def _configure(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.oldest[name] = int(body["min_decryption_version"])
        return {}

    def _encrypt(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        version = len(self.keys[name])
        cipher = AESGCM(self.keys[name][-1])
        results = []
        for item in body["batch_input"]:
            nonce = os.urandom(_NONCE_BYTES)
            sealed = cipher.encrypt(nonce, _bytes(item["plaintext"]), _bytes(item.get("associated_data", "")))
            results.append({"ciphertext": f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}"})
        return {"batch_results": results}

    def _decrypt(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"batch_results": [self._decrypted(name, item) for item in body["batch_input"]]}

    def _decrypted(self, name: str, item: dict[str, Any]) -> dict[str, Any]:
        _, version_text, sealed_text = str(item["ciphertext"]).split(":")
        version, sealed = int(version_text.removeprefix("v")), _bytes(sealed_text)
        if not self.oldest.get(name, 1) <= version <= len(self.keys[name]):
            return {"error": "ciphertext or signature version is disallowed by policy (too old)"}
        try:
            plain = AESGCM(self.keys[name][version - 1]).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bytes(item.get("associated_data", ""))
            )
        except InvalidTag:
            return {"error": "cipher: message authentication failed"}
        return {"plaintext": base64.b64encode(plain).decode()}


@contextmanager
def serve(engine: TransitEngine) -> Iterator[str]:
    """Serve an engine on a free loopback port; yield its address, to be given as LYCEUM_TRANSIT_URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._respond("GET")

        def do_POST(self) -> None:
            self._respond("POST")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def _respond(self, method: str) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            path = self.path.removeprefix("/v1/transit")
            status, answer = engine.answer(method, path, self.headers.get("X-Vault-Token", ""), body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/transit"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
