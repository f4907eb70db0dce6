from pathlib import Path

import pytest
from pydantic import TypeAdapter

from {{ cookiecutter.package_name }}.config import types


@pytest.mark.parametrize(
    "value", ["db", "a_1.example.com.", "bücher.example", "10.0.0.1", "::1"]
)
def test_host_is_a_name_or_an_address(value: str) -> None:
    assert types.host(value) == value


@pytest.mark.parametrize(
    "value", ["", " db", "a..b", "-a", "a-", "10.0.0.999", "[::1]", "a:1", "a/b"]
)
def test_invalid_host_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"^must be only a host name or an IP"):
        types.host(value)


@pytest.mark.parametrize("value", ["", "/docs", "/a b/%2F", "/caf\u00e9"])
def test_path_can_be_published(value: str) -> None:
    assert TypeAdapter(types.UrlPath).validate_python(value) == value


@pytest.mark.parametrize("value", ["/", "a", "/a/", "//a", "/%", "/a\x9b", "/a\n"])
def test_invalid_path_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"must be empty, or begin with a slash"):
        TypeAdapter(types.UrlPath).validate_python(value)


def test_ca_file_holds_certificates(ca_file: Path) -> None:
    assert types.ca_file(str(ca_file)) == str(ca_file)


def test_ca_file_is_optional() -> None:
    assert types.ca_file("") == ""


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----"])
def test_ca_file_without_a_certificate_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(content)

    with pytest.raises(ValueError, match=r"^holds no certificate in PEM form$"):
        types.ca_file(str(file))


def test_missing_ca_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^cannot be read: No such file or dir"):
        types.ca_file(str(tmp_path / "ca.pem"))
