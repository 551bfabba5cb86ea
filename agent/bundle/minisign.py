"""Signatures in minisign's format: ed25519 over a BLAKE2b-512 hash, made and checked with ``cryptography``.

Format: https://jedisct1.github.io/minisign/ . What ``minisign -S`` writes verifies here, and what is written here
verifies with ``minisign -V``. Secret keys are read as ``minisign -G`` writes them, with or without a password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.errors import ConfigError, ModelError, StorageError

_LEGACY, _HASHED = b"Ed", b"ED"
_PLAIN, _SCRYPT = b"\0\0", b"Sc"
_SCRYPT_MEMORY = 1 << 30


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with: 8 bytes of id, 32 of key."""

    key_id: bytes
    key: bytes

    def verify(self, data: bytes, signature: str) -> str:
        """The signature's trusted comment.

        Raises:
            ModelError: the signature is damaged, another key's, or not of these bytes.
        """
        algorithm, key_id, raw, comment, global_raw = _parse(signature)
        if key_id != self.key_id:
            raise ModelError(f"signed by key {_show(key_id)}, not by {_show(self.key_id)}")
        message = hashlib.blake2b(data).digest() if algorithm == _HASHED else data
        key = Ed25519PublicKey.from_public_bytes(self.key)
        try:
            key.verify(raw, message)
            key.verify(global_raw, raw + comment.encode())
        except InvalidSignature:
            raise ModelError("the signature is not of this content; it was changed after it was signed") from None
        return comment

    def text(self) -> str:
        """The file that ``minisign -p`` reads."""
        packed = base64.b64encode(_LEGACY + self.key_id + self.key).decode()
        return f"untrusted comment: minisign public key {_show(self.key_id)}\n{packed}\n"


@dataclass(frozen=True, slots=True, repr=False)
class SecretKey:
    """A key that signs: 8 bytes of id, 32 of seed."""

    key_id: bytes
    seed: bytes

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return PublicKey(self.key_id, key.public_bytes_raw())

    def sign(self, data: bytes, comment: str) -> str:
        """A signature file of these bytes; ``comment`` is covered by it."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        raw = key.sign(hashlib.blake2b(data).digest())
        packed = base64.b64encode(_HASHED + self.key_id + raw).decode()
        whole = base64.b64encode(key.sign(raw + comment.encode())).decode()
        return f"untrusted comment: signature from edge-agent\n{packed}\ntrusted comment: {comment}\n{whole}\n"

    def text(self) -> str:
        """The secret key file, without a password, as ``minisign -G -W`` writes it; keep it readable for you alone."""
        pair = self.seed + self.public.key
        check = hashlib.blake2b(_LEGACY + self.key_id + pair, digest_size=32).digest()
        packed = _LEGACY + _PLAIN + b"B2" + bytes(32 + 8 + 8) + self.key_id + pair + check
        return f"untrusted comment: minisign encrypted secret key\n{base64.b64encode(packed).decode()}\n"


def generate_key() -> SecretKey:
    """A new key pair, from the system's randomness."""
    return SecretKey(os.urandom(8), os.urandom(32))


def read_public_key(path: Path) -> PublicKey:
    """A public key file.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    raw = _key_bytes(path)
    if len(raw) != 42 or raw[:2] != _LEGACY:
        raise ConfigError(f"{path}: is no minisign public key; it begins with 'untrusted comment' and has two lines")
    return PublicKey(raw[2:10], raw[10:])


def read_secret_key(path: Path, password: str = "") -> SecretKey:
    """A secret key file.

    Raises:
        ConfigError: it cannot be read, is none, or the password is wrong.
    """
    raw = _key_bytes(path)
    if len(raw) != 158 or raw[:2] != _LEGACY or raw[4:6] != b"B2":
        raise ConfigError(f"{path}: is no minisign secret key")
    secret = raw[54:]
    if raw[2:4] == _SCRYPT:
        secret = _decrypted(secret, password, raw[6:38], raw[38:46], raw[46:54])
    key_id, pair, check = secret[:8], secret[8:72], secret[72:]
    if hashlib.blake2b(_LEGACY + key_id + pair, digest_size=32).digest() != check:
        raise ConfigError(f"{path}: the password is wrong, or the key is damaged")
    return SecretKey(key_id, pair[:32])


def _decrypted(secret: bytes, password: str, salt: bytes, ops: bytes, memory: bytes) -> bytes:
    # libsodium's crypto_pwhash_scryptsalsa208sha256 picks N, r, p from two limits in this way.
    ops_limit, memory_limit = max(32768, int.from_bytes(ops, "little")), int.from_bytes(memory, "little")
    if ops_limit < memory_limit // 32:
        rounds, lanes = ops_limit // 32, 1
    else:
        rounds = memory_limit // 1024
        lanes = max(1, min(0x3FFFFFFF, ops_limit // 4 // (1 << (rounds.bit_length() - 1))) // 8)
    cost = 1 << max(1, rounds.bit_length() - 1)
    if cost * 1024 > _SCRYPT_MEMORY:
        raise ConfigError("the secret key asks for more memory to unlock than any minisign key does")
    stream = hashlib.scrypt(
        password.encode(), salt=salt, n=cost, r=8, p=lanes, dklen=len(secret), maxmem=_SCRYPT_MEMORY + (64 << 20)
    )
    return bytes(left ^ right for left, right in zip(secret, stream, strict=True))


def _key_bytes(path: Path) -> bytes:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return base64.b64decode(lines[1] if len(lines) > 1 else "", validate=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, binascii.Error):
        raise ConfigError(f"{path}: is no minisign key file") from None


def _parse(signature: str) -> tuple[bytes, bytes, bytes, str, bytes]:
    lines = signature.splitlines()
    try:
        first, last = base64.b64decode(lines[1], validate=True), base64.b64decode(lines[3], validate=True)
        comment = lines[2].removeprefix("trusted comment: ")
    except (IndexError, binascii.Error, ValueError):
        raise ModelError("the signature file is damaged") from None
    if len(first) != 74 or len(last) != 64 or first[:2] not in {_LEGACY, _HASHED} or comment == lines[2]:
        raise ModelError("the signature file is damaged")
    return first[:2], first[2:10], first[10:], comment, last


def _show(key_id: bytes) -> str:
    return key_id[::-1].hex().upper()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read.

    Raises:
        StorageError: it is there already, or cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StorageError(f"{path}: is there already; a key is never written over") from None
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
