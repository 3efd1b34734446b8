"""Sealed secrets: bound to their place, to their key, and to a private key file."""

from __future__ import annotations

import base64
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.runtime.vault import BadKey, BrokenSeal, Vault, WrongKey

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@given(st.binary(max_size=300), st.text(max_size=40))
def test_what_was_sealed_opens_in_its_place_and_never_shows_its_content(
    plaintext: bytes, context: str
) -> None:
    vault = Vault([OLD])
    sealed = vault.seal(plaintext, context=context)
    assert vault.open(sealed, context=context) == plaintext
    assert len(plaintext) < 4 or plaintext not in sealed
    assert vault.seal(plaintext, context=context) != sealed  # a fresh nonce each time


def test_a_seal_does_not_open_in_another_row_or_for_another_purpose() -> None:
    vault = Vault([OLD])
    sealed = vault.seal(b"sk", context="partner.token_c:7")
    for other in ("partner.token_c:8", "partner.token_b:7", ""):
        with pytest.raises(BrokenSeal, match="enter that secret again"):
            vault.open(sealed, context=other)


def test_any_changed_or_missing_byte_breaks_the_seal() -> None:
    vault = Vault([OLD])
    sealed = vault.seal(b"secret", context="a")
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises((BrokenSeal, WrongKey)):
            vault.open(changed, context="a")
        with pytest.raises(BrokenSeal):
            vault.open(sealed[:at], context="a")


def test_a_rotated_key_still_opens_old_seals_and_seals_with_the_new_one() -> None:
    old, both, new = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])
    sealed = old.seal(b"secret", context="a")
    assert both.open(sealed, context="a") == b"secret"
    assert not both.is_current(sealed)
    again = both.seal(b"secret", context="a")
    assert both.is_current(again)
    assert new.open(again, context="a") == b"secret"


def test_a_wrong_key_is_told_apart_from_damage_and_both_keys_are_named() -> None:
    sealed = Vault([OLD]).seal(b"secret", context="a")
    with pytest.raises(WrongKey) as caught:
        Vault([NEW]).open(sealed, context="a")
    assert Vault([OLD]).key_id in str(caught.value)
    assert Vault([NEW]).key_id in str(caught.value)
    assert "secret.key" in str(caught.value)


def test_token_hashes_are_keyed_stable_and_survive_rotation() -> None:
    stored = Vault([OLD]).hash_token("abc")
    assert len(stored) == 32
    assert stored == Vault([OLD]).hash_token("abc")
    assert stored != Vault([NEW]).hash_token("abc")
    assert stored != Vault([OLD]).hash_token("abd")
    rotated = Vault([NEW, OLD])
    assert stored in rotated.token_hashes("abc")
    assert rotated.token_hashes("abc")[0] == rotated.hash_token("abc")
    assert rotated.token_matches("abc", stored)
    assert not rotated.token_matches("abd", stored)
    assert not Vault([NEW]).token_matches("abc", stored)


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    sealed = Vault.of(folder).seal(b"secret", context="a")
    assert stat.S_IMODE((folder / "secret.key").stat().st_mode) == 0o600
    assert [place.name for place in folder.iterdir()] == ["secret.key"]
    assert Vault.of(folder).open(sealed, context="a") == b"secret"


def test_processes_that_make_the_key_file_at_once_agree_on_it(tmp_path: Path) -> None:
    gate, found = threading.Barrier(8), []

    def make() -> None:
        gate.wait()
        found.append(Vault.of(tmp_path).key_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Vault.of(tmp_path)
    (tmp_path / "secret.key").chmod(0o640)
    with pytest.raises(BadKey, match="chmod 600"):
        Vault.of(tmp_path)


def test_keys_given_by_setting_need_no_file(tmp_path: Path) -> None:
    given_keys = f"{base64.b64encode(NEW).decode()},{base64.urlsafe_b64encode(OLD).decode()}"
    vault = Vault.of(tmp_path, given_keys)
    assert vault.key_id == Vault([NEW]).key_id
    assert vault.open(Vault([OLD]).seal(b"x", context="a"), context="a") == b"x"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "reason"),
    [("not base64!", "Base64"), ("c2hvcnQ=", "5 bytes"), (",", "no key")],
    ids=["not-base64", "short", "empty-list"],
)
def test_a_malformed_key_is_refused_without_being_shown(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(BadKey, match=reason) as caught:
        Vault.of(tmp_path, text)
    assert "HUB_SECRET_KEY" in str(caught.value)
    assert text == "," or text not in str(caught.value)


def test_an_empty_key_file_is_not_silently_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").touch(mode=0o600)
    with pytest.raises(BadKey, match="backup"):
        Vault.of(tmp_path)


def test_a_place_where_no_key_file_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file, not a folder")
    with pytest.raises(BadKey, match=r"hub/secret\.key"):
        Vault.of(tmp_path / "hub")
