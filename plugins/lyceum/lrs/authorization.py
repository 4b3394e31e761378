"""What a pull shows at the door: nothing, user and password, or a token that is fetched and renewed (OAuth 2)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Protocol, TypeAlias
from urllib.parse import quote

import msgspec

from lyceum.errors import ConfigurationError
from lyceum.lrs.credentials import Credentials
from lyceum.lrs.transport import Answer, Transport, UnreadableAnswerError

Elapsed: TypeAlias = Callable[[], float]
"""Returns seconds since any fixed beginning; never the time of day."""

_EARLY_SECONDS = 30.0
_UNKNOWN_LIFETIME_SECONDS = 300.0


class Authorization(Protocol):
    """Makes the header of each request."""

    def headers(self) -> dict[str, str]:
        """Return the headers that authorize a request."""
        ...

    def renew(self) -> bool:
        """Take note that the last headers were refused; return whether others may be taken."""
        ...


class NoAuthorization:
    """For a store that anyone may read."""

    def headers(self) -> dict[str, str]:
        """Return none."""
        return {}

    def renew(self) -> bool:
        """Return False: there is nothing else to show."""
        return False


class BasicAuthorization:
    """User and password with every request (RFC 7617)."""

    def __init__(self, credentials: Credentials) -> None:
        self._value = _basic(credentials.user, credentials.secret)

    def headers(self) -> dict[str, str]:
        """Return the one header."""
        return {"Authorization": self._value}

    def renew(self) -> bool:
        """Return False: the same password would be refused again."""
        return False


class ClientCredentialsAuthorization:
    """A bearer token by the client credentials grant (RFC 6749, 4.4), fetched anew shortly before it expires."""

    def __init__(
        self, transport: Transport, token_endpoint: str, credentials: Credentials, scope: str | None, elapsed: Elapsed
    ) -> None:
        self._transport = transport
        self._token_endpoint = token_endpoint
        self._credentials = credentials
        self._scope = scope
        self._elapsed = elapsed
        self._token: str | None = None
        self._expires = 0.0

    def headers(self) -> dict[str, str]:
        """Return the header with a token that is still good. Raises what fetching one raises."""
        if self._token is None or self._elapsed() >= self._expires:
            self._fetch()
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        """Drop the token, so that the next request fetches another."""
        self._token = None
        return True

    def _fetch(self) -> None:
        granted = self._ask(in_form=False) or self._ask(in_form=True)
        if granted is None:
            raise ConfigurationError(
                f"The token endpoint of {self._transport.label} refuses the credentials {self._credentials.name!r}. Check client "
                "id, client secret and scope."
            )
        lifetime = _UNKNOWN_LIFETIME_SECONDS if granted.expires_in is None else float(granted.expires_in)
        self._token = granted.access_token
        self._expires = self._elapsed() + max(lifetime - _EARLY_SECONDS, lifetime / 2)

    def _ask(self, *, in_form: bool) -> _Grant | None:
        """Return the grant, None when the credentials are refused in this form: some servers read them from one place only."""
        form = {"grant_type": "client_credentials"}
        if self._scope is not None:
            form["scope"] = self._scope
        headers = {}
        if in_form:
            form |= {"client_id": self._credentials.user, "client_secret": self._credentials.secret}
        else:
            # RFC 6749, 2.3.1: each half is encoded as in a form before the two are joined.
            headers["Authorization"] = _basic(quote(self._credentials.user, ""), quote(self._credentials.secret, ""))
        return self._transport.post_form(self._token_endpoint, headers, form, self._read)

    def _read(self, answer: Answer) -> _Grant | None:
        if answer.status in (400, 401, 403):
            return None
        if answer.status != 200:
            raise ConfigurationError(
                f"The token endpoint of {self._transport.label} answered {answer.status}. Expected 200 with a token: check its address."
            )
        try:
            grant = msgspec.json.decode(answer.body, type=_Grant, strict=False)
        except msgspec.MsgspecError:
            raise UnreadableAnswerError("has a token endpoint that answered without a token") from None
        if grant.token_type.lower() != "bearer":
            raise ConfigurationError(
                f"The token endpoint of {self._transport.label} grants tokens of another type than Bearer, which nothing here can show."
            )
        return grant


class _Grant(msgspec.Struct):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105
    expires_in: float | None = None


def _basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode("ascii")
