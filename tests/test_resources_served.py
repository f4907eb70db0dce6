"""Generated resources, served from both databases."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from postgresql import Empire, EmpireService, serving
from support import fuzz, run

pytestmark = pytest.mark.slow

AUTHORS, POSTS, COMMENTS = "/api/authors", "/api/blog_posts", "/api/comments"
POST: dict[str, Any] = {
    "title": "One",
    "text": "Two\nlines",
    "rank": 1,
    "views": 2**40,
    "score": 0.1,
    "price": "12345678901234.5678",
    "hidden": False,
    "day": "2026-01-31",
    "published_at": "2026-01-31T12:00:00.5Z",
    "token": "12345678-1234-5678-1234-567812345678",
    "extra": {"a": [1, 2.5, None, "\N{SNOWMAN}"]},
    "author_id": 1,
}


# A schema cannot express which entity tags are current.
SCHEMATHESIS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "412", "5xx"]
"""


class Answer(NamedTuple):
    """The status code, the body and the headers."""

    code: int
    body: Any
    headers: Any


class Client:
    """A JSON client of a service that tests can restart."""

    def __init__(self, start: Callable[[], EmpireService]) -> None:
        """Start the service."""
        self.start = start
        self.service = start()

    def restart(self) -> None:
        """Restart the service with the same database."""
        self.service.kill()
        self.service = self.start()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; underscores in header names become hyphens."""
        content = None if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        json_type = {"Content-Type": "application/json"}
        code, text, found = self.service.request(method, path, content, json_type | sent)
        return Answer(code, json.loads(text) if text else None, found)

    def author(self) -> int:
        """Store an author with a new name; return the id."""
        number = len(self("GET", f"{AUTHORS}?limit=100").body["items"])
        return int(self("POST", AUTHORS, {"name": f"Name {number}", "e_mail": "a@b"}).body["id"])


@pytest.fixture
def client(grown: Empire, url: str, tmp_path: Path) -> Iterator[Client]:
    variables = {"FASTAPI_DATABASE_URL": url, "FASTAPI_WORKERS": "2"}
    grown.migrate(**variables)
    with serving(tmp_path) as serve:
        yield Client(lambda: serve(grown, **variables))


def test_every_answer_conforms_to_the_schema(client: Client, tmp_path: Path) -> None:
    client.author()
    client("POST", POSTS, POST)
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS, "utf-8")

    # The schema of JSON fields cannot express that they must not contain NUL, see INVALID.
    fuzz(client.service, tmp_path, "--generation-allow-x00", "false")

    assert "Traceback" not in client.service.logged()


def test_created_row_is_shown_changed_and_deleted(client: Client) -> None:
    client.author()

    created = client("POST", POSTS, POST)
    shown = client("GET", created.headers["Location"])
    assert (created.code, created.headers["Location"]) == (201, f"{POSTS}/1")
    assert shown.body == created.body
    assert {**created.body, **POST, "published_at": "2026-01-31T12:00:00.500000Z"} == shown.body
    assert shown.headers["ETag"] == created.headers["ETag"]

    changed = client("PATCH", f"{POSTS}/1", {"title": "Two", "price": "-0.1"})
    assert changed.code == 200
    assert (changed.body["title"], changed.body["price"]) == ("Two", "-0.1000")
    assert changed.headers["ETag"] != created.headers["ETag"]
    assert client("GET", f"{POSTS}/1").body == changed.body

    assert client("DELETE", f"{POSTS}/1")[:2] == (204, None)
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert client(method, f"{POSTS}/1", body).code == 404


DEFAULTS = {
    "kind": "note",
    "body": 'it\'s "new"',
    "votes": -3,
    "reads": 0,
    "weight": 1e16,
    "fee": "0.1000",
    "open": True,
    "date": "2026-01-31",
    "due_at": "2026-01-31T10:00:00Z",
    "thread": "12345678-1234-5678-1234-567812345678",
    "tags": ["a", {"b": 1e16}],
    "options": {},
    "labels": [],
    "comment_id": None,
    "author_id": None,
    "order": None,
}
EXECUTE = """
import asyncio, sys
from sqlalchemy import text
from galactic_empire.app.utils import Database

async def run():
    async with Database.transaction() as session:
        await session.execute(text(sys.argv[1]))
    await Database.close_engine()

