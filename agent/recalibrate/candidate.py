"""Models that answer for the proof: the deployed one, a patched one, the float reference.

Each candidate is loaded and run once in a child process before this one touches it, and all run on as many threads as
the loaded model does: with others some graphs lose a class, and one that is lost on every side is never judged.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from agent.config import RuntimeConfig
from agent.errors import ModelError
from agent.infer import Detector, Taps, choose_backend, prove
from agent.model import Net, describe, tapped
from agent.pipeline import Model
from agent.postprocess import Postprocessor
from agent.recalibrate.heads import heads
from agent.recalibrate.proof import Answer
from agent.recalibrate.retune import FLOOR
from agent.records import Detections, FloatArray, Pixels


class Look:
    """A deployed file at work, with the lower scores that the operating point asks for; its raw heads are not read.

    Args:
        model: whose stages it uses, with the correction that they have when it is called.
        path: the file in use; the model's own interpreter where it is the model's own file.
        runtime: threads; a delegate is not used here.
    """

    def __init__(self, model: Model, path: Path, runtime: RuntimeConfig) -> None:
        self._model, self._loose = model, loose_of(model)
        own, runtime = path == model.path, as_loaded(model, runtime)
        self._detector = model.detector if own else Detector(path, model.card, choose_backend(runtime.backend), runtime)

    def __call__(self, pixels: Pixels) -> Detections:
        """What it finds on one frame, down to low scores."""
        outputs = self._detector.invoke(self._model.preprocess(pixels))
        return self._loose(outputs, self._model.preprocess.place(*pixels.shape[:2]))


def as_loaded(model: Model, runtime: RuntimeConfig) -> RuntimeConfig:
    """The settings as they are, or one thread where more of them would lose a class of this model without an error."""
    if model.card.lost_class(runtime.num_threads) is None:
        return runtime
    return msgspec.structs.replace(runtime, num_threads=1)


def loose_of(model: Model) -> Postprocessor:
    """The model's last stage with scores down to :data:`agent.recalibrate.retune.FLOOR`, or to a deployed threshold."""
    return model.postprocess.down_to(min(FLOOR, float(model.postprocess.thresholds.min())))


class Candidate:
    """A quantized file in place of the deployed one: same input, same answers, same thresholds.

    Args:
        model: the deployed model, whose stages it uses.
        path: its file.
        runtime: threads; a delegate is not used here.
        is_new: it was never run; try it in a child process first.

    Raises:
        ModelError: it does not load or run, or is another kind of model.
    """

    def __init__(self, model: Model, path: Path, runtime: RuntimeConfig, *, is_new: bool = True) -> None:
        runtime = as_loaded(model, runtime)
        self._model, backend = model, choose_backend(runtime.backend)
        self._loose = loose_of(model)
        card = describe(path)
        if card.input != model.card.input:
            raise ModelError(f"{path}: its input is not that of {model.path}: it is not a version of this model")
        if is_new:
            prove(path, card, runtime)
        self._detector = Detector(path, card, backend, runtime)
        self._net = Net(memoryview(path.read_bytes()))
        self._heads = heads(self._net, card)
        self._taps = Taps(tapped(memoryview(path.read_bytes()), self._heads), backend, runtime.num_threads)

    def __call__(self, pixels: Pixels) -> Answer:
        """What it says of one frame."""
        tensor = self._model.preprocess(pixels)
        outputs = self._detector.invoke(tensor)
        placement = self._model.preprocess.place(*pixels.shape[:2])
        heads = tuple(map(self._real, self._heads, self._taps.read(tensor, self._heads)))
        return Answer(self._model.postprocess(outputs, placement), heads, self._loose(outputs, placement))

    def _real(self, index: int, codes: FloatArray) -> FloatArray:
        tensor = self._net.tensors[index]
        zero = np.float32(tensor.zero_points[0] if len(tensor.zero_points) else 0)
        return np.asarray((codes.astype(np.float32) - zero) * tensor.scales[0], np.float32)


class Twin:
    """The float twin of the deployed file: the same tensors in float32, fed with what the codes mean.

    Args:
        model: the deployed model.
        path: the twin's file.
        runtime: threads.

    Raises:
        ModelError: it does not load or run.
    """

    def __init__(self, model: Model, path: Path, runtime: RuntimeConfig) -> None:
        runtime = as_loaded(model, runtime)
        self._model, backend = model, choose_backend(runtime.backend)
        card = describe(path)
        prove(path, card, runtime)
        self._detector = Detector(path, card, backend, runtime)
        self._heads = heads(Net(memoryview(model.path.read_bytes())), model.card)
        self._taps = Taps(tapped(memoryview(path.read_bytes()), self._heads), backend, runtime.num_threads)

    def __call__(self, pixels: Pixels) -> Answer:
        """What it says of one frame."""
        spec = self._model.card.input
        codes = self._model.preprocess(pixels).astype(np.float32)
        tensor = np.asarray((codes - np.float32(spec.zero_point)) * np.float32(spec.scale), np.float32)
        found = self._model.postprocess(self._detector.invoke(tensor), self._model.preprocess.place(*pixels.shape[:2]))
        return Answer(found, tuple(self._taps.read(tensor, self._heads)))


class FloatModel:
    """The float model that a bundle brought along, through its own preprocessing and the deployed thresholds.

    Args:
        model: loaded from the float file with the deployed settings.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, pixels: Pixels) -> Answer:
        """What it says of one frame; its heads are not compared."""
        return Answer(self._model.detect(pixels))
