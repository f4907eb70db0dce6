from fastapi.testclient import TestClient

URL = "/api/{{ cookiecutter.__name }}"
{%- for endpoint in cookiecutter.endpoints | endpoints %}


def test_{{ endpoint.function }}(client: TestClient) -> None:
    {{ ['f"{URL}' ~ endpoint.sample ~ '"'] | fitted("response = client." ~ endpoint.method ~ "(", indent=4) }}

    assert response.status_code == 200
{%- if endpoint.method != "head" %}
    assert response.json() == {"endpoint": "{{ endpoint.function }}"}
{%- endif %}
{%- endfor %}
