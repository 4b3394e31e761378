"""What a store is asked, and what becomes of answers that are late, broken, too large or lead elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lyceum.errors import ConfigurationError, InputError, RetryableError
from lyceum.lrs.credentials import Credentials
from lyceum.lrs.options import read_options
from lyceum.lrs.reaching import reach_store
from lyceum.lrs.statements import Page, Query, StatementStore, next_address
from lyceum.lrs.transport import ATTEMPTS
from lyceum.organizations import Source
from record_stores.door import Asked, Behaviour, Door, Reply, answers, hangs_up, open_door, zipped

SOURCE = Source(1, "harbor-college", 7, "campus", "xapi", is_active=True, channel="lrs")
QUERY = Query(None, datetime(2026, 3, 9, 6, 0, 0, 123999, tzinfo=UTC), 100)


def a_page(asked: Asked, door: Door) -> Reply:
    """Answer as a store with one statement."""
    return Reply.of({"statements": [{"id": "1"}], "more": ""})


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as opened:
        opened.always = a_page
        yield opened


class Pauses:
    """Waits for nothing and remembers for how long it should have; time goes by as it would have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.elapsed = 0.0

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.elapsed += seconds


@contextlib.contextmanager
def reaching(
    door: Door, pauses: Pauses | None = None, secret: str = "s3cret", **options: Any
) -> Iterator[StatementStore]:
    used = pauses or Pauses()
    stated = {"endpoint": door.endpoint, "authentication": "none", **options}
    with reach_store(
        SOURCE,
        read_options(stated, "The source"),
        lambda name: Credentials(name, "user:1", secret),
        pause=used,
        elapsed=lambda: used.elapsed,
    ) as store:
        yield store


def pages(store: StatementStore) -> list[Page]:
    return list(store.pages(QUERY))


def statements(found: list[Page]) -> list[bytes]:
    return [bytes(statement) for page in found for statement in page.statements]


def test_a_store_is_asked_in_milliseconds_and_in_the_newest_version(door: Door) -> None:
    with reaching(door) as store:
        assert statements(pages(store)) == [b'{"id": "1"}']
        assert store.version == "2.0.0"

    (asked,) = door.asked
    assert asked.parameters == {"until": "2026-03-09T06:00:00.123Z", "limit": "100", "ascending": "true"}
    assert asked.headers["x-experience-api-version"] == "2.0.0"
    assert "authorization" not in asked.headers


def test_an_older_version_is_spoken_where_the_newest_is_refused(door: Door) -> None:
    door.behaviours.append(answers(400))
    with reaching(door) as store:
        pages(store)
        pages(store)
        assert store.version == "1.0.3"

    assert [asked.headers["x-experience-api-version"] for asked in door.asked] == ["2.0.0", "1.0.3", "1.0.3"]


def test_a_store_that_refuses_every_version_is_a_matter_for_a_person(door: Door) -> None:
    door.always = answers(400)
    with reaching(door) as store, pytest.raises(ConfigurationError, match=r"harbor-college/campus.*\(400\)"):
        pages(store)


def a_cut_page(asked: Asked, door: Door) -> Reply:
    """Break off in the middle."""
    reply = a_page(asked, door)
    reply.is_cut = True
    return reply


@pytest.mark.parametrize("trouble", [answers(500), answers(503), answers(429), answers(408), a_cut_page, hangs_up])
def test_trouble_that_may_pass_is_waited_out(door: Door, trouble: Behaviour) -> None:
    door.behaviours.extend([trouble] * 3)
    pauses = Pauses()
    with reaching(door, pauses) as store:
        assert statements(pages(store)) == [b'{"id": "1"}']

    assert pauses.seconds == [1, 2, 4]


def test_trouble_that_stays_is_told_with_the_source_and_can_be_tried_again(door: Door) -> None:
    door.always = answers(502)
    pauses = Pauses()
    with (
        reaching(door, pauses) as store,
        pytest.raises(RetryableError, match=r"harbor-college/campus.*502 Bad Gateway"),
    ):
        pages(store)

    assert (len(door.asked), pauses.seconds) == (ATTEMPTS, [1, 2, 4, 8, 16])


def test_nobody_listening_is_trouble_that_may_pass(door: Door) -> None:
    with (
        reaching(door, endpoint="http://127.0.0.1:9/xAPI") as store,
        pytest.raises(RetryableError, match="ConnectError"),
    ):
        pages(store)


def test_the_store_decides_how_long_to_wait(door: Door) -> None:
    now, later = "Mon, 09 Mar 2026 06:00:00 GMT", "Mon, 09 Mar 2026 06:00:25 GMT"
    door.behaviours.extend([answers(429, Retry_After="7"), answers(503, Retry_After=later, Date=now), answers(503)])
    pauses = Pauses()
    with reaching(door, pauses) as store:
        pages(store)

    assert pauses.seconds == [7, 25, 4]


