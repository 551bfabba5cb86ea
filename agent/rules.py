"""What counts as an object, and what is told of it: made from settings at any time, put in force between two frames.

Making them can fail, over a class that the model does not know, and then changes nothing; putting them in force cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.config import Config, DetectionsConfig, ModelConfig
from agent.pipeline import Model
from agent.postprocess import Postprocessor, with_learned
from agent.presence import Presence

JUDGING = ("score_threshold", "class_thresholds", "classes", "min_size")
"""Settings of ``[model]`` that say what counts; all others say what the model is."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One frame is judged by one of these, whole.

    Attributes:
        judging: ``[model]`` with what is in force: a bundle's manifest, the file, what is desired over both, what the
            board has learned for the thresholds that they give.
        telling: ``[detections]``.
        postprocess: what counts as an object.
        presence: what is told of it; None: nothing.
    """

    judging: ModelConfig
    telling: DetectionsConfig
    postprocess: Postprocessor
    presence: Presence | None


def make_rules(model: Model, config: Config, changes: Mapping[str, Any], before: Rules | None = None) -> Rules:
    """The rules that the settings ask for.

    Args:
        model: as it was loaded.
        config: the settings in force.
        changes: what of it is desired over the file, by dotted name: it wins over a bundle's manifest too.
        before: the rules until now; what is told goes on without a break where nothing of that changes.

    Raises:
        ConfigError: a class is named that the model does not have.
    """
    wanted = {name: getattr(config.model, name) for name in JUDGING if f"model.{name}" in changes}
    judging = with_learned(msgspec.structs.replace(model.settings, **wanted), model.learned, model.labels)
    telling = config.detections
    presence = Presence(telling, config.zones, model.labels) if config.mqtt.host and telling.mode != "off" else None
    if before is not None and before.telling == telling:
        presence = before.presence
    return Rules(judging, telling, model.postprocess.judging_by(judging, model.labels, config.zones), presence)


def in_force(config: Config, rules: Rules) -> Config:
    """The settings with what the rules really judge by, for the digest in the birth."""
    real = {name: getattr(rules.judging, name) for name in JUDGING}
    return msgspec.structs.replace(config, model=msgspec.structs.replace(config.model, **real))
