"""A store made to order: conformant unless told otherwise, with a clock of its own, in any order and page size."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

from record_stores.door import Asked, Door, Reply

Order = Literal["oldest first", "newest first", "none"]


@dataclass(slots=True)
class StoreToOrder:
    """Answers GET /statements. `now` is its clock: what it takes is stored at that instant.

    A statement can be seen from `visible_at` on. With `tells_consistency` it says through when all can be seen, else it relies on
    being given time. `order` none: pages and statements come in another order with every query. `seed` decides that order.
    """

    now: datetime
    order: Order = "oldest first"
    filters_by: Literal["stored", "timestamp"] = "stored"
    most_per_page: int = 100
    tells_consistency: bool = True
    tells_time: bool = True
    seed: int = 0
    held: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    _queries: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def take(self, statements: Sequence[dict[str, Any]], visible_after: timedelta = timedelta(0)) -> None:
        """Store statements now, to be seen a little later."""
        for statement in statements:
            stamped = {**statement, "stored": self.now.isoformat(), "authority": {"mbox": "mailto:store@example.org"}}
            self.held.append((self.now + visible_after, stamped))

    def ids(self) -> set[str]:
        """The ids of all that it was ever given."""
        return {statement["id"] for _, statement in self.held}

    def __call__(self, asked: Asked, door: Door) -> Reply:
        if asked.target.endswith("/about"):
            return self._reply({"version": ["2.0.0", "1.0.3"]})
        given = asked.parameters
        if "page" in given:
            query, _, first = given["page"].rpartition("-")
            found = self._queries[query]
        else:
            query, first = f"q{len(self._queries)}", "0"
            found = self._queries[query] = self._found(given)
        start = int(first)
        size = min(int(given["limit"]), self.most_per_page)
        more = f"/xAPI/statements?page={query}-{start + size}&limit={size}" if start + size < len(found) else ""
        return self._reply({"statements": found[start : start + size], "more": more})

    def _found(self, given: dict[str, str]) -> list[dict[str, Any]]:
        since = datetime.fromisoformat(given["since"]) if "since" in given else None
        until = datetime.fromisoformat(given["until"]) if "until" in given else None
        found = [
            statement
            for visible_at, statement in self.held
            if visible_at <= self.now
            and (since is None or datetime.fromisoformat(statement[self.filters_by]) > since)
            and (until is None or datetime.fromisoformat(statement[self.filters_by]) <= until)
        ]
        if self.order == "none":
            random.Random(f"{self.seed} {len(self._queries)}").shuffle(found)
            return found
        return sorted(found, key=lambda one: str(one["stored"]), reverse=self.order == "newest first")

    def _reply(self, content: object) -> Reply:
        headers = {}
        if self.tells_time:
            headers["Date"] = format_datetime(self.now.astimezone(UTC), usegmt=True)
        if self.tells_consistency:
            unseen = [
                datetime.fromisoformat(statement["stored"])
                for visible_at, statement in self.held
                if visible_at > self.now
            ]
            through = min([*(stored - timedelta(milliseconds=1) for stored in unseen), self.now])
            headers["X-Experience-API-Consistent-Through"] = through.isoformat()
        return Reply(200, {"Content-Type": "application/json", **headers}, json.dumps(content).encode())
