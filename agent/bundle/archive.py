"""The archive itself: read with every entry checked, made, and unpacked.

Refused before anything is parsed as a model: links, absolute or climbing names, names that stand twice, entries that
the manifest does not name, wrong sizes and hashes, and archives that unfold to more than :data:`MOST_BYTES`.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.bundle import manifest as manifests
from agent.bundle.manifest import FileEntry, Manifest
from agent.bundle.minisign import PublicKey, SecretKey
from agent.errors import ModelError, StorageError

MOST_BYTES = 256 << 20
"""Most bytes that a bundle may unfold to; the largest SSDs for such boards have 70 MB."""

_MOST_ENTRIES = 1000
_SMALL = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and whose every file is what the manifest says.

    Attributes:
        path: the archive.
        manifest: what it says of itself.
        sha256: of the whole archive, hex.
        signed_by: the trusted comment of the signature; None when it was not checked against a key.
    """

    path: Path
    manifest: Manifest
    sha256: str
    signed_by: str | None


def read(path: Path, keys: Iterable[PublicKey] = ()) -> Bundle:
    """Check a bundle from end to end.

    Args:
        path: the archive.
        keys: trusted keys; with any, one of them must have signed.

    Raises:
        ModelError: it is no bundle, or anything in it is not as the manifest says, or the signature is not good.
    """
    with _opened(path) as archive:
        try:
            entries = _entries(archive)
            text = _content(archive, entries, manifests.NAME, _SMALL)
            signed_by = _signature(archive, entries, text, list(keys))
            manifest = manifests.decode(text)
            _check_files(archive, entries, manifest)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise ModelError(f"{path}: is damaged ({error}); copy it again") from None
    return Bundle(path, manifest, _sha256(path), signed_by)


def unpack(bundle: Bundle, folder: Path) -> Path:
    """Write the bundle's files into ``folder``/``name-version-hash``, once; a folder that is there is reused.

    Returns:
        The folder with ``model.tflite`` in it.

    Raises:
        StorageError: it cannot be written.
        ModelError: the archive changed since it was read.
    """
    manifest = bundle.manifest
    target = folder / f"{manifest.name}-{manifest.version}-{bundle.sha256[:12]}"
    if (target / manifests.NAME).exists():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as staging, _opened(bundle.path) as archive:
            _unpack_into(archive, manifest, Path(staging))
            os.rename(staging, target)  # noqa: PTH104  # the staging folder's own clean-up then finds nothing
            Path(staging).mkdir()
    except OSError as error:
        if (target / manifests.NAME).exists():
            return target
        raise StorageError(f"{folder}: the bundle cannot be unpacked: {error.strerror or error}") from None
    return target


def make(target: Path, manifest: Manifest, files: dict[str, Path], key: SecretKey | None = None) -> Bundle:
    """Write a bundle; the same content gives the same bytes.

    Args:
        target: the archive to write.
        manifest: its ``files`` are filled in here.
        files: name in the archive -> file on disk.
        key: signs the manifest; None leaves it unsigned.

    Raises:
        StorageError: a file cannot be read, or the archive cannot be written.
        ModelError: a name is not allowed.
    """
    content = {name: _file(path) for name, path in sorted(files.items())}
    entries = {
        name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in content.items()
    }
    text = manifests.encode(_with_files(manifest, entries))
    manifests.decode(text)
    parts = {manifests.NAME: text, **content}
    if key is not None:
        comment = f"{manifest.name} {manifest.version} seq {manifest.seq}"
        parts[manifests.SIGNATURE] = key.sign(text, comment).encode()
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in parts.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED, 9)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}") from None
    return read(target, [key.public] if key else [])


def _with_files(manifest: Manifest, entries: dict[str, FileEntry]) -> Manifest:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(manifest, files=entries)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; give a .bundle") from None
    except IsADirectoryError:
        raise ModelError(f"{path}: is a folder; give the .bundle in it") from None
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        what = "is empty and no bundle" if path.stat().st_size == 0 else f"is no bundle, or a damaged one ({error})"
        raise ModelError(f"{path}: {what}; copy it again") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    found = archive.infolist()
    if len(found) > _MOST_ENTRIES:
        raise ModelError(f"has {len(found)} entries; at most {_MOST_ENTRIES} are allowed")
    total = sum(entry.file_size for entry in found)
    if total > MOST_BYTES:
        raise ModelError(f"unfolds to {total} bytes; at most {MOST_BYTES} are allowed")
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in found:
        manifests.check_name(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in {0, stat.S_IFREG}:
            raise ModelError(f"{entry.filename}: is no plain file; links and devices are not allowed")
        if entry.filename in entries:
            raise ModelError(f"{entry.filename}: stands in it twice")
        entries[entry.filename] = entry
    return entries


def _content(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    entry = entries.get(name)
    if entry is None:
        raise ModelError(f"has no {name}; is it a bundle?")
    if entry.file_size > most:
        raise ModelError(f"{name}: {entry.file_size} bytes; at most {most} are allowed")
    with archive.open(entry) as file:
        # The size in the directory can lie: never unfold more than it promised.
        data = file.read(entry.file_size + 1)
    if len(data) != entry.file_size:
        raise ModelError(f"{name}: unfolds to more than it promises")
    return data


def _signature(
    archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], text: bytes, keys: list[PublicKey]
) -> str | None:
    if not keys:
        return None
    if manifests.SIGNATURE not in entries:
        raise ModelError("is not signed, and a signature by a trusted key is asked for")
    signature = _content(archive, entries, manifests.SIGNATURE, _SMALL).decode("utf-8", "replace")
    refusal = ModelError("no key")
    for key in keys:
        try:
            return key.verify(text, signature)
        except ModelError as error:
            refusal = error
    raise refusal


def _check_files(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], manifest: Manifest) -> None:
    extra = set(entries) - set(manifest.files) - {manifests.NAME, manifests.SIGNATURE}
    if extra:
        raise ModelError(f"{sorted(extra)[0]}: stands in the archive but not in the manifest")
    for name, promised in manifest.files.items():
        data = _content(archive, entries, name, MOST_BYTES)
        if len(data) != promised.size or hashlib.sha256(data).hexdigest() != promised.sha256:
            raise ModelError(f"{name}: is not what the manifest says (sha256 differs)")


def _unpack_into(archive: zipfile.ZipFile, manifest: Manifest, staging: Path) -> None:
    entries = _entries(archive)
    _check_files(archive, entries, manifest)
    for name in [*manifest.files, manifests.NAME]:
        place = staging / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_content(archive, entries, name, MOST_BYTES))


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
