"""A mail server that takes what is sent to it, in the place of somebody's."""

from __future__ import annotations

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class MailServer:
    """What was sent, in its order, to whom, and how: whether it was encrypted, and the log-ins in words."""

    port: int = 0
    refuses: bool = False
    sent: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    logins: list[tuple[str, bool]] = field(default_factory=list)


@contextmanager
def mail_server(certificate: Path | None = None) -> Iterator[MailServer]:
    """Listen on a free port of loopback while the block runs; with a certificate STARTTLS is offered."""
    server = MailServer()

    class Take(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            is_encrypted = False
            self._say("220 mail.example ESMTP")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                if verb.upper() == "EHLO":
                    offers = [*([] if certificate is None or is_encrypted else ["STARTTLS"]), "AUTH PLAIN", "8BITMIME"]
                    for offer in ("mail.example", *offers[:-1]):
                        self._say(f"250-{offer}")
                    self._say(f"250 {offers[-1]}")
                elif verb.upper() == "STARTTLS" and certificate is not None:
                    self._say("220 go ahead")
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(certificate)
                    self.connection = context.wrap_socket(self.connection, server_side=True)
                    self.rfile = self.connection.makefile("rb")
                    is_encrypted = True
                elif verb.upper() == "AUTH":
                    server.logins.append((base64.b64decode(rest.split()[1]).decode().replace("\0", " "), is_encrypted))
                    self._say("235 welcome")
                elif verb.upper() == "RCPT":
                    server.recipients.append(rest.partition("<")[2].rstrip(">"))
                    self._say("550 nobody of that name" if server.refuses else "250 ok")
                elif verb.upper() == "DATA":
                    self._say("354 go on")
                    lines = []
                    while (line_of_data := self.rfile.readline()) != b".\r\n":
                        lines.append(line_of_data)
                    parsed = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
                    assert isinstance(parsed, EmailMessage)
                    server.sent.append(parsed)
                    self._say("250 taken")
                elif verb.upper() == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    self._say("250 ok")

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def _say(self, line: str) -> None:
            self.connection.sendall(f"{line}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Take) as listening:
        listening.daemon_threads = True
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def make_certificate(path: Path) -> Path:
    """Write a key and a certificate of its own for 127.0.0.1 into a file, and return it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
