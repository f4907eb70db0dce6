from fastapi.testclient import TestClient

URL = "/api/{{ cookiecutter.__name }}"
{%- if "uuid" in cookiecutter.endpoints | endpoints | map(attribute="convertors") | sum(start=[]) %}
UUID = "00000000-0000-0000-0000-000000000000"
{%- endif %}
{%- for endpoint in cookiecutter.endpoints | endpoints %}


def test_{{ endpoint.function }}(client: TestClient) -> None:
    response = client.{{ endpoint.method }}(
        {{ endpoint.url }},
    )

    assert response.status_code == 200
{%- if endpoint.method != "head" %}
    assert response.json() == {"endpoint": "{{ endpoint.function }}"}
{%- endif %}
{%- endfor %}
