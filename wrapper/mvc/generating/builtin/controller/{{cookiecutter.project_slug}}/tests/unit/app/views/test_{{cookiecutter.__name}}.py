{{ [cookiecutter.__name] | fitted("from " ~ cookiecutter.package_name ~ ".app.views import ", "") }}


def test_view_has_one_field() -> None:
    {{ ['endpoint="index"'] | fitted("view = " ~ cookiecutter.__name ~ "." ~ cookiecutter.__response ~ "(", indent=4) }}

    assert view.model_dump() == {"endpoint": "index"}
