"""The street: carries one frame from the camera to a finished result.

``load_model`` makes the stages of one model; ``Pipeline.step`` walks a frame through them. The only file that knows the
stages. Runs on the main thread; preprocess runs on the camera's, because there it overlaps with ``invoke`` and takes
nothing from this loop (0.4 ms a frame: docs/performance.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from agent.camera import Camera
from agent.config import Config, ModelConfig, RuntimeConfig
from agent.errors import ConfigError, ModelError
from agent.infer import Detector, choose_backend, prove
from agent.measure import Meter
from agent.model import anchors, describe, read_labels
from agent.postprocess import Postprocessor, with_learned
from agent.preprocess import Preprocessor
from agent.records import (
    NOTHING_LEARNED,
    Detections,
    FrameResult,
    Heads,
    Labels,
    Learned,
    ModelCard,
    ModelInfo,
    Outputs,
    Pixels,
    Placement,
    StageTimes,
)

log = logging.getLogger("agent.service")


@dataclass(frozen=True, slots=True)
class Model:
    """One model, ready: the three stages that belong to it, and what is known of it.

    Attributes:
        info: name, version and hash, for telemetry.
        path: the .tflite file.
        notes: what was assumed because the file does not say it, one sentence each.
        settings: ``[model]`` as it was loaded with, without what was learned.
        learned: what this board has learned about it; in force already.
    """

    info: ModelInfo
    path: Path
    card: ModelCard
    labels: Labels
    detector: Detector
    preprocess: Preprocessor
    postprocess: Postprocessor
    notes: tuple[str, ...]
    settings: ModelConfig
    learned: Learned = NOTHING_LEARNED

    def detect(self, pixels: Pixels) -> Detections:
        """The objects of one picture."""
        outputs = self.detector.invoke(self.preprocess(pixels))
        return self.postprocess(outputs, self.preprocess.place(*pixels.shape[:2]))


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a model but its interpreter: what can be known before anything untrusted runs.

    Attributes:
        anchors: how many its heads lay out; None for a model that decodes its own boxes.
    """

    name: str
    version: str
    path: Path
    card: ModelCard
    labels: Labels
    preprocess: Preprocessor
    postprocess: Postprocessor
    num_classes: int | None
    anchors: int | None


def plan_model(config: Config, *, name: str = "", version: str = "", learned: Learned = NOTHING_LEARNED) -> Plan:
    """Read the model that the settings name, and run nothing of it.

    Args:
        config: its ``model.path`` names the file.
        name: what the model is called; the file's name when empty.
        version: its version, where a bundle says one.
        learned: what this board has learned about it.

    Raises:
        ConfigError: no model is named, or a setting contradicts the model.
        ModelError: the file is damaged or no detector.
    """
    if not config.model.path:
        raise ConfigError(
            "model.path: no model is named; give --model FILE.tflite or --bundle FILE "
            "(demo: is the one in the package), or set it in the configuration"
        )
    path = Path(config.model.path)
    card = describe(path)
    heads = _heads(path, card, config.model.heads)
    num_classes = _num_classes(card, heads)
    labels = read_labels(
        Path(config.model.labels) if config.model.labels else None,
        card.embedded_labels,
        num_classes=num_classes,
        offset=config.model.label_offset,
    )
    preprocess = Preprocessor(card, config.model, config.zones)
    preprocess.correct(learned.correction)
    laid_out = anchors(heads) if heads else None
    judging = with_learned(config.model, learned, labels)
    postprocess = Postprocessor(judging, labels, config.zones, heads=heads, anchors=laid_out)
    count = None if laid_out is None else len(laid_out)
    return Plan(name or path.stem, version, path, card, labels, preprocess, postprocess, num_classes, count)


def load_model(config: Config, *, name: str = "", version: str = "", learned: Learned = NOTHING_LEARNED) -> Model:
    """Read, prove in a child process, and load the model that the settings name; arguments of :func:`plan_model`.

    Raises:
        ConfigError: no model is named, or a setting contradicts the model.
        ModelError: the file is damaged or no detector.
        UnavailableError: the runtime or the delegate is not there.
    """
    # Everything that reads settings comes before the child process: a wrong setting should be told at once.
    plan = plan_model(config, name=name, version=version, learned=learned)
    path, card = plan.path, plan.card
    backend = choose_backend(config.runtime.backend)
    runtime = _safe_runtime(plan, config.runtime)
    prove(path, card, runtime)
    detector = Detector(path, card, backend, runtime)
    given = detector.warm()
    if plan.anchors is not None and given != plan.anchors:
        raise ConfigError(f"model.heads: lays out {plan.anchors} anchors, but {path} has {given}")
    card = replace(card, num_classes=plan.num_classes)
    notes = _notes(plan.preprocess, plan.labels, card)
    info = replace(_info(card, plan.name, plan.version), learned=learned.notes)
    stages = detector, plan.preprocess, plan.postprocess
    return Model(info, path, card, plan.labels, *stages, notes, config.model, learned)


