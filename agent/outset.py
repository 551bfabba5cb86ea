"""What a repair begins from: the model as the service runs it now, with all that is in force over it, and who judges.

The settings that the fleet desires and the correction that the service follows are in force as much as what the board
has learned: a proof at other thresholds, or in another light, would say little of the service.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent import config as settings
from agent import desired
from agent.board import learned_over, ready_model, state_dir
from agent.config import Config, RuntimeConfig
from agent.errors import ConfigError, ModelError, StorageError
from agent.infer import prove
from agent.model import describe
from agent.pipeline import Model, load_model
from agent.recalibrate import overlay
from agent.recalibrate.overlay import Overlay, words
from agent.recalibrate.reference import digest, read_correction, read_light
from agent.records import Correction

log = logging.getLogger("agent.service")

FLOAT_NAME = "float.tflite"
"""In a bundle: the float model that its model was made from."""


@dataclass(frozen=True, slots=True)
class Outset:
    """Where a repair begins.

    Attributes:
        base: the model as it was received, at the thresholds that the file and the fleet give.
        before: what this board has learned about it; empty where nothing is, or nothing that runs.
        path: the file in use.
        light: the correction that the service follows; None where it follows none, and the record's is in force.
        float_model: who judges; None: the float twin.
        notes: all this in sentences, where there is something to say.
    """

    base: Model
    before: Overlay
    path: Path
    light: Correction | None
    float_model: Model | None
    notes: tuple[str, ...]


def set_out(config: Config, float_model: Path | None, *, is_judged: bool) -> Outset:
    """Load the model, and find what is in force over it.

    Args:
        config: names the model.
        float_model: who judges; None: that of the bundle, where it ships one.
        is_judged: there will be something to judge.

    Raises:
        AgentError: as :func:`agent.board.ready_model`; the same of a float model that somebody named.
    """
    config, base, told = _received(config)
    named = msgspec.structs.replace(config, model=base.settings)  # with what its bundle says of it
    found = _usable(learned_over(named), base, config.runtime)
    before = found.overlay if found else Overlay(base_sha256=base.card.sha256)
    light = _followed(config, before)
    judge, by = _judge(named, base, float_model, is_shipped=bool(config.model.bundle) and is_judged)
    if light is not None:
        told += (f"the service follows the light; its correction is in force: {words(light)}",)
    return Outset(base, before, found.path if found else base.path, light, judge, (*told, *by))


def _received(config: Config) -> tuple[Config, Model, tuple[str, ...]]:
    """The settings in force, and the model with them; what is desired and does not fit it is not in force."""
    wanted = desired.Overlay(config, state_dir(config) if config.mqtt.host else None)
    said = {name: value for name, value in wanted.changes.items() if name.startswith("model.")}
    if not said:
        return wanted.config, ready_model(wanted.config, learned=False), ()
    try:
        base = ready_model(wanted.config, learned=False)
    except ConfigError as error:
        log.warning("what the fleet desires is not in force: %s", error)
        return config, ready_model(config, learned=False), ()
    changes = ", ".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in said.items())
    return wanted.config, base, (f"the fleet's settings are in force: {changes}",)


def _usable(found: overlay.InForce | None, base: Model, runtime: RuntimeConfig) -> overlay.InForce | None:
    """What lies over the model; None where this runtime refuses the patched file, as ``ready_model`` does."""
    if found is None or found.path == base.path:
        return found
    try:
        prove(found.path, describe(found.path), runtime)
    except ModelError as error:
        log.warning("what this board learned is not used: the patched file is refused: %s", error)
        return None
    return found


def _followed(config: Config, before: Overlay) -> Correction | None:
    """As the service takes it up at its start: it belongs to one reference, and to what the model was loaded with."""
    state = state_dir(config)
    if config.correction.mode != "act" or state is None:
        return None
    try:
        kept, reference = read_correction(state), read_light(state)
    except (ModelError, StorageError) as error:
        log.warning("the correction that the service follows is not known: %s", error)
        return None
    base = before.light.correction if before.light else Correction()
    if kept is None or reference is None or kept.base != base or kept.reference != digest(reference):
        return None
    return kept.correction


def _judge(
    named: Config, base: Model, float_model: Path | None, *, is_shipped: bool
) -> tuple[Model | None, tuple[str, ...]]:
    """The float model at the model's own settings, and where it comes from."""
    if float_model is not None:
        return load_model(_at(named, float_model)), (f"judged by the float model {float_model}",)
    shipped = base.path.with_name(FLOAT_NAME)
    if not is_shipped or not shipped.is_file():
        return None, ()
    try:
        return load_model(_at(named, shipped)), (f"judged by the float model of the bundle ({FLOAT_NAME})",)
    except (ConfigError, ModelError) as error:
        log.warning("the bundle's float model is not used, the float twin judges: %s", error)
        return None, ()


def _at(named: Config, path: Path) -> Config:
    return settings.override(named, {"model.path": str(path)})
