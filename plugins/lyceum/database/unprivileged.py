"""Start a program under an unprivileged account, which PostgreSQL insists on. Run as a file, with no import of Lyceum.

    python -I -S unprivileged.py UID GID CAPABILITY REPORT_FD attached|detached FOLDER PROGRAM [ARGUMENT...]

UID and GID are numbers, or `-` to stay who we are. CAPABILITY is a Linux capability's number that the program keeps, or `-`
for none. The program starts in FOLDER. Whatever prevents the start is written to REPORT_FD, which closes when the program
runs; `detached` writes the process id there first and makes the program a session of its own whose parent is init.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

# Needed by this interpreter at most, never by the program.
_INTERPRETER_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def become(uid: int, gid: int, capability: int | None) -> None:
    """Become another account for good, keeping at most one capability across the coming exec. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if capability is not None:
        # Otherwise access(2), by which PostgreSQL looks for its own program, ignores the capability.
        _checked(libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability is not None:
        header = _CapabilityHeader(_LINUX_CAPABILITY_VERSION_3, 0)
        data = (_CapabilityData * 2)()
        mask = 1 << (capability % 32)
        data[capability // 32] = _CapabilityData(mask, mask, mask)
        _checked(libc.capset(ctypes.byref(header), data), "capset")
        _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl(PR_CAP_AMBIENT_RAISE)")
    if sys.platform == "linux":
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def _checked(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def main(arguments: list[str]) -> int:
    """Do what the module says; returns only when the program could not be started, or as the parent of a detached one."""
    uid, gid, capability, report_fd, mode, folder, *command = arguments
    report = int(report_fd)
    os.set_inheritable(report, False)
    try:
        if uid != "-":
            become(int(uid), int(gid), None if capability == "-" else int(capability))
        os.umask(0o077)
        os.chdir(folder)
        if mode == "detached":
            pid = os.fork()
            if pid:
                return 0
            os.setsid()
            os.write(report, f"{os.getpid()}\n".encode())
        environment = {name: value for name, value in os.environ.items() if name not in _INTERPRETER_VARIABLES}
        os.execve(command[0], command, environment)
    except OSError as error:
        os.write(report, f"{error}\n".encode())
        # The forked child must not run its parent's clean-up.
        os._exit(126)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
