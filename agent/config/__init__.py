"""Every setting: typed, with a sentence and a unit, read from one TOML file.

In: a path, or nothing. Out: a frozen :class:`Config`. Unknown keys are refused by name with the nearest known one; a
wrong type or range is refused with the key, the fault and what is allowed. Nothing here touches a device.

``edge-agent config explain`` and ``docs/settings.md`` are made from the same tables.
"""

from agent.config.correction import CorrectionConfig
from agent.config.explain import Setting, settings, template
from agent.config.governor import GovernorConfig
from agent.config.limits import MeasureConfig
from agent.config.live import LIVE, not_live, overlaid, why_not_live
from agent.config.load import anchored, convert, digest, load, override, parse, to_toml
from agent.config.outlets import DetectionsConfig, HomeAssistantConfig, PrometheusConfig
from agent.config.parity import ParityConfig
from agent.config.sampling import SampleConfig
from agent.config.tables import (
    OFFERED,
    CameraConfig,
    Config,
    DeviceConfig,
    LogConfig,
    ModelConfig,
    MqttConfig,
    RuntimeConfig,
    ZoneConfig,
)

__all__ = [
    "LIVE",
    "OFFERED",
    "CameraConfig",
    "Config",
    "CorrectionConfig",
    "DetectionsConfig",
    "DeviceConfig",
    "GovernorConfig",
    "HomeAssistantConfig",
    "LogConfig",
    "MeasureConfig",
    "ModelConfig",
    "MqttConfig",
    "ParityConfig",
    "PrometheusConfig",
    "RuntimeConfig",
    "SampleConfig",
    "Setting",
    "ZoneConfig",
    "anchored",
    "convert",
    "digest",
    "load",
    "not_live",
    "overlaid",
    "override",
    "parse",
    "settings",
    "template",
    "to_toml",
    "why_not_live",
]
