from pathlib import Path
from ssl import CERT_NONE, CERT_REQUIRED, SSLContext
from typing import Any

import pytest

from {{ cookiecutter.package_name }}.config.database_url import (
    DatabaseUrl,
    parse,
)

TLS = "postgresql://db/cities?sslmode="
SECRETS = ("sesame", "maria", "Porto")


def refusal(url: str) -> str:
    """Return the error message for a URL, which must not reveal a secret."""
    with pytest.raises(ValueError) as caught:
        parse(url)
    error: BaseException = caught.value
    assert error.__cause__ is None
    # A traceback must not show the original error, either.
    assert error.__context__ is None or error.__suppress_context__
    sentence = str(error)
    assert "@" not in sentence.replace("`@`", "")
    assert "\n" not in sentence
    assert not [secret for secret in SECRETS if secret in sentence]
    return sentence


def context(url: str) -> SSLContext:
    tls = parse(url).options["ssl"]
    assert isinstance(tls, SSLContext)
    return tls


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///service.db", "service.db"),
        ("sqlite+aiosqlite:///service.db", "service.db"),
        ("SQLite:///service.db", "service.db"),
        ("sqlite:////var/lib/service.db", "/var/lib/service.db"),
        ("sqlite:///../my files/a@b#1.db", "../my files/a@b#1.db"),
    ],
)
def test_sqlite_is_a_file(url: str, file: str) -> None:
    assert parse(url) == DatabaseUrl(file=file)
    assert parse(url).is_local


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://maria:sesame@db/cities",
        "sqlite://maria:sesame@db///cities",
        "sqlite:///service.db?mode=ro",
    ],
)
def test_sqlite_without_a_file_is_refused(url: str) -> None:
    assert refusal(url) == (
        "must name only a file, such as `sqlite:///service.db` or "
        "`sqlite:////var/lib/service.db`"
    )


@pytest.mark.parametrize(
    "url",
    ["", "Porto", "mysql://maria:sesame@db/Porto", "postgresql+psycopg://db"],
)
def test_other_databases_are_refused(url: str) -> None:
    assert refusal(url) == "must begin with `postgresql://` or `sqlite:///`"


@pytest.mark.parametrize("url", ["postgresql:cities", "postgresql:/cities"])
def test_postgresql_without_slashes_is_refused(url: str) -> None:
    assert refusal(url) == "must begin with `postgresql://`"


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+asyncpg", "PostgreSQL"]
)
def test_every_part_of_a_url_is_used(scheme: str) -> None:
    url = parse(f"{scheme}://maria:sesame@db.example.com:6432/cities")

    assert url == DatabaseUrl(
        hosts=(("db.example.com", 6432),),
        options={"user": "maria", "password": "sesame", "database": "cities"},
    )
    assert not url.file


def test_parts_can_be_parameters() -> None:
    url = parse(
        "postgresql://?host=db&port=6432&user=maria&password=sesame&dbname=cities"
    )

    assert url == parse("postgresql://maria:sesame@db:6432/cities")


def test_plus_is_literal_and_a_trailing_line_break_is_ignored() -> None:
    url = parse("postgresql://maria@db/cities?password=a+b\n")

    assert url.options["password"] == "a+b"
    assert parse("sqlite:///service.db\n").file == "service.db"


@pytest.mark.parametrize("url", ["postgresql://maria%00@db/cities", "sqlite:///a\nb"])
def test_control_character_is_refused(url: str) -> None:
    assert refusal(url) == "has a control character"


def test_url_is_described_without_credentials() -> None:
    url = parse("postgresql://maria:sesame@one,two:6432/cities")

    assert str(url) == "PostgreSQL at one:5432, two:6432"
    assert str(parse("sqlite:///service.db")) == "SQLite, service.db"


def test_omitted_parts_have_defaults() -> None:
    assert parse("postgresql://") == DatabaseUrl(hosts=(("localhost", 5432),))


