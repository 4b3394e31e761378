"""Where alerts are told: the part of the settings that is about them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lyceum.errors import ConfigurationError

RUNBOOK = "docs/operations.md"
_MAILBOX = re.compile(r"[^\s@,<>\"]+@[A-Za-z0-9.-]+")
_LOCAL_MAIL_SERVER = "smtp://localhost:25"
_SENDER = "lyceum@localhost"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Alerts are posted as JSON to `url`, if there is one, and mailed to `emails` from `sender` through the server at `smtp_url`.

    `runbook` is where people find what to do about each kind: a section a kind.
    """

    url: str | None = field(default=None, repr=False)
    emails: tuple[str, ...] = field(default=(), repr=False)
    smtp_url: str = field(default=_LOCAL_MAIL_SERVER, repr=False)
    sender: str = _SENDER
    runbook: str = RUNBOOK

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> AlertSettings:
        """Read the settings from variables; an empty variable counts as unset.

        LYCEUM_ALERT_URL: where alerts are posted. LYCEUM_ALERT_EMAIL: to whom they are mailed, several with commas.
        LYCEUM_ALERT_EMAIL_FROM: from whom. LYCEUM_SMTP_URL: `smtp://host:port`, or `smtps://user:password@host`; default the mail
        server of the machine. LYCEUM_RUNBOOK_URL: where `docs/operations.md` is shown.

        Raises `ConfigurationError` when a value cannot be used. No message quotes one.
        """
        return cls(
            url=_url(environ.get("LYCEUM_ALERT_URL")),
            emails=_mailboxes("LYCEUM_ALERT_EMAIL", environ.get("LYCEUM_ALERT_EMAIL", "")),
            smtp_url=_smtp_url(environ.get("LYCEUM_SMTP_URL")),
            sender=_sender(environ.get("LYCEUM_ALERT_EMAIL_FROM")),
            runbook=environ.get("LYCEUM_RUNBOOK_URL") or RUNBOOK,
        )

    def runbook_of(self, kind: str) -> str:
        """Return where it says what to do about a kind of alert."""
        return f"{self.runbook}#{kind}"

    def environment(self) -> dict[str, str]:
        """Return the variables from which a child process reads these same settings."""
        variables = {
            "LYCEUM_ALERT_URL": self.url or "",
            "LYCEUM_ALERT_EMAIL": ",".join(self.emails),
            "LYCEUM_ALERT_EMAIL_FROM": self.sender if self.sender != _SENDER else "",
            "LYCEUM_SMTP_URL": self.smtp_url if self.smtp_url != _LOCAL_MAIL_SERVER else "",
            "LYCEUM_RUNBOOK_URL": self.runbook if self.runbook != RUNBOOK else "",
        }
        return {name: value for name, value in variables.items() if value}


def _url(value: str | None) -> str | None:
    if not value:
        return None
    if value.startswith(("https://", "http://")) and urlsplit(value).hostname:
        return value
    raise ConfigurationError(
        "LYCEUM_ALERT_URL is no address that alerts could be posted to. Expected one such as https://chat.example/hooks/…; "
        "unset it to keep alerts in `lyceum status` and the logs alone."
    )


def _mailboxes(variable: str, value: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if all(_MAILBOX.fullmatch(mailbox) for mailbox in found):
        return found
    raise ConfigurationError(
        f"{variable} holds something that is no mail address. Expected addresses such as people@school.example, with commas "
        "between them."
    )


def _sender(value: str | None) -> str:
    if not value:
        return _SENDER
    found = _mailboxes("LYCEUM_ALERT_EMAIL_FROM", value)
    if len(found) == 1:
        return found[0]
    raise ConfigurationError(
        "LYCEUM_ALERT_EMAIL_FROM holds several addresses. Expected one, such as lyceum@school.example."
    )


def _smtp_url(value: str | None) -> str:
    if not value:
        return _LOCAL_MAIL_SERVER
    try:
        named = urlsplit(value)
        is_usable = named.scheme in ("smtp", "smtps") and bool(named.hostname) and named.port != 0
    except ValueError:
        is_usable = False
    if is_usable:
        return value
    raise ConfigurationError(
        "LYCEUM_SMTP_URL is no address of a mail server. Expected smtp://host:587 or smtps://user:password@host."
    )
