"""A model's street put together by hand, without camera and pipeline, and the models that tests share."""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agent import embedded
from agent.config import ModelConfig, RuntimeConfig, ZoneConfig
from agent.infer import Detector, choose_backend
from agent.infer.backend import MODULES
from agent.model import anchors, describe
from agent.postprocess import Postprocessor
from agent.preprocess import Preprocessor
from agent.records import Detections, Heads, Labels, ModelCard, Outputs, Pixels

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


@dataclass(frozen=True)
class Case:
    """A model with all that is needed to run it."""

    path: Path
    card: ModelCard
    labels: Labels
    config: ModelConfig


class Street:
    """Preprocess, infer and postprocess of one model."""

    def __init__(
        self,
        case: Case,
        *,
        backend: str = "auto",
        config: ModelConfig | None = None,
        zones: list[ZoneConfig] | None = None,
    ) -> None:
        config = config or case.config
        heads = config.heads or case.card.heads
        self.preprocess = Preprocessor(case.card, config, zones)
        self.detector = Detector(case.path, case.card, choose_backend(backend), RuntimeConfig())
        self.postprocess = Postprocessor(
            config, case.labels, zones, heads=heads, anchors=anchors(heads) if heads else None
        )
        self._labels = case.labels

    def outputs(self, pixels: Pixels) -> Outputs:
        return self.detector.invoke(self.preprocess(pixels))

    def detect(self, pixels: Pixels) -> Detections:
        return self.postprocess(self.outputs(pixels), self.preprocess.place(*pixels.shape[:2]))

    def said(self, pixels: Pixels) -> list[tuple[str, float]]:
        """Names and scores, best first."""
        found = self.detect(pixels)
        pairs = zip(found.class_id, found.confidence, strict=True)
        return [(self._labels.name(int(number)), float(score)) for number, score in pairs]


def demo_file(name: str = "model.tflite") -> bytes:
    """One file of the bundle in the package."""
    with zipfile.ZipFile(embedded.read().path) as archive:
        return archive.read(name)


def installed() -> list[str]:
    """Names of the runtimes that this environment can run."""
    modern = int(np.__version__.partition(".")[0]) >= 2
    names = [name for name, module in MODULES.items() if importlib.util.find_spec(module.partition(".")[0])]
    return [name for name in names if not (modern and name == "tflite-runtime")]


def picture(path: Path) -> Pixels:
    pixels = cv2.imread(str(path))
    assert pixels is not None, path
    return pixels


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two xyxy boxes, in float64."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod(np.maximum(high - low, 0.0)))
    return common / (float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - common)


def case(path: Path, config: ModelConfig, labels: Labels) -> Case:
    return Case(path, describe(path), labels, config)


def square(rows: int, cols: int, *sizes: tuple[float, float], **more: object) -> Heads:
    """Raw heads of a single map."""
    from agent.records import AnchorMap

    return Heads(maps=(AnchorMap(rows, cols, sizes),), **more)  # type: ignore[arg-type]
