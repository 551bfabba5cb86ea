"""Postprocess: the model's answer -> ``Detections`` in frame pixels. Pure.

Two kinds of answer come in: what ``TFLite_Detection_PostProcess`` has decoded and suppressed inside the graph, and raw
heads, decoded here against the anchors (``decode``) and suppressed class by class (``nms``). Then the same for both:
thresholds, size, classes and zones (``filters``), and the way back into frame pixels.
"""

from __future__ import annotations

import msgspec
import numpy as np

from agent.config import ModelConfig, ZoneConfig
from agent.errors import ConfigError, ModelError
from agent.postprocess.decode import candidates, decode_boxes
from agent.postprocess.filters import Filters
from agent.postprocess.learned import with_learned
from agent.postprocess.nms import class_wise_nms
from agent.postprocess.rows import Rows
from agent.records import Detections, FloatArray, Heads, IntArray, Labels, Learned, Outputs, Placement

__all__ = ["Postprocessor", "candidates", "class_wise_nms", "decode_boxes", "with_learned"]


class Postprocessor:
    """Turns one model's answers into detections.

    Args:
        config: thresholds and limits.
        labels: class names, for the settings that name classes.
        zones: include and exclude polygons.
        heads: how raw heads are coded; None for a model that decodes its own boxes.
        anchors: float32 (n, 4), centre x, centre y, width, height, with ``heads``.

    Raises:
        ConfigError: a setting names a class that the labels do not have.
    """

    def __init__(
        self,
        config: ModelConfig,
        labels: Labels,
        zones: list[ZoneConfig] | None = None,
        *,
        heads: Heads | None = None,
        anchors: FloatArray | None = None,
    ) -> None:
        self._config, self._labels, self._zones = config, labels, zones or []
        self._filters = Filters(config, labels, self._zones)
        self._rows = Rows(self._filters.thresholds, config.min_size)
        self._iou, self._most = config.iou_threshold, config.max_detections
        self._heads, self._anchors = heads, anchors

    @property
    def thresholds(self) -> FloatArray:
        """Score threshold by class number, float32; the last one stands for all further classes. Not to be written."""
        return self._filters.thresholds

    def down_to(self, score: float) -> Postprocessor:
        """Another one for the same model, classes, sizes and zones that lets lower scores through, of every class."""
        lower = msgspec.structs.replace(self._config, score_threshold=score, class_thresholds={})
        return self.judging_by(lower, self._labels, self._zones)

    def learning(self, learned: Learned) -> Postprocessor:
        """Another one with the same settings and what the board has learned of them; called on one without."""
        return self.judging_by(with_learned(self._config, learned, self._labels), self._labels, self._zones)

    def judging_by(self, config: ModelConfig, labels: Labels, zones: list[ZoneConfig]) -> Postprocessor:
        """Another one for the same model, by other settings.

        Raises:
            ConfigError: a setting names a class that the labels do not have.
        """
        return Postprocessor(config, labels, zones, heads=self._heads, anchors=self._anchors)

    def __call__(self, outputs: Outputs, placement: Placement) -> Detections:
        """The objects of one frame, best first.

        Raises:
            ModelError: raw heads and anchors do not belong together.
        """
        if outputs.classes is not None and outputs.count is not None:
            found = self._rows(outputs.boxes, outputs.scores, outputs.classes, outputs.count, placement)
            return self._filters.zoned(found, placement, self._most) if len(found) else found
        boxes, scores, classes = self._suppressed(outputs)
        if not len(scores):
            return Detections.empty()
        found = Detections(placement.to_frame(boxes), np.minimum(scores, 1.0), classes)
        return self._filters(found, placement, self._most)

    def _suppressed(self, outputs: Outputs) -> tuple[FloatArray, FloatArray, IntArray]:
        if self._heads is None or self._anchors is None:
            raise ConfigError("model.heads: this model has raw heads; give their anchors (docs/models.md)")
        if outputs.boxes.shape[1] != len(self._anchors):
            raise ModelError(f"model.heads: {len(self._anchors)} anchors, but the model has {outputs.boxes.shape[1]}")
        anchor, classes, scores = candidates(outputs.scores[0], self._heads, self._filters.thresholds)
        codes = outputs.boxes[0][anchor]
        with np.errstate(over="ignore", invalid="ignore"):
            boxes = decode_boxes(codes, self._anchors[anchor], self._heads)
        real = np.isfinite(codes).all(axis=1)
        boxes, scores, classes = boxes[real], scores[real], classes[real]
        # Not cut to max_detections yet: the best ones may lie in an excluded zone.
        kept = class_wise_nms(boxes, scores, classes, self._iou, len(scores))
        return boxes[kept], scores[kept], classes[kept]
