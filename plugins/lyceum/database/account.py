"""The account that the embedded server runs as, and starting programs under it.

PostgreSQL refuses to run as root. Under root the server therefore belongs to an unprivileged account, and where that account
cannot reach the server's folder or programs (a checkout below a folder that only root may enter), the server keeps the one
capability to pass such folders.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lyceum.errors import ConfigurationError

_LAUNCHER = Path(__file__).with_name("unprivileged.py")

# From least to most: none; read any file and enter any folder; and, for programs that an umask closed to others, write too.
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAPABILITIES = (None, _CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE)

# Nothing of the caller's environment reaches the server: a stray PG* variable would change what it does.
_ENVIRONMENT = {"LANG": "C", "LC_ALL": "C", "PATH": "/usr/bin:/bin", "TZ": "UTC"}

# Some builds of Python do not start without these; the launcher withholds them from the program.
_INTERPRETER_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the server: `uid` and `gid` are None when we stay who we are; `capability` is what the server keeps."""

    uid: int | None = None
    gid: int | None = None
    capability: int | None = None

    def take(self, path: Path) -> None:
        """Give a file or folder of ours, not what a link leads to, to the account."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def run(
        self, command: Sequence[str], folder: Path, *, said_to_it: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end and return it with its output. Raises `ConfigurationError` when it cannot be started.

        `said_to_it` is what it reads from its standard input: nobody else sees that, as they would an argument.
        """
        source = subprocess.DEVNULL if said_to_it is None else subprocess.PIPE
        process, report = self._launch(command, folder, "attached", subprocess.PIPE, subprocess.STDOUT, source)
        output, _ = process.communicate(said_to_it)
        if report:
            raise _not_started(command, report)
        return subprocess.CompletedProcess(list(command), process.returncode, output)

    def start(self, command: Sequence[str], folder: Path, log: Path) -> int:
        """Start a program that outlives us, its output appended to `log`; return its process id. Raises `ConfigurationError`."""
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab") as output:
            process, report = self._launch(command, folder, "detached", output.fileno(), output.fileno())
            process.wait()
        pid, _, problem = report.partition("\n")
        if problem or not pid.isdigit():
            raise _not_started(command, problem or report)
        return int(pid)

    def _launch(
        self,
        command: Sequence[str],
        folder: Path,
        mode: str,
        stdout: int,
        stderr: int,
        stdin: int = subprocess.DEVNULL,
    ) -> tuple[subprocess.Popen[str], str]:
        reading, writing = os.pipe()
        try:
            identity = ["-" if number is None else str(number) for number in (self.uid, self.gid, self.capability)]
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), *identity, str(writing), mode, str(folder), *command],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                pass_fds=[writing],
                env=_ENVIRONMENT | {name: os.environ[name] for name in _INTERPRETER_VARIABLES if name in os.environ},
                cwd="/",
                text=True,
            )
        finally:
            os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as report:
            return process, report.read()


def choose_account(folder: Path, server_user: str | None, probe: Sequence[str]) -> Account:
    """Return the account to run the server whose files are in `folder`, which exists.

    The owner of an existing server stays its account. Otherwise, under root, it is `server_user`, by default `nobody`; and
    `folder` is given to it. `probe` is a harmless command of the server's; it decides which capability the account needs.
    Raises `ConfigurationError` when the folder belongs to somebody else, or when no way is found to run the probe.
    """
    owner = folder.stat()
    if os.geteuid() != 0:
        if owner.st_uid != os.geteuid():
            raise ConfigurationError(
                f"{folder} belongs to user {owner.st_uid}, and this is user {os.geteuid()}. "
                "Run as its owner, or choose another LYCEUM_HOME."
            )
        return Account()
    uid, gid = (owner.st_uid, owner.st_gid) if owner.st_uid != 0 else _unprivileged(server_user)
    problems = []
    for capability in _CAPABILITIES:
        account = Account(uid, gid, capability)
        account.take(folder)
        try:
            outcome = account.run(probe, folder)
        except ConfigurationError as error:
            problems.append(str(error))
            continue
        if outcome.returncode == 0:
            return account
        problems.append(outcome.stdout.strip())
    raise ConfigurationError(
        f"PostgreSQL does not run as root, and user {uid} cannot run it in {folder}: {problems[0]} "
        f"With the capability to pass closed folders: {problems[-1]} "
        "Run as an ordinary user, or move the checkout and LYCEUM_HOME to where user "
        f"{uid} may enter (each folder above them needs 'x' for others), or name another account in LYCEUM_SERVER_USER."
    )


def _unprivileged(server_user: str | None) -> tuple[int, int]:
    name = server_user or "nobody"
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and this machine has no user {name!r} to run it as. "
            "Name an existing unprivileged user in LYCEUM_SERVER_USER."
        ) from None
    if entry.pw_uid == 0:
        raise ConfigurationError(f"LYCEUM_SERVER_USER names {name!r}, which is root. Name an unprivileged user.")
    return entry.pw_uid, entry.pw_gid


def _not_started(command: Sequence[str], problem: str) -> ConfigurationError:
    return ConfigurationError(f"{Path(command[0]).name} could not be started: {problem.strip()}.")
