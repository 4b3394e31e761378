"""Measure the xAPI adapter alone, on one core: statements per second, and where the time goes.

    .venv/bin/python bench/parse_xapi.py [FILE …] [--rounds N]

Without a file it writes statements of several shapes itself: video events as a video player sends them (few distinct
objects), quiz answers whose objects never repeat (nothing to remember), and video events that only the thorough reading
takes (a property that xAPI does not know). Reports the best of the rounds by processor time, which other work on the
machine disturbs least.
"""

from __future__ import annotations

import argparse
import gzip
import hmac
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from lyceum.adapters.xapi.blocks import read_blocks
from lyceum.adapters.xapi.inputs import open_inputs
from lyceum.adapters.xapi.reader import StatementReader
from lyceum.adapters.xapi.splitting import split
from lyceum.adapters.xapi.structure import Statement, decoder, encoder

VIDEO = "https://w3id.org/xapi/video/"
COUNT = 20_000


class Hasher:
    """HMAC-SHA256 under a fixed key."""

    def hash(self, identifier: str) -> bytes:
        """Return the keyed hash."""
        return hmac.digest(bytes(32), identifier.encode(), "sha256")


def video_events(count: int, source: random.Random) -> Iterator[dict[str, Any]]:
    """Statements of about 1.2 kB, as the players of a MOOC send them."""
    for _ in range(count):
        moments = sorted(round(source.uniform(0, 600), 3) for _ in range(2 * source.randint(1, 4)))
        segments = "[,]".join(f"{start}[.]{end}" for start, end in zip(moments[::2], moments[1::2], strict=True))
        yield {
            **_plain(source),
            "verb": {"id": f"{VIDEO}verbs/paused", "display": {"en-US": "paused"}},
            "object": _video(source.randint(1, 30)),
            "context": {
                "extensions": {f"{VIDEO}extensions/session-id": str(UUID(int=source.getrandbits(128), version=4))},
                "contextActivities": {
                    "category": [{"id": "https://w3id.org/xapi/video"}],
                    "parent": [
                        {
                            "id": "course-v1:example+00001+session01",
                            "objectType": "Activity",
                            "definition": {"type": "http://adlnet.gov/expapi/activities/course"},
                        }
                    ],
                },
            },
            "result": {
                "extensions": {
                    f"{VIDEO}extensions/time": moments[-1],
                    f"{VIDEO}extensions/length": 612.48,
                    f"{VIDEO}extensions/progress": round(moments[-1] / 612.48, 3),
                    f"{VIDEO}extensions/played-segments": segments,
                }
            },
        }


def quiz_answers(count: int, source: random.Random) -> Iterator[dict[str, Any]]:
    """Statements whose objects, instructors and scores never repeat."""
    for number in range(count):
        yield {
            **_plain(source),
            "verb": {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en-US": "answered"}},
            "object": {
                "id": f"https://lms.example.org/quiz/{number}",
                "definition": {
                    "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
                    "name": {"en-US": f"Question {number}"},
                    "interactionType": "choice",
                    "correctResponsesPattern": ["b"],
                    "choices": [{"id": letter, "description": {"en-US": f"Answer {letter}"}} for letter in "abcd"],
                },
            },
            "context": {
                "instructor": {"objectType": "Agent", "name": "T", "mbox": f"mailto:teacher{number}@example.org"},
                "contextActivities": {"parent": [{"id": f"https://lms.example.org/unit/{number}"}]},
            },
            "result": {"score": {"scaled": source.random(), "raw": 5}, "success": True, "response": "b"},
        }


def _plain(source: random.Random) -> dict[str, Any]:
    account = {"name": str(UUID(int=source.randint(1, 5000))), "homePage": "https://lms.example.org"}
    return {
        "id": str(UUID(int=source.getrandbits(128), version=4)),
        "actor": {"objectType": "Agent", "account": account},
        "timestamp": f"2026-03-{source.randint(1, 28):02}T10:{source.randint(0, 59):02}:00.{source.randint(0, 999999):06}+00:00",
    }


def _video(number: int) -> dict[str, Any]:
    return {
        "definition": {"type": f"{VIDEO}activity-type/video", "name": {"en-US": f"Video {number}"}},
        "id": f"uuid://{UUID(int=number)}",
        "objectType": "Activity",
    }


def write_samples(folder: Path) -> list[Path]:
    """Write the three shapes as NDJSON, and the video events as gzip and as one array too."""
    videos = list(video_events(COUNT, random.Random(1)))
    shapes = {
        "video events": videos,
        "quiz answers": list(quiz_answers(COUNT, random.Random(2))),
        "unknown property": [{**one, "_id": {"$oid": "5f"}} for one in videos],
    }
    paths = []
    for name, statements in shapes.items():
        path = folder / f"{name}.ndjson"
        path.write_text("".join(json.dumps(one) + "\n" for one in statements))
        paths.append(path)
    array, packed = folder / "video events.json", folder / "video events.ndjson.gz"
    array.write_text(json.dumps(videos))
    packed.write_bytes(gzip.compress(paths[0].read_bytes()))
    return [*paths, array, packed]


def best(rounds: int, work: Callable[[], object]) -> float:
    """Return the least processor time of a piece of work in seconds."""
    times = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def measure(path: Path, rounds: int) -> None:
    """Print a line on the whole adapter, and one on its stages."""
    (one,) = open_inputs(path)

    def read_all() -> tuple[int, int]:
        records = refused = 0
        for chunk in one.chunks(1, Hasher()):
            records += chunk.records_read
            refused += len(chunk.refusals)
        return records, refused

    with path.open("rb") as stream:
        records = [record for found in split(read_blocks(stream)) for record in found if isinstance(record, bytes)]
    count, refused = read_all()

    def cut() -> None:
        with path.open("rb") as stream:
            for _ in split(read_blocks(stream)):
                pass

    def read_records() -> None:
        reader = StatementReader(Hasher())
        for ordinal, record in enumerate(records, 1):
            reader.read(record, ordinal)

    decode = decoder(Statement).decode
    statements: list[Statement] = []

    def decode_records() -> None:
        statements[:] = map(decode, records)

    seconds = best(rounds, read_all)
    micro = 1e6 / count
    size = sum(map(len, records)) / count
    print(f"{path.name:28} {count / seconds:9,.0f} statements/s  ({count:,} of {size:,.0f} bytes, {refused} refused)")
    stages = {"unpack and split": best(rounds, cut), "read": best(rounds, read_records)}
    try:
        stages["of it: decode"] = best(rounds, decode_records)
        stages["of it: encode"] = best(rounds, lambda: [encoder.encode(one) for one in statements])
    except msgspec.MsgspecError:
        pass
    print("    µs each: " + ", ".join(f"{name} {seconds * micro:.2f}" for name, seconds in stages.items()))


def main() -> None:
    """Measure the files named, or samples."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("files", nargs="*", type=Path)
    arguments.add_argument("--rounds", type=int, default=5)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for path in chosen.files or write_samples(Path(folder)):
            measure(path, chosen.rounds)


if __name__ == "__main__":
    main()