def test_a_wait_that_is_too_long_is_left_to_the_next_run(door: Door) -> None:
    door.behaviours.append(answers(429, Retry_After="3600"))
    pauses = Pauses()
    with reaching(door, pauses) as store, pytest.raises(RetryableError, match="3,600 seconds"):
        pages(store)

    assert pauses.seconds == []


def test_something_else_than_statements_is_tried_again_and_then_told(door: Door) -> None:
    door.always = lambda asked, opened: Reply(200, {"Content-Type": "text/html"}, b"<html>please log in</html>")
    with reaching(door) as store, pytest.raises(RetryableError, match="text/html that is no StatementResult") as told:
        pages(store)

    assert "log in" not in str(told.value)


def test_compressed_answers_are_read(door: Door) -> None:
    with open_door(door.endpoint) as compressing:
        compressing.always = zipped
        with reaching(compressing) as store:
            assert statements(pages(store)) == [b'{"id": "1"}']
    assert compressing.asked[0].headers["accept-encoding"] == "gzip"


def test_an_answer_that_is_too_large_is_refused_however_small_it_came(door: Door) -> None:
    door.always = lambda asked, opened: Reply.of({"statements": [{"id": "0" * 200_000}]})
    with open_door(door.endpoint) as compressing:
        compressing.always = zipped
        with (
            reaching(compressing, maximum_page_bytes=65_536) as store,
            pytest.raises(InputError, match=r"65,536 bytes.*page_size"),
        ):
            pages(store)


@pytest.mark.parametrize(
    "more",
    [
        "/xAPI/statements?page=2",
        "{endpoint}/statements?page=2",
        "?page=2",
        "statements?page=2",
        "//{host}/xAPI/statements?page=2",
    ],
)
def test_the_next_page_is_followed_in_any_spelling_of_the_same_host(door: Door, more: str) -> None:
    host = door.endpoint.removeprefix("http://").removesuffix("/xAPI")
    spelled = more.format(endpoint=door.endpoint, host=host)
    door.behaviours.append(lambda asked, opened: Reply.of({"statements": [{"id": "0"}], "more": spelled}))
    with reaching(door) as store:
        assert statements(pages(store)) == [b'{"id": "0"}', b'{"id": "1"}']

    assert door.asked[1].target == "/xAPI/statements?page=2"
    assert door.asked[1].headers["x-experience-api-version"] == "2.0.0"


@pytest.mark.parametrize(
    "more",
    [
        "https://elsewhere.example/xAPI/statements?page=2",
        "//elsewhere.example/statements",
        "https://lrs.example.edu:8443/xapi/statements",
        "https://lrs.example.edu.elsewhere.example/xapi",
        "https://user@elsewhere.example/xapi",
        "ftp://lrs.example.edu/xapi",
        "file:///etc/passwd",
        "https://[broken/xapi",
    ],
)
def test_the_next_page_is_never_followed_to_another_host(more: str) -> None:
    with pytest.raises(InputError, match="The store"):
        next_address(
            more, "https://lrs.example.edu/xapi/statements?limit=1", "https://lrs.example.edu/xapi", "The store"
        )


def test_a_store_behind_a_proxy_that_ends_tls_is_followed_under_its_own_address() -> None:
    more = "http://lrs.example.edu/xapi/statements?page=2"
    followed = next_address(
        more, "https://lrs.example.edu/xapi/statements", "https://lrs.example.edu/xapi", "The store"
    )

    assert followed == "https://lrs.example.edu/xapi/statements?page=2"


@pytest.mark.parametrize(("found", "asked"), [([{"id": "1"}], 3), ([], 102)])
def test_pages_without_end_are_left(door: Door, found: list[object], asked: int) -> None:
    door.always = lambda _, opened: Reply.of({"statements": found, "more": "/xAPI/statements?page=same"})
    with reaching(door) as store, pytest.raises(InputError, match="pages without end"):
        pages(store)

    assert len(door.asked) == asked


def test_a_store_may_remember_itself_how_far_it_is(door: Door) -> None:
    left = iter(
        [
            *({"statements": [{"id": str(number)}], "more": "/xAPI/statements/more"} for number in range(3)),
            {"statements": []},
        ]
    )
    door.always = lambda _, opened: Reply.of(next(left))
    with reaching(door) as store:
        assert len(statements(pages(store))) == 3


def test_a_next_page_that_has_expired_is_left_to_the_next_pull(door: Door) -> None:
    door.behaviours.append(lambda asked, opened: Reply.of({"statements": [], "more": "/xAPI/statements?page=2"}))
    door.behaviours.append(answers(404))
    with reaching(door) as store, pytest.raises(RetryableError, match="no longer knows the next page"):
        pages(store)


def test_a_redirect_is_not_followed(door: Door) -> None:
    door.always = answers(302, Location="https://elsewhere.example/xapi")
    with reaching(door) as store, pytest.raises(ConfigurationError, match=r"redirect \(302\)"):
        pages(store)


