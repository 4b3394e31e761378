"""Reading an input, in processes of its own where that is worth it, because reading costs more than all else of the client.

Large inputs that can be read in parts are read by several forked children, each of which takes every n-th chunk, packs it
and hands it over through a pipe; the parent takes them in turn, so the order stays that of the input. A child ends with its
parent: its next write finds nobody to read.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pickle
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lyceum.collect.packing import PackedChunk, pack
from lyceum.errors import LyceumError, RetryableError
from lyceum.records import Chunk, IdentityHasher, Input

WORTH_FORKING_BYTES = 16 * 1024 * 1024
_MOST_CHILDREN = 4
_PIPE_BYTES = 1024 * 1024
_PREFIX = struct.Struct(">QI")


def read_chunks(
    entry: Input,
    next_ordinal: int,
    hasher: IdentityHasher,
    *,
    before_fork: Callable[[], None],
    inherited_files: Sequence[int] = (),
) -> Iterator[PackedChunk]:
    """Yield the chunks of the input from `next_ordinal` on, packed, in order.

    `before_fork` returns once no other thread of the process is at work. `inherited_files` are open files, such as
    connections to the server, that a child must not keep open when its parent has died.
    """
    children = _worthwhile_children(entry)
    if entry.chunks_in_parts is None or children < 2:
        yield from map(pack, entry.chunks(next_ordinal, hasher))
        return
    before_fork()
    readers: list[_Child] = []
    try:
        for part in range(children):
            chunks = entry.chunks_in_parts(next_ordinal, hasher, part, children)
            readers.append(_fork(chunks, [*inherited_files, *(reader.file for reader in readers)]))
        for reader in itertools.cycle(readers):
            chunk = reader.receive()
            if chunk is None:
                return
            yield chunk
    finally:
        for reader in readers:
            reader.stop()


def _worthwhile_children(entry: Input) -> int:
    """Return how many children to read with: one for each processor but the server's, and two on a machine with two."""
    if sys.platform != "linux" or entry.byte_length < WORTH_FORKING_BYTES:
        return 0
    processors = len(os.sched_getaffinity(0))
    return min(max(2, processors - 1), _MOST_CHILDREN) if processors > 1 else 0


@dataclass(frozen=True, slots=True)
class _Child:
    """A forked reader: its process and the end of the pipe from which its chunks come."""

    process: int
    file: int

    def receive(self) -> PackedChunk | None:
        """Return the next chunk, None at the end of the input. Raises what the child raised."""
        message = _receive(self.file)
        if isinstance(message, BaseException):
            raise message
        assert message is None or isinstance(message, PackedChunk)
        return message

    def stop(self) -> None:
        """End the child, be it done or not."""
        os.close(self.file)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def _fork(chunks: Iterator[Chunk], inherited_files: Sequence[int]) -> _Child:
    """Let a child go through the chunks and return it."""
    own, childs = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(own, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    with warnings.catch_warnings():
        # Python warns of threads in general. Those of ours wait for work, and hold no lock while they do.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if not process:
        _serve(chunks, childs, [own, *inherited_files])
    os.close(childs)
    return _Child(process, own)


def _serve(chunks: Iterator[Chunk], file: int, inherited_files: Sequence[int]) -> NoReturn:
    """Be the child: send every chunk, packed, then None, or what went wrong; never return into the parent's code."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, too, and stops its children
        for inherited in inherited_files:
            os.close(inherited)
        for chunk in chunks:
            _send(file, pack(chunk))
        _send(file, None)
    except BrokenPipeError:
        pass
    except LyceumError as error:
        _send(file, error)
    except BaseException as error:
        # Its own words may quote a record; where it happened does not.
        defect = LyceumError(
            f"Reading an input failed with {type(error).__name__}. This is a defect of Lyceum: report it."
        )
        defect.add_note("".join(traceback.format_tb(error.__traceback__)))
        _send(file, defect)
    finally:
        os._exit(0)


def _send(file: int, message: object) -> None:
    """Write one message: large arrays go as they are, without a copy, behind the rest."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    lengths = struct.pack(f">{len(arrays)}Q", *(array.nbytes for array in arrays))
    parts = [memoryview(_PREFIX.pack(len(head), len(arrays)) + lengths), memoryview(head), *arrays]
    for left in parts:
        start = 0
        while start < left.nbytes:
            start += os.write(file, left[start:])


def _receive(file: int) -> object:
    """Read one message. The other end is our own child: what it pickled can be trusted."""
    length, arrays = _PREFIX.unpack(_read(file, _PREFIX.size))
    lengths = struct.unpack(f">{arrays}Q", _read(file, 8 * arrays))
    head = _read(file, length)
    return pickle.loads(head, buffers=[_read(file, size) for size in lengths])  # noqa: S301


def _read(file: int, length: int) -> bytearray:
    content = bytearray(length)
    left = memoryview(content)
    while left:
        count = os.readv(file, [left])
        if not count:
            raise RetryableError("A process that reads the input was killed. Collect again; what was committed stays.")
        left = left[count:]
    return content
