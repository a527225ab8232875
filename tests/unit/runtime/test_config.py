"""Configuration: file and environment, and errors that name every wrong key."""

from pathlib import Path

import pytest

from palmfolio_runtime.config import ConfigError, ServerConfig, load_config
from palmfolio_runtime.limits import ScorerLimits, SelectorLimits, TrainerLimits


def write(tmp_path: Path, text: str) -> Path:
    """A configuration file."""
    path = tmp_path / "server.yaml"
    path.write_text(text)
    return path


class ScorerLike(ServerConfig):
    """A configuration with the scorer's limits."""

    service = "scorer"
    limits: ScorerLimits = ScorerLimits()


def test_the_environment_takes_precedence_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "limits: {max_samples: 5, max_characters: 9}\n")
    monkeypatch.setenv("PALMFOLIO_SCORER__LIMITS__MAX_SAMPLES", "7")
    limits = load_config(ScorerLike, path).limits
    assert (limits.max_samples, limits.max_characters) == (7, 9)


def test_every_wrong_key_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "adress: x\nlimits: {max_samples: -1}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(ScorerLike, path)
    assert "adress: is not a key of this configuration" in str(caught.value)
    assert "limits.max_samples" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("max_trainings", "is not a limit of the scorer but of the selector; its limits are "),
        ("max_prompts", "is not a limit of the scorer but of the trainer and the selector; "),
        ("max_sample", "is not a limit of the scorer; its limits are max_message_bytes, "),
    ],
)
def test_a_limit_of_another_service_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, problem: str
) -> None:
    path = write(tmp_path, f"limits: {{{name}: 5, max_samples: -1}}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(ScorerLike, path)
    assert f"limits.{name}: {problem}" in str(caught.value)
    assert "limits.max_samples: " in str(caught.value)
    monkeypatch.setenv(f"PALMFOLIO_SCORER__LIMITS__{name.upper()}", "5")
    with pytest.raises(ConfigError, match=f"limits.{name}"):
        load_config(ScorerLike, None)


def test_each_service_reports_only_its_own_limits() -> None:
    common = {"max_message_bytes", "max_characters"}
    kinds = (ScorerLimits, TrainerLimits, SelectorLimits)
    names = [set(kind().as_map()) for kind in kinds]
    assert set.intersection(*names) == common
    assert names[0] == common | {"max_samples", "max_traits"}


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x80"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "server.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"server\.yaml"):
        load_config(ServerConfig, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        load_config(ServerConfig, tmp_path / "absent.yaml")


@pytest.mark.parametrize("address", ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"])
def test_an_exposed_address_needs_tls_and_tokens(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="not loopback"):
        load_config(ServerConfig, write(tmp_path, f"address: '{address}'\n"))
    told = write(tmp_path, f"address: '{address}'\ninsecure: true\n")
    assert load_config(ServerConfig, told).address == address


def test_metrics_beyond_loopback_need_tls_or_permission(tmp_path: Path) -> None:
    exposed = "metrics: {address: '0.0.0.0:9100'"
    with pytest.raises(ConfigError, match=r"metrics\.address 0\.0\.0\.0:9100 is not loopback"):
        load_config(ServerConfig, write(tmp_path, exposed + "}\n"))
    allowed = load_config(ServerConfig, write(tmp_path, exposed + ", insecure: true}\n"))
    assert allowed.metrics is not None
    assert allowed.metrics.address == "0.0.0.0:9100"
    with pytest.raises(ConfigError, match=r"metrics\.address"):
        load_config(ServerConfig, write(tmp_path, "metrics: {address: nonsense}\n"))
    assert load_config(ServerConfig, None).metrics is None
