"""From a bundle to the settings that run it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent import config as settings
from agent.bundle.archive import Bundle
from agent.bundle.manifest import LABELS, MODEL
from agent.config import OFFERED, Config, ModelConfig

_OF_INPUT = ("color", "resize", "mean", "std")
_UNCHANGED = ModelConfig()


def apply(config: Config, bundle: Bundle, folder: Path) -> Config:
    """``config`` with the model, labels, input and thresholds of an unpacked bundle.

    A setting of ``[model]`` that somebody wrote down, in the file or on the command line, wins over the manifest, also
    where it says what the default says: the board's owner knows the site. An empty one (``mean = []``) says nothing.

    Args:
        config: its ``model.bundle`` names the bundle.
        bundle: what was read.
        folder: where it was unpacked.
    """
    manifest = bundle.manifest
    offered = {name: getattr(manifest.input if name in _OF_INPUT else manifest, name) for name in OFFERED}
    if manifest.heads is not None:
        offered["heads"] = msgspec.to_builtins(manifest.heads)
    changes = {f"model.{name}": value for name, value in offered.items() if not _is_set(config, name)}
    labels = str(folder / LABELS) if LABELS in manifest.files else ""
    return settings.override(
        config, {**changes, "model.bundle": "", "model.path": str(folder / MODEL), "model.labels": labels}
    )


def _is_set(config: Config, name: str) -> bool:
    """Somebody said it: by name, or by a value of its own in settings that were made from no file."""
    value = getattr(config.model, name)
    is_said = f"model.{name}" in config.given and value not in ([], {}, None)
    return is_said or value != getattr(_UNCHANGED, name)
