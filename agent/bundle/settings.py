"""From a bundle to the settings that run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent import config as settings
from agent.bundle.archive import Bundle
from agent.bundle.manifest import LABELS, MODEL
from agent.config import Config, ModelConfig


def apply(config: Config, bundle: Bundle, folder: Path) -> Config:
    """``config`` with the model, labels, input and thresholds of an unpacked bundle.

    A setting of ``[model]`` that was changed from its default wins over the manifest: the board's owner knows the site.

    Args:
        config: its ``model.bundle`` names the bundle.
        bundle: what was read.
        folder: where it was unpacked.
    """
    manifest, unchanged = bundle.manifest, ModelConfig()
    offered: dict[str, Any] = {
        "color": manifest.input.color,
        "resize": manifest.input.resize,
        "mean": manifest.input.mean,
        "std": manifest.input.std,
        "heads": msgspec.to_builtins(manifest.heads) if manifest.heads else None,
        "label_offset": manifest.label_offset,
        "score_threshold": manifest.score_threshold,
        "class_thresholds": manifest.class_thresholds,
        "iou_threshold": manifest.iou_threshold,
    }
    changes = {
        f"model.{name}": value
        for name, value in offered.items()
        if getattr(config.model, name) == getattr(unchanged, name)
    }
    labels = str(folder / LABELS) if LABELS in manifest.files else ""
    return settings.override(
        config, {**changes, "model.bundle": "", "model.path": str(folder / MODEL), "model.labels": labels}
    )
