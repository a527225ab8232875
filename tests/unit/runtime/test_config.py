import pytest

from palmfolio_runtime.config import ConfigError, ServerConfig, load_config


def write(tmp_path, text):
    path = tmp_path / "server.yaml"
    path.write_text(text)
    return path


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    path = write(tmp_path, "limits: {max_samples: 5, max_characters: 9}\n")
    monkeypatch.setenv("PALMFOLIO_SERVER__LIMITS__MAX_SAMPLES", "7")
    limits = load_config(ServerConfig, path).limits
    assert (limits.max_samples, limits.max_characters) == (7, 9)


def test_every_wrong_key_is_named(tmp_path):
    path = write(tmp_path, "adress: x\nlimits: {max_samples: -1}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(ServerConfig, path)
    assert "adress" in str(caught.value)
    assert "limits.max_samples" in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x80"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "server.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"server\.yaml"):
        load_config(ServerConfig, path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="absent"):
        load_config(ServerConfig, tmp_path / "absent.yaml")


@pytest.mark.parametrize("address", ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"])
def test_an_exposed_address_needs_tls_and_tokens(tmp_path, address):
    with pytest.raises(ConfigError, match="not loopback"):
        load_config(ServerConfig, write(tmp_path, f"address: '{address}'\n"))
    told = write(tmp_path, f"address: '{address}'\ninsecure: true\n")
    assert load_config(ServerConfig, told).address == address


def test_metrics_beyond_loopback_need_tls_or_to_be_told(tmp_path):
    exposed = "metrics: {address: '0.0.0.0:9100'"
    with pytest.raises(ConfigError, match=r"metrics\.address 0\.0\.0\.0:9100 is not loopback"):
        load_config(ServerConfig, write(tmp_path, exposed + "}\n"))
    told = load_config(ServerConfig, write(tmp_path, exposed + ", insecure: true}\n"))
    assert told.metrics.address == "0.0.0.0:9100"
    with pytest.raises(ConfigError, match=r"metrics\.address"):
        load_config(ServerConfig, write(tmp_path, "metrics: {address: nonsense}\n"))
    assert load_config(ServerConfig, None).metrics is None
