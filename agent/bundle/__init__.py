"""Bundles: a model with everything that belongs to it, in one signed file.

``name-version.bundle`` is a zip archive: ``manifest.json``, ``model.tflite``, ``labels.txt``, golden frames, and
``manifest.json.minisig``, an ed25519 signature in minisign's format over the manifest, which names the sha256 of every
other file. ``read`` checks all of it before anything is parsed as a model; ``make`` writes one; ``minisign`` signs.
"""

from agent.bundle.archive import Bundle, make, read, unpack
from agent.bundle.manifest import Budget, FileEntry, Golden, InputSpec, Manifest
from agent.bundle.minisign import PublicKey, SecretKey, generate_key, read_public_key, read_secret_key
from agent.bundle.settings import apply

__all__ = [
    "Budget",
    "Bundle",
    "FileEntry",
    "Golden",
    "InputSpec",
    "Manifest",
    "PublicKey",
    "SecretKey",
    "apply",
    "generate_key",
    "make",
    "read",
    "read_public_key",
    "read_secret_key",
    "unpack",
]
