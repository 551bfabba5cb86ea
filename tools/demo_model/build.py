"""The bundle: model, labels and golden frames, signed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2

from agent.bundle import Budget, Golden, InputSpec, Manifest, SecretKey, make
from agent.camera import read_picture
from agent.camera.rendered import CLASSES
from agent.pipeline import Model
from tools.demo_model import spec
from tools.demo_model.measure import load
from tools.demo_model.scenes import still

GOLDEN_FRAMES = 6

CONTENT = {
    "model.tflite": "int8",
    "float.tflite": "float",
    "model.raw.tflite": "int8_raw",
    "float.raw.tflite": "float_raw",
}
"""Name in the bundle -> what was exported; ``raw`` ones end in boxes and logits for every anchor."""

BUDGET = Budget(p99_s=0.25, rss_bytes=256 << 20)
"""Wide: it must hold on the smallest board, and is to catch what is broken, not what is slow."""


def build(files: dict[str, Path], target: Path, key: SecretKey | None) -> Path:
    """Write the bundle; golden answers are those of the int8 model as it runs here."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        labels = write_labels(folder)
        model = load(files["int8"], labels, **{"model.score_threshold": spec.SCORE_THRESHOLD})
        content = {name: files[file] for name, file in CONTENT.items()} | {"labels.txt": labels}
        golden = []
        for number, (pixels, _) in enumerate(still(spec.GOLDEN_SEED, GOLDEN_FRAMES)):
            path = folder / f"day-{number}.jpg"
            cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])
            content[f"golden/{path.name}"] = path
            golden.append(_golden(f"golden/{path.name}", path, model))
        return make(target, _manifest(golden), content, key).path


def write_labels(folder: Path) -> Path:
    """``labels.txt``, one class a line."""
    path = folder / "labels.txt"
    path.write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")
    return path


def _golden(name: str, path: Path, model: Model) -> Golden:
    found = model.detect(read_picture(path))
    return Golden(
        picture=name,
        xyxy=[(left, top, right, bottom) for left, top, right, bottom in found.xyxy.round(1).tolist()],
        confidence=found.confidence.round(4).tolist(),
        label=[model.labels.name(int(class_id)) for class_id in found.class_id],
    )


def _manifest(golden: list[Golden]) -> Manifest:
    return Manifest(
        name=spec.NAME,
        version=spec.VERSION,
        seq=spec.SEQ,
        files={},
        input=InputSpec(color="rgb", resize="stretch"),
        score_threshold=spec.SCORE_THRESHOLD,
        iou_threshold=spec.IOU_THRESHOLD,
        budget=BUDGET,
        golden=golden,
        golden_tolerance=0.08,
        local_overlays=True,
    )