def test_percent_escapes_are_decoded() -> None:
    options = parse("postgresql://m%40ria:%23%2F%3f%40%3A%25:@db/my%20cities").options

    assert options["user"] == "m@ria"
    assert options["password"] == "#/?@:%:"
    assert options["database"] == "my cities"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://maria:ses#ame@db/cities",
        "postgresql://maria:ses/ame@db/cities",
        "postgresql://maria:ses?ame@db/cities",
        "postgresql://maria:ses@ame@db/cities",
        "postgresql://ma/ria:sesame@db/cities",
    ],
)
def test_unescaped_special_character_is_explained(url: str) -> None:
    assert refusal(url) == (
        "has a `#`, `/`, `?` or `@` in its user or password, which must be written "
        "as `%23`, `%2F`, `%3F` or `%40`"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://maria:ses%ffame@db/cities",
        "postgresql://maria:sesame@db/%ff",
    ],
)
def test_invalid_escape_is_refused(url: str) -> None:
    assert refusal(url) == "has a `%` escape that is not valid UTF-8"


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://a,b/cities", [("a", 5432), ("b", 5432)]),
        ("postgresql://a:1,b:2/cities", [("a", 1), ("b", 2)]),
        ("postgresql://a:1,b/cities", [("a", 1), ("b", 5432)]),
        ("postgresql:///cities?host=a:1&host=b:2", [("a", 1), ("b", 2)]),
        ("postgresql:///cities?host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("postgresql:///cities?host=a,b&port=1", [("a", 1), ("b", 1)]),
        ("postgresql:///cities?host=a&port=", [("a", 5432)]),
        ("postgresql://[::1]/cities", [("::1", 5432)]),
        ("postgresql://[::1]:1,[fe80::1]:2/cities", [("::1", 1), ("fe80::1", 2)]),
        ("postgresql://%2Frun%2Fpg/cities", [("/run/pg", 5432)]),
        ("postgresql:///cities?host=/run/pg&port=1", [("/run/pg", 1)]),
        (
            "postgresql://a,[::1],[fe80::1]:2/x",
            [("a", 5432), ("::1", 5432), ("fe80::1", 2)],
        ),
        # A parameter overrides the other parts.
        (
            "postgresql://localhost:1/cities?host=/cloudsql/a:b:c",
            [("/cloudsql/a:b:c", 1)],
        ),
        ("postgresql://a:1/cities?host=b&port=2", [("b", 2)]),
    ],
)
def test_hosts_are_listed_in_every_notation(
    url: str, hosts: list[tuple[str, int]]
) -> None:
    assert parse(url).hosts == tuple(hosts)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://maria:sesame@my db/cities",
        "postgresql://maria:sesame@a,/cities",
        "postgresql://maria:sesame@:5432/cities",
        "postgresql://maria:sesame@10.0.0.999/cities",
        "postgresql://maria:sesame@::1/cities",
        "postgresql://maria:sesame@[sesame]/cities",
        "postgresql:///cities?host=Lis bon",
    ],
)
def test_invalid_host_is_refused(url: str) -> None:
    assert refusal(url) == "has a host that is neither a name nor an address"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "many", "٣", "9" * 5000])
def test_invalid_port_is_refused(port: str) -> None:
    sentence = "has a port that is not a number from 1 to 65535"

    assert refusal(f"postgresql://maria:sesame@db:{port}/cities") == sentence
    assert refusal(f"postgresql:///cities?host=db&port={port}") == sentence


@pytest.mark.parametrize(
    ("hosts", "is_local"),
    [
        ("localhost", True),
        ("127.0.0.2:1", True),
        ("[::1]", True),
        ("%2Frun%2Fpg", False),
        ("", True),
        ("10.0.0.1", False),
        ("db", False),
        ("localhost,db", False),
    ],
)
def test_local_means_on_this_machine(hosts: str, is_local: bool) -> None:
    assert parse(f"postgresql://{hosts}/cities").is_local is is_local


@pytest.mark.parametrize(
    "value",
    ["any", "primary", "standby", "read-write", "read-only", "prefer-standby"],
)
def test_server_can_be_chosen_by_role(value: str) -> None:
    url = parse(f"postgresql://a,b/cities?target_session_attrs={value}")

    assert url.options["target_session_attrs"] == value


