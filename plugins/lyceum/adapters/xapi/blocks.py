"""The bytes of an input in blocks of bounded size, unpacked where the bytes say that they are gzip."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 256 * 1024
_GZIP = zlib.MAX_WBITS | 16


class DamagedInput(Exception):  # noqa: N818, it does not leave the adapter
    """The rest of the input cannot be read. Raised after everything before has been handed out."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found


def read_blocks(stream: BinaryIO, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the content of a stream in blocks of at most `block_bytes`, of several gzip members in turn if it is gzip.

    Raises `DamagedInput` where a gzip member is cut off or does not unpack, after all that could be unpacked.
    """
    first = stream.read(block_bytes)
    if first.startswith(GZIP_MAGIC):
        yield from _unpack(first, stream, block_bytes)
        return
    while first:
        yield first
        first = stream.read(block_bytes)


def _unpack(packed: bytes, stream: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP)
    while packed:
        before = member.copy()
        try:
            block = member.decompress(packed, block_bytes)
        except zlib.error as error:
            yield from _unpack_until_damage(before, packed, block_bytes)
            raise DamagedInput(f"A gzip member is damaged ({_explanation(error)}).") from None
        if block:
            yield block
        packed = member.unconsumed_tail
        if member.eof:
            packed = member.unused_data.lstrip(b"\0") or _next_member(stream, block_bytes)
            if packed:
                packed = packed if len(packed) > 1 else packed + stream.read(1)
                if not packed.startswith(GZIP_MAGIC):
                    raise DamagedInput("After a gzip member comes something that is not gzip.")
                member = zlib.decompressobj(_GZIP)
        elif not packed:
            packed = stream.read(block_bytes)
            if not packed and (block := member.flush()):
                yield block
    if not member.eof:
        raise DamagedInput("The last gzip member is cut off.")


def _next_member(stream: BinaryIO, block_bytes: int) -> bytes:
    """Return the first block after a member that does not consist of padding (zeros, as tapes and tar leave them)."""
    while block := stream.read(block_bytes):
        if content := block.lstrip(b"\0"):
            return content
    return b""


def _unpack_until_damage(member: zlib._Decompress, packed: bytes, block_bytes: int) -> Iterator[bytes]:
    """Yield what a member gives before the byte that damages it: the library drops it when a whole block fails."""
    unpacked = bytearray()
    for place in range(len(packed)):
        byte = packed[place : place + 1]
        try:
            while byte:
                unpacked += member.decompress(byte, block_bytes)
                byte = member.unconsumed_tail
        except zlib.error:
            break
        if len(unpacked) >= block_bytes:
            yield bytes(unpacked)
            unpacked.clear()
    if unpacked:
        yield bytes(unpacked)


def _explanation(error: zlib.error) -> str:
    """Return what zlib says after its number: `incorrect data check`, `invalid block type` and the like."""
    return str(error).rpartition(": ")[2]
