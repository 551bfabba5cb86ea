"""The thresholds that a board found anew, over those of its settings."""

from __future__ import annotations

import msgspec

from agent.config import ModelConfig
from agent.records import Labels, Learned


def with_learned(config: ModelConfig, learned: Learned, labels: Labels) -> ModelConfig:
    """The settings with what the board has learned of them.

    A threshold that was found anew stands in for the one that it was found for. Where the settings, a bundle or the
    fleet say another number since, that is what somebody wants, and it wins.

    Args:
        config: as they are written.
        learned: thresholds by class name; one of a name that is no single class is passed over.
        labels: class names.
    """
    used = {
        name: retuned.threshold
        for name, retuned in learned.thresholds.items()
        if len(labels.ids(name)) == 1 and config.class_thresholds.get(name, config.score_threshold) == retuned.given
    }
    if not used:
        return config
    return msgspec.structs.replace(config, class_thresholds={**config.class_thresholds, **used})
