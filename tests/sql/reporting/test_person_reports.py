"""Reports for learners, trainers and organizations: whose numbers they tell, who may read them, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reported_schools import Schools, make_schools
from warehouse import SharedServer


@pytest.fixture(scope="module")
def schools(shared_server: SharedServer, template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Schools]:
    with make_schools(shared_server, template, tmp_path_factory.mktemp("reports")) as made:
        yield made


def test_each_kind_of_report_is_written_in_every_format(schools: Schools) -> None:
    with schools.writer() as writer:
        for kind, user_id in (
            ("learner", schools.people("learner")[0]),
            ("trainer", schools.people("trainer")[0]),
            ("organization", None),
        ):
            written = writer.write(schools.wanted(kind, user_id))
            assert written.is_new
            assert written.formats == ("html", "pdf", "csv", "parquet")