def test_user_and_password_go_with_every_page(door: Door) -> None:
    door.behaviours.append(lambda asked, opened: Reply.of({"statements": [], "more": "/xAPI/statements?page=2"}))
    with reaching(door, authentication="basic", credentials="campus", secret="pass:wörd") as store:
        pages(store)

    assert [asked.basic for asked in door.asked] == ["user:1:pass:wörd"] * 2


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_named_and_not_tried_again(door: Door, status: int) -> None:
    door.always = answers(status)
    with (
        reaching(door, authentication="basic", credentials="campus") as store,
        pytest.raises(ConfigurationError, match=rf"\({status}\).*'campus'") as told,
    ):
        pages(store)

    assert len(door.asked) == 1
    assert "s3cret" not in str(told.value)


class Tokens:
    """A store that lets in who shows the latest token, and the endpoint that grants tokens."""

    def __init__(self, lifetime: int | None = 3600, *, reads_form: bool = False) -> None:
        self.granted = 0
        self.lifetime = lifetime
        self.reads_form = reads_form
        self.forms: list[bytes] = []

    def __call__(self, asked: Asked, door: Door) -> Reply:
        if asked.target == "/token":
            return self.grant(asked)
        if asked.headers.get("authorization") != f"Bearer token{self.granted}":
            return Reply.of({}, 401)
        return a_page(asked, door)

    def grant(self, asked: Asked) -> Reply:
        shown = b"client_secret=s3cret" in asked.body if self.reads_form else asked.basic == "user%3A1:s3cret"
        if not shown:
            return Reply.of({"error": "invalid_client"}, 401)
        self.forms.append(asked.body)
        self.granted += 1
        lifetime = {} if self.lifetime is None else {"expires_in": self.lifetime}
        return Reply.of({"access_token": f"token{self.granted}", "token_type": "bearer", **lifetime})


@contextlib.contextmanager
def reaching_with_tokens(door: Door, pauses: Pauses, **options: Any) -> Iterator[StatementStore]:
    token_endpoint = door.endpoint.removesuffix("/xAPI") + "/token"
    with reaching(
        door, pauses, authentication="oauth2", credentials="campus", token_endpoint=token_endpoint, **options
    ) as store:
        yield store


@pytest.mark.parametrize("reads_form", [False, True])
def test_a_token_is_fetched_once_and_shown_with_every_page(door: Door, reads_form: bool) -> None:
    door.always = tokens = Tokens(reads_form=reads_form)
    with reaching_with_tokens(door, Pauses(), scope="statements/read") as store:
        assert len(pages(store)) == len(pages(store)) == 1

    assert tokens.granted == 1
    assert b"grant_type=client_credentials&scope=statements%2Fread" in tokens.forms[0]


def test_a_token_is_renewed_before_it_expires(door: Door) -> None:
    door.always = tokens = Tokens(lifetime=100)
    pauses = Pauses()
    with reaching_with_tokens(door, pauses) as store:
        pages(store)
        pauses(69)
        pages(store)
        assert tokens.granted == 1
        pauses(2)
        pages(store)
        assert tokens.granted == 2


def test_a_token_that_is_refused_is_renewed_once(door: Door) -> None:
    door.always = tokens = Tokens()
    with reaching_with_tokens(door, Pauses()) as store:
        pages(store)
        tokens.granted += 1  # the store has forgotten the token that it granted
        assert len(pages(store)) == 1

    assert tokens.granted == 3


def test_a_store_that_refuses_every_token_is_a_matter_for_a_person(door: Door) -> None:
    tokens = Tokens()
    door.always = lambda asked, opened: tokens(asked, opened) if asked.target == "/token" else Reply.of({}, 401)
    with reaching_with_tokens(door, Pauses()) as store, pytest.raises(ConfigurationError, match=r"\(401\).*'campus'"):
        pages(store)

    assert tokens.granted == 2


def test_a_client_that_gets_no_token_is_named(door: Door) -> None:
    door.always = Tokens()
    with (
        reaching_with_tokens(door, Pauses(), secret="wrong") as store,
        pytest.raises(ConfigurationError, match="refuses the credentials 'campus'") as told,
    ):
        pages(store)

    assert "wrong" not in str(told.value)


def test_what_a_store_says_about_itself_is_read(door: Door) -> None:
    said = Reply.of(
        {"statements": []},
        Date="Mon, 09 Mar 2026 06:00:00 GMT",
        X_Experience_API_Consistent_Through="2026-03-09T05:59:30.5+00:00",
    )
    door.always = lambda asked, opened: (
        said if "statements" in asked.target else Reply.of({"version": ["1.0.3", "2.0.0"]})
    )
    with reaching(door) as store:
        (page,) = pages(store)
        about = store.about()

    assert about == ("1.0.3", "2.0.0")
    assert page.server_time == datetime(2026, 3, 9, 6, tzinfo=UTC)
    assert page.consistent_through == datetime(2026, 3, 9, 5, 59, 30, 500000, tzinfo=UTC)
