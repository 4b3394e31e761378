"""A key service across the network: the client of HashiCorp Vault's transit protocol, which others speak too.

What is used of it (Vault's HTTP API, "Transit secrets engine"), below the engine's address, with the header `X-Vault-Token`:

| request | body | answer, below `data` |
|---|---|---|
| `GET /keys/<name>` | | `latest_version`, `min_decryption_version`, `keys` by version |
| `POST /keys/<name>/rotate` | | |
| `POST /keys/<name>/config` | `min_decryption_version` | |
| `POST /encrypt/<name>` | `batch_input`: `plaintext`, `associated_data` | `batch_results`: `ciphertext` (`vault:v<version>:…`) |
| `POST /decrypt/<name>` | `batch_input`: `ciphertext`, `associated_data` | `batch_results`: `plaintext` |

Plaintexts and associated data are base64. The key must be of an AEAD type (aes256-gcm96, the default). Data keys travel to the
service and back: the connection is encrypted except on loopback, and the key that wraps never leaves the service.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from lyceum.errors import ConfigurationError, RetryableError
from lyceum.key_settings import TransitSettings
from lyceum.vault.errors import WrongKeyError
from lyceum.vault.providers import PlainKey, WrappedKey

_TIMEOUT_SECONDS = 30.0
_BATCH = 500
_CIPHERTEXT = re.compile(rb"vault:v([1-9][0-9]{0,8}):[A-Za-z0-9+/=]+")
_MISSING = 404
_REFUSED = frozenset({400, 401, 403, 404, 405, 422})


class TransitKeys:
    """A named key of a transit engine. Connections are made when first needed; `close` ends them."""

    name = "transit"

    def __init__(self, settings: TransitSettings) -> None:
        self._key_name = settings.key_name
        self._client = httpx.Client(
            base_url=settings.address,
            headers={"X-Vault-Token": settings.token, "X-Vault-Request": "true"},
            timeout=_TIMEOUT_SECONDS,
            follow_redirects=False,
            # A proxy that the environment names has no business with keys.
            trust_env=False,
        )

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def versions(self) -> tuple[int, ...]:
        """Return the versions that still unwrap."""
        state = self._state()
        oldest = int(state.get("min_decryption_version", 1))
        return tuple(version for version in sorted(map(int, state["keys"])) if version >= oldest)

    def current_version(self) -> int:
        """Return the service's latest version. The service's operator makes the key."""
        return int(self._state()["latest_version"])

    def add_version(self) -> int:
        """Have the service make a new version."""
        self._ask("POST", f"/keys/{self._key_name}/rotate", {})
        return self.current_version()

    def retire_version(self, version: int) -> None:
        """Have the service unwrap with later versions only."""
        later = min(found for found in self.versions() if found > version)
        self._ask("POST", f"/keys/{self._key_name}/config", {"min_decryption_version": later})

    def wrap(self, keys: Sequence[PlainKey]) -> list[WrappedKey]:
        """Wrap under the latest version."""
        wrapped: list[WrappedKey] = []
        for first in range(0, len(keys), _BATCH):
            part = keys[first : first + _BATCH]
            results = self._batch(
                "encrypt", [{"plaintext": _text(key.key), "associated_data": _text(key.context)} for key in part]
            )
            for key, result in zip(part, results, strict=True):
                content = str(result.get("ciphertext", "")).encode()
                match = _CIPHERTEXT.fullmatch(content)
                if match is None:
                    raise self._not_understood("a ciphertext such as vault:v1:…")
                wrapped.append(WrappedKey(self.name, int(match[1]), content, key.context))
        return wrapped

    def unwrap(self, keys: Sequence[WrappedKey]) -> list[bytes]:
        """Return each data key."""
        found: list[bytes] = []
        for first in range(0, len(keys), _BATCH):
            part = keys[first : first + _BATCH]
            results = self._batch(
                "decrypt",
                [{"ciphertext": key.content.decode(), "associated_data": _text(key.context)} for key in part],
            )
            for result in results:
                try:
                    found.append(base64.b64decode(str(result["plaintext"]), validate=True))
                except (KeyError, binascii.Error):
                    raise self._not_understood("a plaintext in base64") from None
        return found

    def _state(self) -> Mapping[str, Any]:
        data = self._ask("GET", f"/keys/{self._key_name}", None)
        if not isinstance(data.get("keys"), dict) or not isinstance(data.get("latest_version"), int):
            raise self._not_understood("latest_version and keys")
        return data

    def _batch(self, action: str, items: list[dict[str, str]]) -> list[dict[str, Any]]:
        data = self._ask("POST", f"/{action}/{self._key_name}", {"batch_input": items})
        results = data.get("batch_results")
        if not isinstance(results, list) or len(results) != len(items):
            raise self._not_understood(f"{len(items)} batch_results")
        if any(not isinstance(result, dict) or result.get("error") for result in results):
            raise self._wrong_key(action)
        return results

    def _ask(self, method: str, path: str, body: object) -> dict[str, Any]:
        try:
            answer = self._client.request(method, path, json=body) if method == "POST" else self._client.get(path)
        except httpx.HTTPError as error:
            raise RetryableError(
                f"The key service at {self._place} cannot be reached ({type(error).__name__}). Check LYCEUM_TRANSIT_URL and the "
                "service, and try again."
            ) from None
        if answer.status_code == httpx.codes.BAD_REQUEST and path.startswith("/decrypt/"):
            raise self._wrong_key("decrypt")
        if answer.status_code in _REFUSED:
            what = "has no such key or engine" if answer.status_code == _MISSING else "refuses"
            # The body may quote what was sent.
            raise ConfigurationError(
                f"The key service at {self._place} {what} (HTTP {answer.status_code}) when asked for {method} {path}. Check that "
                "the key exists, and that the policy of LYCEUM_TRANSIT_TOKEN allows encrypt, decrypt, read and rotate."
            )
        if not answer.is_success:
            raise RetryableError(
                f"The key service at {self._place} answered HTTP {answer.status_code}. Expected 200: see its log, and try again."
            )
        if not answer.content:
            return {}
        try:
            data = answer.json().get("data")
        except (ValueError, AttributeError):
            raise self._not_understood("JSON with data") from None
        return data if isinstance(data, dict) else {}

    @property
    def _place(self) -> str:
        return str(self._client.base_url)

    def _wrong_key(self, action: str) -> WrongKeyError:
        return WrongKeyError(
            f"The key service at {self._place} cannot {action} a key of a person with the key {self._key_name!r}: another key wrapped "
            "it, its version was retired, or it belongs to somebody else. Check LYCEUM_TRANSIT_KEY, and that the key database "
            "belongs to this warehouse."
        )

    def _not_understood(self, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"The answer of the key service at {self._place} is not understood. Expected {expected}: check that "
            "LYCEUM_TRANSIT_URL is the address of a transit engine."
        )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