asyncio.run(run())
"""


def test_defaults_are_those_of_the_code_and_of_the_server(
    client: Client, grown: Empire, url: str
) -> None:
    client.author()
    client("POST", POSTS, POST)
    created = client("POST", COMMENTS, {"blog_post_id": 1}).body

    # Insert as code that is older than these columns would.
    now = "'2026-01-31 12:00:00.000000'"
    insert = (
        "INSERT INTO comments (blog_post_id, created_at, updated_at, version) "
        f"VALUES (1, {now}, {now}, 1)"
    )
    run(grown.python, "-c", EXECUTE, insert, cwd=grown.path, FASTAPI_DATABASE_URL=url)
    inserted = client("GET", f"{COMMENTS}/2").body

    assert {key: created[key] for key in DEFAULTS} == DEFAULTS
    assert {key: inserted[key] for key in DEFAULTS} == DEFAULTS


INVALID = [
    *(("title", value) for value in ("", "x" * 256, "a\0", 1, None)),
    *(("rank", value) for value in (2**31, -(2**31) - 1, "1", 1.5, True)),
    *(("views", value) for value in (2**63, -(2**63) - 1)),
    *(("score", value) for value in (float("nan"), float("inf"), "1")),
    *(("price", value) for value in (1, "123456789012345", "0.00001", "1e3")),
    *(("hidden", value) for value in ("no", 1)),
    *(("day", value) for value in ("2026-02-30", 0)),
    *(("published_at", value) for value in ("2026-01-31T12:00:00", "0001-12-31T23:00:00Z")),
    ("token", "1234"),
    *(("extra", value) for value in (None, ["\0"], {"\0": 1}, [float("nan")])),
    *(("author_id", value) for value in (0, 2**63, None)),
    ("unknown", 1),
]


def test_invalid_value_is_a_422(client: Client) -> None:
    client.author()
    client("POST", POSTS, POST)

    for field, value in INVALID:
        created = client("POST", POSTS, {**POST, field: value})
        changed = client("PATCH", f"{POSTS}/1", {field: value})
        assert (field, value, created.code, changed.code) == (field, value, 422, 422)
    for query in ("limit=0", "limit=101", "after=-1", f"after={2**63}", "rank=x", "day=x"):
        assert client("GET", f"{POSTS}?{query}").code == 422
    for key in ("0", "x", str(2**63)):
        assert client("GET", f"{POSTS}/{key}").code == 422


def test_conflict_with_other_rows_is_a_409(client: Client) -> None:
    author = client.author()
    assert client("POST", POSTS, POST).code == 201
    other = {**POST, "rank": 2, "day": "2026-02-01", "token": POST["token"].replace("1", "2")}

    assert client("POST", POSTS, POST).code == 409
    assert client("POST", POSTS, {**other, "rank": 1}).code == 409
    assert client("POST", POSTS, {**other, "author_id": 99}).code == 409
    second = client("POST", POSTS, other).headers["Location"]
    assert client("PATCH", f"{POSTS}/1", {"rank": 2}).code == 409
    assert client("DELETE", f"{AUTHORS}/{author}").code == 409
    for path in (f"{POSTS}/1", second, f"{AUTHORS}/{author}"):
        assert client("DELETE", path).code == 204


def test_stale_entity_tag_changes_nothing(client: Client) -> None:
    path = f"{AUTHORS}/{client.author()}"
    seen = client("GET", path).headers["ETag"]
    client.restart()

    assert client("PATCH", path, {"born": "2001-02-03"}, If_Match=seen).code == 200
    for tag in (seen, f"W/{seen}", "seen", ""):
        assert client("PATCH", path, {"born": None}, If_Match=tag).code == 412
        assert client("DELETE", path, If_Match=tag).code == 412
    now = client("GET", path).headers["ETag"]
    assert client("PATCH", path, {"born": None}, If_Match=f'"x", {now}').code == 200
    assert client("DELETE", path, If_Match="*").code == 204
    # A later author can have the same id, but not the same tag.
    assert client("GET", f"{AUTHORS}/{client.author()}").headers["ETag"] not in (seen, now)


def test_of_concurrent_updates_only_one_succeeds(client: Client) -> None:
    path = f"{AUTHORS}/{client.author()}"

    def update(headers: dict[str, str]) -> int:
        return client("PATCH", path, {"born": None, "e_mail": f"{headers}"}, **headers).code

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            client("PATCH", path, {"e_mail": "first"})
            seen = {"If-Match": client("GET", path).headers["ETag"]}
            assert sorted(pool.map(update, [seen] * 8)) == [200, *[412] * 7]
        assert [*pool.map(update, [{}] * 8)] == [200] * 8


def test_rows_that_refer_to_each_other_are_changed_concurrently(client: Client) -> None:
    client.author()
    client("POST", POSTS, POST)
    for _ in range(2):
        client("POST", COMMENTS, {"blog_post_id": 1})

    def update(ids: tuple[int, int]) -> int:
        return client("PATCH", f"{COMMENTS}/{ids[0]}", {"comment_id": ids[1]}).code

    # Most rounds would deadlock if the lock of a row blocked references to it.
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            assert [*pool.map(update, [(1, 2), (2, 1)])] == [200, 200]
            for number in (1, 2):
                client("PATCH", f"{COMMENTS}/{number}", {"comment_id": None})


def test_page_neither_skips_nor_repeats_while_rows_come_and_go(client: Client) -> None:
    ids = [client.author() for _ in range(20)]
    staying = {number for number in ids if number % 3}
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = client("GET", f"{AUTHORS}?limit=3&after={after}").body
        seen += [item["id"] for item in page["items"]]
        after = page["next"]
        leaving = [number for number in ids if number not in staying]
        if leaving:
            ids.remove(leaving[len(seen) % len(leaving)])
            client("DELETE", f"{AUTHORS}/{leaving[len(seen) % len(leaving)]}")
            client("POST", AUTHORS, {"name": f"New {len(seen)}", "e_mail": "a@b"})

    assert seen == sorted(set(seen))
    assert staying <= set(seen)


def test_pages_are_filtered_by_indexed_fields(client: Client) -> None:
    client.author()
    client("POST", POSTS, POST)
    indexed = ("rank", "views", "score", "price", "hidden", "day", "published_at", "token")

    for field in (*indexed, "author_id"):
        value = json.dumps(POST[field]).strip('"')
        assert [each["id"] for each in client("GET", f"{POSTS}?{field}={value}").body["items"]]
    for query in ("rank=2", "price=1", "hidden=true", "author_id=2", "day=2026-02-01"):
        assert client("GET", f"{POSTS}?{query}").body == {"items": [], "next": None}