def _safe_runtime(plan: Plan, runtime: RuntimeConfig) -> RuntimeConfig:
    """The settings as they are, or one thread where more of them would lose a class without an error."""
    lost = plan.card.lost_class(runtime.num_threads)
    if lost is None:
        return runtime
    log.warning(
        "runtime.num_threads = %d: one thread is used, for with %d the runtime would lose every %r of this model "
        "(regular suppression in the graph, tensorflow issue 56058); %d threads and more are safe",
        *(runtime.num_threads, runtime.num_threads, plan.labels.name(lost), plan.num_classes),
    )
    return msgspec.structs.replace(runtime, num_threads=1)


def _info(card: ModelCard, name: str, version: str) -> ModelInfo:
    shape = "x".join(str(size) for size in card.input.shape[1:])
    return ModelInfo(name, version, card.sha256, f"{card.input.dtype} {shape}", card.num_classes, card.arena_bytes)


def _heads(path: Path, card: ModelCard, setting: Heads | None) -> Heads | None:
    if card.is_decoded:
        if setting is not None:
            raise ConfigError(f"model.heads: {path} decodes its own boxes; take the setting away")
        return None
    heads = setting or card.heads
    if heads is None:
        raise ModelError(
            f"{path}: has raw heads and does not carry their anchors; describe them in [model.heads] (docs/models.md)"
        )
    return heads


def _num_classes(card: ModelCard, heads: Heads | None) -> int | None:
    if heads is None or card.scores.shape[-1] < 1:
        return card.num_classes
    columns = card.scores.shape[-1]
    return columns - 1 if heads.background else columns


def _notes(preprocess: Preprocessor, labels: Labels, card: ModelCard) -> tuple[str, ...]:
    notes = []
    if "assumed" in preprocess.normalization.origin:
        notes.append(f"input: {preprocess.normalization.origin}")
    if not labels.names:
        notes.append("labels: none given and none in the model; classes are shown by number")
    elif card.num_classes is None and card.is_decoded:
        notes.append("labels: the model does not say how many classes it has; the label file could not be checked")
    return tuple(notes)


class Pipeline:
    """Walks frames down the street; owns nothing but the order.

    Args:
        camera: started by whoever owns it.
        model: the stages of one model.
        meter: takes each frame's times.
        clock: monotonic seconds.
    """

    def __init__(self, camera: Camera, model: Model, meter: Meter, clock: Callable[[], float] = time.monotonic) -> None:
        self._camera, self._meter, self._clock = camera, meter, clock
        self._preprocess, self._invoke, self._postprocess = model.preprocess, model.detector.invoke, model.postprocess
        self._placement = Placement(0, 0)

    def judge_by(self, postprocess: Postprocessor) -> None:
        """From the next frame on; called on the thread that calls ``step``."""
        self._postprocess = postprocess

    def step(self, timeout_s: float) -> FrameResult | None:
        """Carry the newest frame through; None when no frame came within ``timeout_s``.

        Raises:
            ModelError: the model gave up on the frame.
        """
        frame = self._camera.read(timeout_s)
        if frame is None:
            return None
        clock = self._clock
        begin = clock()
        tensor = self._preprocess(frame.pixels) if frame.tensor is None else frame.tensor
        prepared = clock()
        outputs = self._invoke(tensor)
        invoked = clock()
        detections = self._decode(outputs, frame.pixels)
        ended = clock()
        times = StageTimes(
            age_s=ended - frame.captured_s,
            preprocess_s=frame.preprocess_s + prepared - begin,
            invoke_s=invoked - prepared,
            postprocess_s=ended - invoked,
        )
        self._meter.frame(times, len(detections))
        return FrameResult(frame, detections, times)

    def _decode(self, outputs: Outputs, pixels: Pixels) -> Detections:
        height, width = pixels.shape[:2]
        placement = self._placement
        if placement.frame_width != width or placement.frame_height != height:
            placement = self._placement = self._preprocess.place(height, width)
        return self._postprocess(outputs, placement)
