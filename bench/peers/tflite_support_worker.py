"""tflite-support's ObjectDetector, on one thread; protocol.py says how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import cv2
from protocol import MAX_RESULTS, SCORE_THRESHOLD, serve
from tflite_support.task import core, processor, vision


def make(model: str) -> Callable[[Any], Any]:
    options = vision.ObjectDetectorOptions(
        base_options=core.BaseOptions(file_name=model, num_threads=1),
        detection_options=processor.DetectionOptions(score_threshold=SCORE_THRESHOLD, max_results=MAX_RESULTS),
    )
    detector = vision.ObjectDetector.create_from_options(options)

    def detect(frame: Any) -> Any:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        return detector.detect(vision.TensorImage.create_from_array(rgb))

    return detect


def boxes(result: Any) -> list[list[float]]:
    found = ((one.bounding_box, one.categories[0].score) for one in result.detections)
    return [
        [box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height, score] for box, score in found
    ]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    serve(f"tflite-support {version('tflite-support')} ObjectDetector", make, boxes)
