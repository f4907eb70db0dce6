{%- set resource = cookiecutter | resource -%}
{%- set names = resource.names -%}
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

URL = "/api/{{ names.table }}"
{%- for name in ("CREATE", "UPDATE", "INVALID") %}
{{ name }}: dict[str, Any] = {
{%- for entry in resource.samples(loop.index0) %}
    {{ entry }},
{%- endfor %}
}
{%- endfor %}
{%- if resource.referenced %}


@pytest.fixture(autouse=True)
def referenced(store: Callable[..., None]) -> None:
{%- for table, first, second in resource.referenced %}
    store("{{ table }}", {{ first }}, {{ second }})
{%- endfor %}
{%- endif %}


@pytest.fixture
def created(client: TestClient) -> str:
    response = client.post(URL, json=CREATE)
    assert response.status_code == 201
    return response.headers["Location"]


def test_create_then_show(client: TestClient) -> None:
    created = client.post(URL, json=CREATE)
    shown = client.get(created.headers["Location"])

    assert created.status_code == 201
    assert created.json() == {**created.json(), **CREATE}
    assert shown.status_code == 200
    assert shown.json() == created.json()
    assert shown.headers["ETag"] == created.headers["ETag"]


@pytest.mark.parametrize("field", INVALID)
def test_create_with_an_invalid_value(client: TestClient, field: str) -> None:
    response = client.post(URL, json={**CREATE, field: INVALID[field]})

    assert response.status_code == 422
{%- if resource.unique %}


@pytest.mark.usefixtures("created")
def test_create_with_a_taken_value(client: TestClient) -> None:
    response = client.post(URL, json=CREATE)

    assert response.status_code == 409
{%- endif %}
{%- if resource.referenced %}


@pytest.mark.parametrize(
    "field",
    [
{%- for field in resource.fields if field.table %}
        "{{ field.name }}",
{%- endfor %}
    ],
)
def test_create_with_a_reference_to_nothing(client: TestClient, field: str) -> None:
    response = client.post(URL, json={**CREATE, field: 103})

    assert response.status_code == 409
{%- endif %}


def test_index_by_page(client: TestClient, store: Callable[..., None]) -> None:
    store("{{ names.table }}", 401, 402, 403)

    first = client.get(URL, params={"limit": 2, "after": 400}).json()
    last = client.get(URL, params={"limit": 2, "after": first["next"]}).json()

    assert [item["id"] for item in first["items"]] == [401, 402]
    assert [item["id"] for item in last["items"]] == [403]
    assert last["next"] is None
{%- if resource.filters %}


@pytest.mark.parametrize(
    "field",
    [
{%- for field in resource.filters %}
        "{{ field.name }}",
{%- endfor %}
    ],
)
def test_index_by_value(client: TestClient, created: str, field: str) -> None:
    item = client.get(created).json()

    found = client.get(URL, params={field: CREATE[field]}).json()["items"]
    others = client.get(URL, params={field: UPDATE[field]}).json()["items"]

    assert item in found
    assert item not in others
{%- endif %}


def test_show_missing(client: TestClient) -> None:
    assert client.get(f"{URL}/1000").status_code == 404


def test_update(client: TestClient, created: str) -> None:
    before = client.get(created)
    updated = client.patch(created, json=UPDATE)
    shown = client.get(created)

    assert updated.status_code == 200
    assert shown.json() == updated.json() == {**updated.json(), **UPDATE}
    assert shown.headers["ETag"] == updated.headers["ETag"] != before.headers["ETag"]


@pytest.mark.parametrize("field", INVALID)
def test_update_to_an_invalid_value(
    client: TestClient, created: str, field: str
) -> None:
    response = client.patch(created, json={field: INVALID[field]})

    assert response.status_code == 422


def test_update_of_a_stale_version(client: TestClient, created: str) -> None:
    seen = {"If-Match": client.get(created).headers["ETag"]}

    codes = [
        client.patch(created, json=UPDATE, headers=seen).status_code for _ in range(2)
    ]

    assert codes == [200, 412]


def test_delete(client: TestClient, created: str) -> None:
    codes = [
        client.delete(created, headers={"If-Match": '"other"'}).status_code,
        client.delete(created).status_code,
        client.delete(created).status_code,
    ]

    assert codes == [412, 204, 404]
    assert client.get(created).status_code == 404
