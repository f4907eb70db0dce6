import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from {{ cookiecutter.package_name }}.app.asgi import get_application


def test_settings_reach_the_application(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_PROJECT_NAME", "Payments")
    settings.setenv("FASTAPI_VERSION", "1.2.3")
    settings.setenv("FASTAPI_DEBUG", "true")

    app = get_application()

    assert (app.title, app.version) == ("Payments", "1.2.3")
    assert app.debug


def test_documentation_is_served(client: TestClient) -> None:
    assert client.get("/docs").status_code == 200
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")


def test_documentation_can_be_turned_off(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("FASTAPI_DOCS_URL", "")

    with TestClient(get_application()) as client:
        assert client.get("/docs").status_code == 404
        assert client.get("/openapi.json").status_code == 404


def test_path_of_the_documentation_can_be_percent_encoded(
    settings: pytest.MonkeyPatch,
) -> None:
    settings.setenv("FASTAPI_DOCS_URL", "/the%20docs")

    with TestClient(get_application()) as client:
        assert client.get("/the%20docs").status_code == 200


def test_every_call_builds_a_new_application(app: FastAPI) -> None:
    assert get_application() is not app