def test_settings_of_the_session_reach_the_server() -> None:
    url = parse(
        "postgresql://db/cities?application_name=orders&options=-c%20search_path%3Dx"
    )

    assert url.options["server_settings"] == {
        "application_name": "orders",
        "options": "-c search_path=x",
    }


@pytest.mark.parametrize(
    "parameter",
    ["connect_timeout=10", "gssencmode=disable", "keepalives=1", "channel_binding="],
)
def test_parameters_for_other_clients_are_ignored(parameter: str) -> None:
    url = "postgresql://maria:sesame@db/cities"

    assert parse(f"{url}?{parameter}") == parse(url)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            "target_session_attrs=sesame",
            "`target_session_attrs` must be one of any, prefer-standby, primary, "
            "read-only, read-write, standby",
        ),
        (
            "sslmode=sesame",
            "`sslmode` must be one of allow, disable, prefer, require, verify-ca, "
            "verify-full",
        ),
        ("sslmod=sesame", "has an unknown parameter, `sslmod`"),
        ("user=maria&sesame", "has an unknown parameter"),
        ("ses ame=1", "has an unknown parameter"),
        ("password=a&sesame=b", "has an unknown parameter"),
        (
            "channel_binding=require",
            "`channel_binding=require` is not supported; leave it out, and use "
            "`sslmode=verify-full`, which protects equally well",
        ),
        (
            "sslrootcert=sesame",
            "`sslrootcert` and `sslcert` need `sslmode=verify-full`",
        ),
        (
            "sslmode=prefer&sslcert=sesame",
            "`sslrootcert` and `sslcert` need `sslmode=verify-full`",
        ),
        (
            "sslmode=verify-ca&sslrootcert=/sesame",
            "`sslrootcert` cannot be read: No such file or directory",
        ),
        (
            "sslmode=verify-full&sslcert=/sesame",
            "`sslcert` or `sslkey` cannot be used: No such file or directory",
        ),
    ],
)
def test_bad_parameter_is_refused(query: str, sentence: str) -> None:
    assert refusal(f"postgresql://maria:sesame@db/cities?{query}") == sentence


def test_certificate_without_a_key_is_refused(ca_file: Path) -> None:
    sentence = refusal(f"{TLS}require&sslcert={ca_file}")

    assert sentence.startswith("`sslcert` or `sslkey` cannot be used: ")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_optional_tls_is_left_to_the_driver(mode: str) -> None:
    assert parse(f"{TLS}{mode}").options["ssl"] == mode


@pytest.mark.parametrize(
    ("mode", "verified", "by_name"),
    [
        ("require", False, False),
        ("verify-ca", True, False),
        ("verify-full", True, True),
    ],
)
def test_tls_with_the_system_authorities(
    mode: str, verified: bool, by_name: bool
) -> None:
    tls = context(f"{TLS}{mode}")

    assert tls.verify_mode == (CERT_REQUIRED if verified else CERT_NONE)
    assert tls.check_hostname is by_name


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_with_a_ca_file_always_verifies(mode: str, ca_file: Path) -> None:
    tls = context(f"{TLS}{mode}&sslrootcert={ca_file}")

    assert tls.verify_mode == CERT_REQUIRED
    assert tls.check_hostname is (mode == "verify-full")
    (trusted,) = tls.get_ca_certs()
    assert "Authority of the tests" in str(trusted["subject"])


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_tls_with_sslrootcert_system_always_verifies(mode: str) -> None:
    tls = context(f"{TLS}{mode}&sslrootcert=system")

    assert tls.verify_mode == CERT_REQUIRED
    assert tls.check_hostname


def test_client_certificate_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Any] = []
    monkeypatch.setattr(
        SSLContext, "load_cert_chain", lambda _context, *files: loaded.append(files)
    )

    parse(f"{TLS}verify-full&sslcert=/own.crt&sslkey=/own.key")
    parse(f"{TLS}verify-full&sslcert=/own.pem&sslpassword=sesame")

    assert loaded == [("/own.crt", "/own.key", ""), ("/own.pem", None, "sesame")]
