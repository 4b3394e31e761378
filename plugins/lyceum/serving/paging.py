"""Pages by keyset: the next page begins after the last row of this one, whatever was published in between.

A cursor holds the sort order and the last row's value and id. It is no secret and no right: everything in it is bound as a
parameter, and policies decide what the page shows.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import msgspec

from lyceum.serving.problems import Problem, invalid
from lyceum.serving.transactions import Statement

Direction = Literal["asc", "desc"]

_LONGEST = 400


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    listing: str
    sort: str
    value: str | None
    key: int


@dataclass(frozen=True, slots=True)
class Order:
    """How a listing is sorted: `sort` is the parameter, such as `-event_count`, `column` a column of the rows, `key` their id."""

    sort: str
    column: str
    direction: Direction
    key: str

    @classmethod
    def by(cls, sort: str, allowed: Sequence[str], key: str) -> Order:
        """Read the parameter `sort`. Raises `Problem` (422) for a column that is not allowed."""
        column = sort.removeprefix("-")
        if column not in allowed:
            raise invalid(
                "query.sort", f"Expected one of {', '.join(allowed)}, or one with - before it for descending."
            )
        return cls(sort, column, "desc" if sort.startswith("-") else "asc", key)


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page of a listing: up to `limit` rows in this order, after the cursor's row."""

    listing: str
    order: Order
    limit: int
    after: _Cursor | None

    @classmethod
    def of(cls, listing: str, order: Order, limit: int, cursor: str | None) -> Paging:
        """Read the parameter `cursor`. Raises `Problem` (422) when it is none of this listing in this order."""
        return cls(listing, order, limit, None if cursor is None else _read(cursor, listing, order.sort))

    def statement(self, rows: str, parameters: Mapping[str, Any]) -> Statement:
        """Return the statement for the page of a query `rows`, with one row more to see whether there is another page.

        Nulls come last in either direction.
        """
        column, key, direction = self.order.column, self.order.key, self.order.direction
        after = ""
        bound = dict(parameters)
        if self.after is not None:
            bound |= {"after_key": self.after.key}
            if self.after.value is None:
                after = f"where {column} is null and {key} > %(after_key)s"
            else:
                bound |= {"after": self.after.value}
                beyond = ">" if direction == "asc" else "<"
                after = (
                    f"where {column} {beyond} %(after)s or {column} is null"
                    f" or ({column} = %(after)s and {key} > %(after_key)s)"
                )
        return Statement(
            f"select * from ({rows}) as listed {after} order by {column} {direction} nulls last, {key} limit {self.limit + 1}",  # noqa: S608
            bound,
        )

    def cut(self, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
        """Return the rows of the page, and the cursor of the next one if there is one."""
        if len(rows) <= self.limit:
            return rows, None
        shown = rows[: self.limit]
        last = shown[-1]
        value = last[self.order.column]
        cursor = _Cursor(self.listing, self.order.sort, _text(value), last[self.order.key])
        return shown, base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def broken_cursor() -> Problem:
    """Return the problem of a cursor that was changed or belongs elsewhere."""
    return invalid(
        "query.cursor",
        "Expected the next_cursor of an answer to this very listing in this order; leave it out to begin anew.",
    )


def _read(text: str, listing: str, sort: str) -> _Cursor:
    try:
        if len(text) > _LONGEST:
            raise broken_cursor()
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise broken_cursor() from None
    if cursor.listing != listing or cursor.sort != sort or not -(2**63) <= cursor.key < 2**63:
        raise broken_cursor()
    if cursor.value is not None and "\0" in cursor.value:
        raise broken_cursor()
    return cursor


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value)
