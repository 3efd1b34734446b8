"""Settings: one Struct, from variables or a file, with unknown names refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.runtime import SettingsError, load_settings


def test_an_unknown_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean HUB_HTTP_PORT"):
        load_settings({"HUB_HTTP_PROT": "1"})


def test_a_setting_of_the_wrong_kind_says_which_and_why() -> None:
    with pytest.raises(SettingsError, match=r"HUB_HTTP_PORT: .* is not a whole number"):
        load_settings({"HUB_HTTP_PORT": "eighty"})
    with pytest.raises(SettingsError, match="0 to 65535"):
        load_settings({"HUB_HTTP_PORT": "70000"})


def test_variables_overlay_the_file(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('http_port = 8100\nparty_id = "ABC"\n')
    settings = load_settings({"HUB_CONFIG": str(file), "HUB_HTTP_PORT": "8200"})
    assert (settings.http_port, settings.party_id) == (8200, "ABC")


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        load_settings({"HUB_CONFIG": str(tmp_path / "none.toml")})
    broken = tmp_path / "broken.toml"
    broken.write_text("= 1")
    with pytest.raises(SettingsError, match="is not TOML"):
        load_settings({"HUB_CONFIG": str(broken)})


def test_secrets_are_masked_when_shown() -> None:
    shown = load_settings({"HUB_ADMIN_TOKEN": "s3cret", "HUB_PARTY_ID": "ABC"}).shown()
    assert (shown["admin_token"], shown["party_id"]) == ("***", "ABC")


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://localhost", True),
        ("http://10.1.2.3", True),
        ("https://hub.example.com", False),
        ("https://8.8.8.8", False),
    ],
)
def test_a_private_public_url_is_recognised(url: str, private: bool) -> None:
    assert load_settings({"HUB_PUBLIC_URL": url}).public_is_private is private


def test_variables_of_the_test_suite_are_no_settings() -> None:
    assert load_settings({"HUB_TEST_DATA": "/x", "PATH": "/bin"}).http_port == 8000
