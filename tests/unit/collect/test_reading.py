"""Reading an input in several processes: the same chunks in the same order, and no child that outlives its use."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from lyceum.adapters.xapi import open_inputs
from lyceum.collect import reading
from lyceum.collect.packing import PackedChunk, PackedEvents, pack
from lyceum.errors import InputError, LyceumError, RetryableError
from lyceum.identity import OrganizationHasher
from lyceum.records import Chunk, IdentityHasher, Input
from tenants import deliver, digest, event, refusal, void

HASHER = OrganizationHasher(bytes(32))


@pytest.fixture(autouse=True)
def two_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_worthwhile_children", lambda _: 2)


def in_parts(entry: Input) -> Input:
    """Let the input be read in parts."""

    def chunks(next_ordinal: int, hasher: IdentityHasher, part: int, parts: int) -> Iterator[Chunk]:
        for number, chunk in enumerate(entry.chunks(next_ordinal, hasher)):
            if number % parts == part:
                yield chunk

    return replace(entry, chunks_in_parts=chunks)


def read(entry: Input, next_ordinal: int = 1) -> list[PackedChunk]:
    return list(reading.read_chunks(entry, next_ordinal, HASHER, before_fork=lambda: None))


def facts(chunks: list[PackedChunk]) -> list[object]:
    """Return what chunks say, in a form that can be compared."""

    def of_events(events: PackedEvents | None) -> list[object]:
        if events is None:
            return []
        names = events.__slots__
        values = [getattr(events, name) for name in names]
        return [value.tolist() if hasattr(value, "tolist") else value for value in values]

    return [(chunk.first_ordinal, chunk.last_ordinal, chunk.refusals, of_events(chunk.events)) for chunk in chunks]


def children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize("records", [0, 1, 2, 3, 10, 11])
def test_chunks_come_as_if_one_process_had_read_them(records: int) -> None:
    entry = deliver(*(event(number, trainer=digest("grace")) for number in range(records)), chunk_records=2)

    assert facts(read(in_parts(entry))) == facts([pack(chunk) for chunk in entry.chunks(1, HASHER)])


def test_reading_goes_on_at_an_ordinal() -> None:
    entry = deliver(event(1), refusal(), void(3, 1), event(4), event(5), chunk_records=2)

    assert facts(read(in_parts(entry), 3)) == facts([pack(chunk) for chunk in entry.chunks(3, HASHER)])


def test_large_chunks_arrive_whole() -> None:
    payload = b'"' + b"x" * 3_000_000 + b'"'
    entry = deliver(*(event(number, payload=payload) for number in range(5)), chunk_records=1)

    chunks = read(in_parts(entry))

    assert [chunk.events.payload(0) for chunk in chunks if chunk.events is not None] == [payload] * 5


def test_a_file_of_statements_is_read_in_parts(tmp_path: Path) -> None:
    statement = {
        "actor": {"mbox": "mailto:ada@example.org"},
        "verb": {"id": "http://id.tincanapi.com/verb/viewed"},
        "object": {"id": "https://example.org/page"},
        "timestamp": "2024-05-14T10:00:00Z",
    }
    path = tmp_path / "statements.ndjson"
    path.write_text("".join(json.dumps({"id": str(UUID(int=number)), **statement}) + "\n" for number in range(45_000)))
    (entry,) = open_inputs(path)

    chunks = read(entry)

    assert [(chunk.first_ordinal, chunk.last_ordinal) for chunk in chunks] == [
        (1, 20_000),
        (20_001, 40_000),
        (40_001, 45_000),
    ]
    assert facts(chunks) == facts([pack(chunk) for chunk in entry.chunks(1, HASHER)])
    assert chunks[0].position < chunks[1].position <= chunks[2].position == entry.progress_total


def broken(error: BaseException) -> Input:
    def chunks(next_ordinal: int, hasher: IdentityHasher, part: int, parts: int) -> Iterator[Chunk]:
        if part == 0:
            yield Chunk(1, 1, events=[event(1)])
        raise error

    return replace(deliver(), chunks_in_parts=chunks)


def test_the_error_of_a_child_is_raised_where_it_belongs() -> None:
    before = children()
    chunks = reading.read_chunks(broken(InputError("The disk is gone.")), 1, HASHER, before_fork=lambda: None)

    assert next(chunks).last_ordinal == 1
    with pytest.raises(InputError, match="disk is gone"):
        next(chunks)
    assert children() == before


def test_a_defect_in_a_child_names_its_kind_and_no_words() -> None:
    with pytest.raises(LyceumError, match="KeyError") as caught:
        read(broken(KeyError("ada@example.org")))

    assert "ada" not in str(caught.value) + "".join(caught.value.__notes__)
    assert "test_reading" in "".join(caught.value.__notes__)


def test_a_child_that_is_killed_can_be_retried() -> None:
    def chunks(next_ordinal: int, hasher: IdentityHasher, part: int, parts: int) -> Iterator[Chunk]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield Chunk(1, 1)

    before = children()
    with pytest.raises(RetryableError, match="was killed"):
        read(replace(deliver(), chunks_in_parts=chunks))
    assert children() == before


def test_a_reader_that_is_given_up_leaves_no_child() -> None:
    before = children()
    chunks = reading.read_chunks(
        in_parts(deliver(*(event(number) for number in range(100)), chunk_records=1)),
        1,
        HASHER,
        before_fork=lambda: None,
    )
    next(chunks)
    assert len(children() - before) == 2

    chunks.close()

    assert children() == before


def test_children_close_what_is_their_parents_alone() -> None:
    own, others = os.pipe()
    entry = in_parts(deliver(*(event(number) for number in range(100)), chunk_records=1))
    chunks = reading.read_chunks(entry, 1, HASHER, before_fork=lambda: None, inherited_files=[others])
    next(chunks)

    os.close(others)

    # Only an end of the pipe that a child still held would keep this from seeing the end.
    assert os.read(own, 1) == b""
    os.close(own)
    chunks.close()


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
sys.path[:0] = {[str(Path(__file__).parents[2]), str(Path(__file__).parent)]!r}
from lyceum.adapters.xapi import open_inputs
from lyceum.collect import reading
from tenants import deliver, event
from test_reading import HASHER, in_parts
reading._worthwhile_children = lambda _: 2
entry = in_parts(deliver(*(event(number, payload=b"1" * 500_000) for number in range(40)), chunk_records=1))
chunks = reading.read_chunks(entry, 1, HASHER, before_fork=lambda: None)
next(chunks)
print(open(f"/proc/self/task/{{os.getpid()}}/children").read(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert parent.returncode == -signal.SIGKILL, parent.stderr
    left = parent.stdout.split()
    assert len(left) == 2
    for process in left:
        wait_for_end(int(process))


def wait_for_end(process: int) -> None:
    """Return once the process, which need not be a child, has ended."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    end = select.poll()
    end.register(handle, select.POLLIN)
    assert end.poll(60_000)
    os.close(handle)


@pytest.mark.parametrize(
    ("megabytes", "processors", "expected"), [(1, 8, 0), (100, 1, 0), (100, 2, 2), (100, 4, 3), (100, 64, 4)]
)
def test_only_large_inputs_are_worth_processes(
    monkeypatch: pytest.MonkeyPatch, megabytes: int, processors: int, expected: int
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))

    assert reading._worthwhile_children(replace(deliver(), byte_length=megabytes * 1_000_000)) == expected
