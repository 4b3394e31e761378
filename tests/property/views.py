"""The materialized views beside what the oracle says they must show, after every build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import note

from lyceum import organizations
from lyceum.identity import organization_hasher
from lyceum.views import VIEWS, refresh
from oracle.figures import Row
from oracle.views import Pair, learner_summary, organization_metrics
from property.comparison import Comparison, Organization
from property.deliveries import DeliveryMachine
from property.population import IDENTIFIERS
from property.product import Names, Product, differences
from warehouse import Warehouse


class ViewedProduct(Product):
    """The product with its views."""

    def refresh(self, as_of: datetime) -> None:
        """Refresh both views."""
        for view in VIEWS.values():
            refresh(self._lent.target, self._lent.settings, view, as_of, "property")

    def learner_summary(self, slug: str, names: Names) -> dict[Pair, Row]:
        """`mv_learner_analytics_summary`."""
        return {
            Pair(names.users[row["learner_id"]], names.courses[row["course_id"]]): _exactly(
                row, {"organization_id", "learner_id", "course_id"}
            )
            for row in self._dictionaries(
                "select * from stage_three.mv_learner_analytics_summary where organization_id = %(organization)s", slug
            )
        }

    def organization_metrics(self, slug: str) -> Row | None:
        """`mv_organization_metrics`."""
        rows = self._dictionaries(
            "select * from stage_three.mv_organization_metrics where organization_id = %(organization)s", slug
        )
        assert len(rows) <= 1
        return _exactly(rows[0], {"organization_id"}) if rows else None


class WholeProduct(ViewedProduct):
    """The one organization of a warehouse, whose people and courses are found by their identifiers."""

    def names(self, slug: str, learners: Iterable[str], courses: Iterable[str]) -> Names:
        with self._lent.connect() as connection:
            found = organizations.find_organization(connection, slug)
            self._ids[slug] = found.organization_id
            hasher = organization_hasher(connection, self._lent.settings, found.organization_id)
        users = {
            bytes(value): user
            for value, user in self._rows(
                "select identity_hash, user_id from core.user_identities where organization_id = %(organization)s", slug
            )
        }
        ids = {activity: course for course, activities in self.courses(slug).items() for activity in activities}
        unassigned = [course for course, activities in self.courses(slug).items() if not activities]
        return Names(
            {users[hasher.hash(learner)]: learner for learner in learners},
            {ids[course]: course for course in courses} | dict.fromkeys(unassigned),
        )


class ViewComparison(Comparison):
    """Refreshes the views after every build and compares them, too."""

    product: ViewedProduct

    def __init__(
        self, lent: Warehouse, tell: Callable[[str], None] = print, identifiers: Sequence[str] = IDENTIFIERS
    ) -> None:
        super().__init__(ViewedProduct(lent, identifiers), tell)
        self.rows_compared = 0

    def build(self, as_of: datetime) -> None:
        super().build(as_of)
        self.product.refresh(as_of)
        for organization in self.organizations:
            self._compare_views(organization, as_of)

    def _compare_views(self, organization: Organization, as_of: datetime) -> None:
        figures = organization.expected.figures()
        names = self._names_of(organization)
        found = self.product.learner_summary(organization.slug, names)
        if not figures.stage_three and organization.sources:
            # Nothing was ever published of these days but who is enrolled; the oracle tells no figures without events.
            return
        last_closed = organization.expected.closed_through
        expected = learner_summary(figures, last_closed)
        self._require("learner summary", expected, found)
        ids = {name: course for course, name in names.courses.items()}
        metrics = organization_metrics(figures, last_closed, lambda course: ids[course])
        shown = self.product.organization_metrics(organization.slug)
        if shown is not None:
            data_as_of = shown.pop("data_as_of")
            assert data_as_of <= as_of
            assert organization.calendar.last_closed_day(data_as_of) == last_closed
        self._require(
            "organization metrics", {} if metrics is None else {"": metrics}, {} if shown is None else {"": shown}
        )
        self.rows_compared += len(expected)

    def _require(self, what: str, expected: dict[Any, Row], found: dict[Any, Row]) -> None:
        lines = differences(expected, found)
        if lines:
            raise AssertionError("\n".join([f"{what} differs:", *lines]))


class ViewMachine(DeliveryMachine):
    """Delivers histories in every way it can think of and holds the views against the oracle, too."""

    def __init__(self, lend: Callable[[], AbstractContextManager[Warehouse]]) -> None:
        lent: list[Warehouse] = []

        class Remembering(AbstractContextManager[Warehouse]):
            def __init__(self) -> None:
                self._inner = lend()

            def __enter__(self) -> Warehouse:
                lent.append(self._inner.__enter__())
                return lent[0]

            def __exit__(self, *error: Any) -> bool | None:
                return self._inner.__exit__(*error)

        super().__init__(Remembering)
        self._comparison = ViewComparison(lent[0], note)


def _exactly(row: dict[str, Any], keys: set[str]) -> Row:
    """Everything that is not null, exactly."""
    return {column: _exact(value) for column, value in row.items() if value is not None and column not in keys}


def _exact(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact(one) for one in value]
    if isinstance(value, Decimal):
        return Fraction(value)
    return value.astimezone(UTC) if isinstance(value, datetime) else value
