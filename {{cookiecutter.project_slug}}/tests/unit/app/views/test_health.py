from {{ cookiecutter.package_name }}.app.views.health import HealthResponse


def test_view_has_one_field() -> None:
    assert HealthResponse(status="ok").model_dump() == {"status": "ok"}
