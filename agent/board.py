"""What belongs to this board: its name in the fleet, the folder that it keeps things in, and the model that it runs."""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from agent import bundle, embedded
from agent import config as settings
from agent.config import Config
from agent.errors import ModelError, StorageError
from agent.pipeline import Model, load_model
from agent.recalibrate import overlay
from agent.records import NOTHING_LEARNED, Learned

log = logging.getLogger("agent.service")


def ready_model(config: Config, *, learned: bool = True) -> Model:
    """The model that the settings name, from a bundle or from a plain file, loaded and warm.

    A patched file that this runtime refuses costs what was learned and a line in the log, never the model: the child
    process that every file is tried in says so before it is loaded. The same file on a runtime other than the one that
    it was proven with is used after that trial, and said.

    Args:
        config: the settings.
        learned: with what this board has learned about it, where there is something.

    Raises:
        ConfigError: no model is named, or a setting contradicts it.
        ModelError: the bundle or the model cannot be used.
        UnavailableError: the runtime or the delegate is not there.
    """
    received = placed_model(config)
    placed = _with_learned(received) if learned else received
    try:
        model = _loaded(placed)
    except ModelError as error:
        if placed.config.model.path == received.config.model.path:
            raise
        log.warning(
            "what this board learned is not used, the model runs as it was received: the patched file is refused: %s; "
            "prove it anew, or take it away: `edge-agent recalibrate`, with pictures or with --undo",
            error,
        )
        return _loaded(received)
    now = runtime_words(model)
    if placed.proven_on not in ("", now):
        log.warning(
            "the range patch of this board was proven with %s and runs with %s now; prove it anew with "
            "`edge-agent recalibrate`",
            *(placed.proven_on, now),
        )
    return model


def runtime_words(model: Model) -> str:
    """Name and version of the runtime that a model runs with, as a record keeps them."""
    info = model.detector.info
    return f"{info.backend} {info.version}".strip()


def _loaded(placed: Placed) -> Model:
    return load_model(placed.config, name=placed.name, version=placed.version, learned=placed.learned)


def base_model(config: Config) -> Path:
    """The file that was received, whatever this board has learned about it; raises as :func:`ready_model`."""
    path = placed_model(config).config.model.path
    if not Path(path).is_file():
        raise ModelError(f"{path or 'model.path'}: no such file; give --model FILE.tflite or --bundle")
    return Path(path)


def deployed_model(config: Config) -> Placed:
    """As :func:`placed_model`, with what this board has learned about the model: what really runs, everywhere."""
    return _with_learned(placed_model(config))


def _with_learned(placed: Placed) -> Placed:
    found = learned_over(placed.config)
    if found is None:
        return placed
    base, ranges = Path(placed.config.model.path), found.overlay.ranges
    patched = settings.override(placed.config, {"model.path": str(found.path)})
    return Placed(patched, placed.name or base.stem, placed.version, found.learned, ranges.runtime if ranges else "")


def learned_over(config: Config) -> overlay.InForce | None:
    """What this board has learned about the file ``model.path``; None where that is nothing."""
    # A folder that has become read-only, as worn SD cards do, still says what was learned.
    state, base = state_folder(config), Path(config.model.path)
    if not config.model.path or not (state / overlay.FOLDER).is_dir() or not base.is_file():
        return None
    return overlay.in_force(state, base, file_sha256(base))


def file_sha256(path: Path) -> str:
    """Of a whole file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Placed:
    """Settings whose ``model.path`` is a file, with the name and version that its bundle gives it.

    ``learned`` is what this board has learned about that file, besides a patch; ``proven_on`` the runtime that a patch
    was proven with, empty where none is or nobody knows.
    """

    config: Config
    name: str = ""
    version: str = ""
    learned: Learned = NOTHING_LEARNED
    proven_on: str = ""


def placed_model(config: Config) -> Placed:
    """The settings with their bundle unpacked; as they are where no bundle is named. Nothing of the model is run.

    Raises:
        ConfigError: a key file cannot be used.
        ModelError: the bundle cannot be used.
        StorageError: it cannot be unpacked.
    """
    if not config.model.bundle:
        return Placed(config)
    if config.model.bundle == embedded.ADDRESS:
        found = embedded.read()
    else:
        keys = [bundle.read_public_key(Path(name)) for name in config.model.trusted_keys]
        found = bundle.read(Path(config.model.bundle), keys)
    unpacked = _unpacked(found, state_dir(config))
    return Placed(bundle.apply(config, found, unpacked), found.manifest.name, found.manifest.version)


def _unpacked(found: bundle.Bundle, state: Path | None) -> Path:
    """A full disk must not keep the board from its start: then the files lie in a folder that passes."""
    if state is not None:
        try:
            return bundle.unpack(found, state / "slots")
        except StorageError as error:
            log.warning("%s; it is unpacked into a temporary folder", error)
    return bundle.unpack(found, _passing_dir() / "slots")


def _passing_dir() -> Path:
    """A folder that goes when the process ends, for a board on which nothing else can be written."""
    try:
        folder = tempfile.mkdtemp(prefix="edge-agent-")
    except OSError as error:
        raise StorageError(f"a bundle must be unpacked, and no folder can be written: {error.strerror}") from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def device_id(config: Config, machine_id: Path = Path("/etc/machine-id")) -> str:
    """The board's name in the fleet: the setting, else host name and four digits of the machine id.

    Boards leave the box with one host name, and two with one id would take each other's place at the broker.
    """
    if config.device.id:
        return config.device.id
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-")[:48] or "board"
    try:
        mark = hashlib.sha256(machine_id.read_bytes().strip()).hexdigest()[:4]
    except OSError:
        return host
    return f"{host}-{mark}"


def state_folder(config: Config) -> Path:
    """Name of the folder for what must survive a restart, there or not."""
    named = config.device.state_dir or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(named) if named else Path.home() / ".local" / "state" / "edge-agent"


def state_dir(config: Config) -> Path | None:
    """Folder for what must survive a restart, made when it is not there; None where nothing can be written."""
    return None if state_trouble(config) else state_folder(config)


def state_trouble(config: Config) -> str:
    """Why nothing survives a restart, in one sentence; empty where it does. Found out once in a process."""
    return _trouble(state_folder(config))


@cache
def _trouble(folder: Path) -> str:
    """Tried, and said, once in a process: the model, the publisher and the commands all ask for it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        trouble = f"state is not kept over a restart: {folder}: {error.strerror}"
        log.warning("%s", trouble)
        return trouble
    return ""
