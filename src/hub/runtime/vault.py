"""Secrets at rest: sealed with AES-256-GCM, and bearer tokens kept only as keyed hashes.

The key never enters the database. The first of several keys seals and hashes; the others
still open what they sealed, so that keys can rotate.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.kernel import HubError
from hub.runtime.files import sync_folder

KEY_FILE: Final = "secret.key"
_FORMAT: Final = b"\x01"
_ID_SIZE: Final = 4
_NONCE_SIZE: Final = 12  # NIST SP 800-38D section 8.2: 96 bits, random
_HEADER_SIZE: Final = len(_FORMAT) + _ID_SIZE
_TAG_SIZE: Final = 16


class BadKey(HubError):
    """A key that cannot be used. ``source`` says where it came from, ``reason`` what is wrong."""

    code = "bad_secret_key"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class WrongKey(HubError):
    """Something was sealed with a key that we do not have. ``key_id`` is that key's."""

    code = "wrong_secret_key"

    def __init__(self, key_id: str, ours: Sequence[str]) -> None:
        super().__init__(key_id, ours)
        self.key_id = key_id
        self.ours = tuple(ours)

    def __str__(self) -> str:
        return (
            f"a stored secret was sealed with key {self.key_id}, but we have {', '.join(self.ours)}"
            f"; restore the {KEY_FILE} (or HUB_SECRET_KEY) that belongs to this database"
        )


class BrokenSeal(HubError):
    """Sealed bytes that were changed, cut, or moved to another row. ``context`` was asked for."""

    code = "broken_seal"

    def __init__(self, context: str) -> None:
        super().__init__(context)
        self.context = context

    def __str__(self) -> str:
        return (
            f"the stored secret for {self.context!r} is damaged or was sealed for something else; "
            "enter that secret again"
        )


class _Key:
    """One master key and what is derived from it; the master itself is used for nothing else."""

    def __init__(self, master: bytes) -> None:
        self.id = _derived(master, "id")[:_ID_SIZE]
        self.cipher = AESGCM(_derived(master, "seal"))
        self.token_key = _derived(master, "token")


class Vault:
    """Seals and opens secrets, and hashes tokens, with the keys of one installation."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise BadKey("secret key", "a key has exactly 32 bytes")
        self._keys = [_Key(key) for key in keys]
        self._by_id = {key.id: key for key in self._keys}

    @classmethod
    def of(cls, data_dir: Path, secret_key: str = "") -> Self:
        """The vault of one installation: keys as given (``HUB_SECRET_KEY``), else its key file.

        Both hold Base64 keys separated by commas or white space, the current one first. The
        file is made on first use. Raises ``BadKey``.
        """
        if secret_key.strip():
            return cls(_parsed(secret_key, "HUB_SECRET_KEY"))
        path = data_dir / KEY_FILE
        try:
            return cls(_parsed(_read_key_file(path), str(path)))
        except OSError as error:
            raise BadKey(str(path), error.strerror or str(error)) from error

    @property
    def key_id(self) -> str:
        """The current key's id: safe to show, tells keys apart."""
        return self._keys[0].id.hex()

    def seal(self, plaintext: bytes, *, context: str) -> bytes:
        """``plaintext`` encrypted for one place only: ``context`` names purpose and row."""
        key, nonce = self._keys[0], os.urandom(_NONCE_SIZE)
        header = _FORMAT + key.id
        return header + nonce + key.cipher.encrypt(nonce, plaintext, header + context.encode())

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """What ``seal`` was given under the same context; ``WrongKey`` or ``BrokenSeal``."""
        header, rest = sealed[:_HEADER_SIZE], sealed[_HEADER_SIZE:]
        if not header.startswith(_FORMAT) or len(rest) < _NONCE_SIZE + _TAG_SIZE:
            raise BrokenSeal(context)
        key = self._by_id.get(header[len(_FORMAT) :])
        if key is None:
            raise WrongKey(header[len(_FORMAT) :].hex(), [known.id.hex() for known in self._keys])
        nonce, encrypted = rest[:_NONCE_SIZE], rest[_NONCE_SIZE:]
        try:
            return key.cipher.decrypt(nonce, encrypted, header + context.encode())
        except InvalidTag as error:
            raise BrokenSeal(context) from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether the current key sealed this; if not, open and seal it again when rotating."""
        return sealed[len(_FORMAT) : _HEADER_SIZE] == self._keys[0].id

    def hash_token(self, token: str) -> bytes:
        """The 32 bytes to store for a bearer or OCPI token or a station's password."""
        return _token_hash(self._keys[0], token)

    def token_hashes(self, token: str) -> tuple[bytes, ...]:
        """Every hash under which ``token`` may be stored, current key first; for look-ups."""
        return tuple(_token_hash(key, token) for key in self._keys)

    def token_matches(self, token: str, stored: bytes) -> bool:
        """Whether ``stored`` is a hash of ``token``, in time that does not depend on either."""
        found = False
        for candidate in self.token_hashes(token):
            found |= hmac.compare_digest(candidate, stored)
        return found


def _derived(master: bytes, purpose: str) -> bytes:
    return hmac.digest(master, b"charging-hub/" + purpose.encode(), hashlib.sha256)


def _token_hash(key: _Key, token: str) -> bytes:
    return hmac.digest(key.token_key, token.encode(), hashlib.sha256)


def _parsed(text: str, source: str) -> list[bytes]:
    keys = []
    for word in text.replace(",", " ").split():
        try:
            key = base64.b64decode(word.replace("-", "+").replace("_", "/"), validate=True)
        except binascii.Error as error:
            raise BadKey(source, "not Base64; make one with: openssl rand -base64 32") from error
        if len(key) != 32:
            raise BadKey(source, f"{len(key)} bytes; a key has exactly 32, Base64 encoded")
        keys.append(key)
    if not keys:
        raise BadKey(source, "holds no key; restore it from a backup")
    return keys


def _read_key_file(path: Path) -> str:
    if not path.exists():
        _make_key_file(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise BadKey(str(path), "others may read it; run chmod 600 on it and rotate the key")
    return path.read_text()


def _make_key_file(path: Path) -> None:
    """Make the file whole or not at all; when two processes try, the first one's key stands."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(beside)
    finally:
        beside.unlink()
    sync_folder(path.parent)
