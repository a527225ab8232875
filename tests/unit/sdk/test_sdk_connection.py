"""Where a client takes its settings from, and how it says that they are wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

import palmfolio
from palmfolio._connection import TLS, Connection, connection


def _settle(endpoints: Any = None, **explicit: str | None) -> Connection:
    return connection(endpoints, explicit, None, None, False)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PALMFOLIO_ENDPOINTS", "PALMFOLIO_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def _file(folder: Path, content: Any) -> Path:
    path = folder / "endpoints.json"
    path.write_text(json.dumps(content))
    return path


def test_explicit_addresses_go_before_the_files(tmp_path: Path) -> None:
    path = _file(tmp_path, {"scorer": "127.0.0.1:1", "trainer": "127.0.0.1:2"})
    settled = _settle(path, scorer="127.0.0.1:9", selector=None)
    assert settled.addresses == {"scorer": "127.0.0.1:9", "trainer": "127.0.0.1:2"}


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALMFOLIO_ENDPOINTS", str(_file(tmp_path, {"scorer": "127.0.0.1:1"})))
    monkeypatch.setenv("PALMFOLIO_TOKEN", "secret")
    settled = _settle()
    assert settled.addresses == {"scorer": "127.0.0.1:1"}
    assert settled.token == "secret"
    assert "secret" not in repr(settled)


def test_a_file_may_hold_the_token_and_tls(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        {"scorer": "host:1", "token": "t", "tls": {"ca": "ca.pem", "server_name": "scorer"}},
    )
    settled = _settle(path)
    assert settled.token == "t"
    assert settled.tls == TLS(ca=tmp_path / "ca.pem", server_name="scorer")
    assert settled.address("scorer") == "host:1"


def test_a_service_without_an_address_is_named() -> None:
    client = palmfolio.Client(scorer="127.0.0.1:1")
    with pytest.raises(palmfolio.ConfigurationError, match="no address is known for the trainer"):
        client.trainer.get_policy("x")


def test_no_address_at_all_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="PALMFOLIO_ENDPOINTS"):
        palmfolio.Client()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "JSON object"),
        ({"scorers": "a:1"}, "unknown service 'scorers'"),
        ({"scorer": 5001}, "address of the scorer"),
        ({"scorer": "a:1", "tls": {"cert": "x"}}, "tls must hold only"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(palmfolio.ConfigurationError, match=message):
        palmfolio.Client(_file(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(palmfolio.ConfigurationError, match=r"absent\.json"):
        palmfolio.Client(tmp_path / "absent.json")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_a_token_may_travel_on_loopback(address: str) -> None:
    assert Connection({"scorer": address}, token="t").address("scorer") == address


def test_a_token_is_not_sent_without_encryption() -> None:
    with pytest.raises(palmfolio.ConfigurationError, match="without encryption"):
        Connection({"scorer": "example.org:1"}, token="t").address("scorer")
    insecure = Connection({"scorer": "example.org:1"}, token="t", insecure=True)
    assert insecure.address("scorer") == "example.org:1"


def test_tls_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    client = palmfolio.Client(scorer="127.0.0.1:1", tls=TLS(ca=tmp_path / "ca.pem"))
    with pytest.raises(palmfolio.ConfigurationError, match=r"ca\.pem"):
        client.scorer.server_info()


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    client = palmfolio.Client(scorer="127.0.0.1:1", tls=TLS(certificate=tmp_path / "c.pem"))
    with pytest.raises(palmfolio.ConfigurationError, match="go together"):
        client.scorer.server_info()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"scorer": "h:1", "token": 3}', "token must be a text"),
        ('{"scorer": "h:1", "tls": {"ca": 3}}', "tls must hold texts only"),
        ('{"scorer": "h:1", "tls": {"ca": null}}', "tls must hold texts only"),
        ('{"scorer": "h:1", "token": "s\\u00e9cret"}', "printable ASCII"),
        ('{"scorer": "h:1", "token": "a\\nb"}', "printable ASCII"),
        ('{"scorer": "h:1", "token": "\\ud83d"}', "printable ASCII"),
    ],
)
def test_what_a_file_must_not_hold_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(content)
    with pytest.raises(palmfolio.ConfigurationError, match=message):
        _settle(path)


def test_a_file_may_begin_with_a_mark_but_not_hold_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_bytes(b'\xef\xbb\xbf{"scorer": "h:1"}')
    assert _settle(path).addresses == {"scorer": "h:1"}
    path.write_bytes(b'{"scorer": "h\xff:1"}')
    with pytest.raises(palmfolio.ConfigurationError, match="is not JSON"):
        _settle(path)


def test_a_token_of_the_environment_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the environment holds beyond UTF-8 arrives as lone surrogates.
    monkeypatch.setenv("PALMFOLIO_TOKEN", "secret\udcff")
    with pytest.raises(palmfolio.ConfigurationError, match="printable ASCII"):
        _settle(scorer="h:1")
