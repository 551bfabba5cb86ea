"""This agent's own stages, preprocess, invoke and postprocess, on one thread; protocol.py says how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
from protocol import MAX_RESULTS, SCORE_THRESHOLD, serve

from agent import __version__, config
from agent.infer import choose_backend
from agent.pipeline import load_model


def make(model: str) -> Callable[[Any], Any]:
    settings = {
        "model.path": model,
        "model.score_threshold": SCORE_THRESHOLD,
        "model.max_detections": MAX_RESULTS,
        "runtime.num_threads": 1,
    }
    return load_model(config.override(config.Config(), settings)).detect


def boxes(result: Any) -> list[list[float]]:
    return [[*map(float, box), float(score)] for box, score in zip(result.xyxy, result.confidence, strict=True)]


if __name__ == "__main__":
    cv2.setNumThreads(1)
    backend = choose_backend()
    serve(f"edge-agent {__version__} on {backend.name} {backend.version}", make, boxes)
