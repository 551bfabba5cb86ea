"""MediaPipe's ObjectDetector; protocol.py says how it is asked. On a desktop CPU it runs the model on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
from protocol import MAX_RESULTS, SCORE_THRESHOLD, serve


def make(model: str) -> Callable[[Any], Any]:
    options = vision.ObjectDetectorOptions(
        BaseOptions(model_asset_path=model, delegate=BaseOptions.Delegate.CPU),
        running_mode=vision.RunningMode.IMAGE,
        score_threshold=SCORE_THRESHOLD,
        max_results=MAX_RESULTS,
    )
    detector = vision.ObjectDetector.create_from_options(options)

    def detect(frame: Any) -> Any:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        return detector.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb))

    return detect


def boxes(result: Any) -> list[list[float]]:
    found = ((one.bounding_box, one.categories[0].score) for one in result.detections)
    return [
        [box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height, score] for box, score in found
    ]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    serve(f"MediaPipe {mediapipe.__version__} ObjectDetector", make, boxes)
