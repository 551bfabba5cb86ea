"""``edge-agent check``: tries the configuration and all that it names, one after the other, and starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent import camera, prometheus, publish
from agent.board import device_id, ready_model, state_folder, state_trouble
from agent.config import Config
from agent.errors import AgentError, StorageError
from agent.presence import Presence


@dataclass(frozen=True, slots=True)
class Verdict:
    """One part that was tried.

    Attributes:
        part: ``config``, ``state``, ``model``, ``camera``, ``broker``; ``home assistant`` and ``prometheus`` where on.
        ok: it works.
        text: what was seen, or what is wrong and what to do.
        exit_code: 0, or the error's.
    """

    part: str
    ok: bool
    text: str
    exit_code: int = 0


def check(config: Config, origin: str) -> Iterator[Verdict]:
    """Try each part in turn; a failure of one does not keep the next from being tried.

    Args:
        config: the settings, which are right by being here.
        origin: where they come from, in words.
    """
    yield Verdict("config", ok=True, text=origin)
    yield _try("state", lambda: _state(config))
    yield _try("model", lambda: _model(config))
    yield _try("camera", lambda: _camera(config))
    yield _try("broker", lambda: _broker(config))
    if config.homeassistant.enabled:
        yield Verdict("home assistant", ok=True, text=_home(config))
    if config.prometheus.textfile or config.prometheus.listen:
        yield _try("prometheus", lambda: prometheus.check(config.prometheus))


def _try(part: str, attempt: Callable[[], str]) -> Verdict:
    try:
        return Verdict(part, ok=True, text=attempt())
    except AgentError as error:
        return Verdict(part, ok=False, text=str(error), exit_code=error.exit_code)


def _state(config: Config) -> str:
    if trouble := state_trouble(config):
        raise StorageError(f"{trouble}; give the agent a device.state_dir that it may write")
    return f"{state_folder(config)} can be written"


def _home(config: Config) -> str:
    """Not tried: whatever were sent there, Home Assistant would take it for an announcement or for its end."""
    if not config.mqtt.host:
        return "nothing is announced without a broker (mqtt.host)"
    return (
        f"not tried: is the board let to write below {config.homeassistant.prefix}/? a refusal is in the log of `run`"
    )


def _model(config: Config) -> str:
    model = ready_model(config)
    if config.detections.mode != "off":
        Presence(config.detections, config.zones, model.labels)
    info, spec = model.detector.info, model.info
    ends = "decodes its own boxes" if model.card.is_decoded else "raw heads"
    classes = f"{model.card.num_classes} classes" if model.card.num_classes is not None else "classes not stated"
    lines = [
        f"{model.path}: {spec.input}, {ends}, {classes}, {len(model.labels.names)} labels",
        f"runs on {info.backend} {info.version}, {info.num_threads} thread(s)",
        f"input from {model.preprocess.normalization.origin}",
        *(f"with {note}" for note in spec.learned),
        *(f"assumed {note}" for note in model.notes if not note.startswith("input")),
    ]
    return "; ".join(lines)


def _camera(config: Config) -> str:
    width, height, seconds = camera.check(config.camera)
    return f"gives {width}x{height} pictures, the first after {seconds:.1f} s"


def _broker(config: Config) -> str:
    if not config.mqtt.host:
        return "none configured: the agent measures on and publishes nothing"
    return publish.check(config.mqtt, site=config.device.site, device=device_id(config))
