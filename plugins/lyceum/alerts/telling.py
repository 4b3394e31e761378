"""Telling an alert: a post, an e-mail, each with a link to what to do. What cannot be told is logged, and never fails its caller."""

from __future__ import annotations

import hashlib
import logging
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import httpx

from lyceum.alert_settings import AlertSettings
from lyceum.alerts.alert import Alert
from lyceum.errors import ConfigurationError

_log = logging.getLogger(__name__)

_SECONDS = 5.0
_PORTS = {"smtp": 25, "smtps": 465}


def tell(channels: AlertSettings, alert: Alert) -> None:
    """Post and mail an alert that has opened or is over, wherever the settings say. Tries once."""
    if channels.url is not None:
        _post(channels.url, alert, channels.runbook_of(alert.kind))
    if channels.emails:
        _mail(channels, alert)


def _post(address: str, alert: Alert, runbook: str) -> None:
    body = {
        # What the webhooks of chat systems show.
        "text": f"{_headline(alert)}: {alert.message} {runbook}",
        "state": _state(alert),
        "kind": alert.kind,
        "subject": alert.subject,
        "message": alert.message,
        "runbook": runbook,
        "raised_at": _text(alert.raised_at),
        "resolved_at": _text(alert.resolved_at),
    }
    try:
        httpx.post(address, json=body, timeout=_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Neither the address nor what httpx says of it: such addresses are often secrets.
        told = f" {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
        _log.error(
            "alert not posted kind=%s subject=%s error=%s%s", alert.kind, alert.subject, type(error).__name__, told
        )


def _mail(channels: AlertSettings, alert: Alert) -> None:
    try:
        _send(channels, _message(channels, alert))
    except (OSError, smtplib.SMTPException, ConfigurationError) as error:
        # Servers quote addresses in what they refuse.
        code = f" {error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else ""
        _log.error(
            "alert not mailed kind=%s subject=%s error=%s%s", alert.kind, alert.subject, type(error).__name__, code
        )


def _message(channels: AlertSettings, alert: Alert) -> EmailMessage:
    runbook = channels.runbook_of(alert.kind)
    lines = [alert.message, "", f"What to do: {runbook}", f"Kind: {alert.kind}", f"Subject: {alert.subject}"]
    lines += [f"Since: {_minute(alert.raised_at)}"] if alert.raised_at is not None else []
    lines += [f"Over: {_minute(alert.resolved_at)}"] if alert.resolved_at is not None else []
    message = EmailMessage()
    message["Subject"] = f"{_headline(alert)}: {alert.subject}"
    message["From"] = channels.sender
    message["To"] = ", ".join(channels.emails)
    message["Date"] = format_datetime(alert.resolved_at or alert.raised_at or datetime.now(UTC))
    message["Auto-Submitted"] = "auto-generated"
    # The end of an alert answers its beginning, so that mail programs show them together.
    first = _message_id(channels, alert, "raised")
    if alert.resolved_at is None:
        message["Message-ID"] = first
    else:
        message["Message-ID"] = _message_id(channels, alert, "resolved")
        message["In-Reply-To"] = message["References"] = first
    message.set_content("\n".join(lines) + "\n")
    return message


def _message_id(channels: AlertSettings, alert: Alert, state: str) -> str:
    name = hashlib.sha256(f"{alert.kind} {alert.subject} {_text(alert.raised_at)}".encode()).hexdigest()[:32]
    return f"<{name}.{state}@{channels.sender.rpartition('@')[2]}>"


def _send(channels: AlertSettings, message: EmailMessage) -> None:
    server = urlsplit(channels.smtp_url)
    host, port = server.hostname or "localhost", server.port or _PORTS[server.scheme]
    context = ssl.create_default_context()
    if server.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(host, port, timeout=_SECONDS)
    with connection:
        connection.ehlo()
        is_encrypted = server.scheme == "smtps"
        if not is_encrypted and connection.has_extn("starttls"):
            connection.starttls(context=context)
            is_encrypted = True
        if server.username:
            if not is_encrypted:
                raise ConfigurationError(
                    "The mail server takes no encrypted connection. Expected one before a password is sent."
                )
            connection.login(unquote(server.username), unquote(server.password or ""))
        connection.send_message(message)


def _headline(alert: Alert) -> str:
    return f"Lyceum, {alert.kind.replace('_', ' ')} ({_state(alert)})"


def _state(alert: Alert) -> str:
    return "raised" if alert.resolved_at is None else "resolved"


def _text(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).isoformat() if instant is not None else None


def _minute(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
