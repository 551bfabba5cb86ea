"""``python -m bench recalibrate-twin``: the COCO SSD's float twin against the file itself, on annotated pictures.

mAP (COCO, 0.50:0.95) on the open pictures of val2017 (27), of train2017 (33), and of both. The difference has a paired
95 % bootstrap interval over pictures: both files answer for the same draw. The twin's weights stay what quantization
rounded them to, so the difference is what quantizing the activations costs, plus what chance does to few pictures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from agent import config as settings
from agent.config import Config, RuntimeConfig
from agent.infer import choose_backend
from agent.model import float_twin, mapped
from agent.pipeline import Model, load_model
from bench.common import ASSETS, MODEL, machine, need
from bench.recalibrate.light import Judge, picks
from bench.recalibrate.loss import meaning
from tools.evaluate import detections

LABELS = ASSETS / "labels" / "coco_labels.txt"
SETS = ("val", "train")
TARGET = 0.003
Truth = dict[str, Any]


def main(arguments: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="bench recalibrate-twin", description=__doc__)
    parser.add_argument("--backend", default="auto", help="litert or tflite-runtime")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=None, help="of each set; all of them if not given")
    options = parser.parse_args(arguments)
    need(MODEL, LABELS, *(_annotations(name) for name in SETS))
    runtime = RuntimeConfig(backend=options.backend)
    print(f"recalibrate-twin: {MODEL.stem} on {choose_backend(options.backend).name}; {machine()}")
    print("| pictures | as deployed | float twin | twin less deployed |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        files = load(Path(folder), runtime)
        for names in ((name,) for name in SETS), [SETS]:
            for chosen in names:
                print(line(chosen, files, options.resamples, options.pictures), flush=True)


def load(folder: Path, runtime: RuntimeConfig) -> dict[str, Model]:
    """The file and its twin, with every score that they give."""
    changes: dict[str, Any] = {"model.path": str(MODEL), "model.labels": str(LABELS), "model.score_threshold": 0.0}
    deployed = load_model(settings.override(Config(runtime=runtime), changes))
    path = folder / "twin.tflite"
    path.write_bytes(float_twin(mapped(MODEL)))
    changes |= {"model.path": str(path), **meaning(deployed)}
    return {"deployed": deployed, "twin": load_model(settings.override(Config(runtime=runtime), changes))}


def line(names: Iterable[str], files: dict[str, Model], resamples: int, most: int | None) -> str:
    """One row of the table."""
    sets = [pictures(name, most) for name in names]
    truth = joined([found for found, _ in sets])
    judges = {
        name: Judge(truth, [item for found, folder in sets for item in detections(model, found, folder)])
        for name, model in files.items()
    }
    deployed, twin = (judges[name].mean_ap() for name in files)
    draws = picks(len(truth["images"]), resamples)
    changes = [judges["twin"].mean_ap(draw) - judges["deployed"].mean_ap(draw) for draw in draws]
    low, high = np.percentile(changes, [2.5, 97.5])
    shown = f"{twin - deployed:+.4f} ({low:+.4f} to {high:+.4f})"
    return f"| {' and '.join(names)}2017, {len(truth['images'])} | {deployed:.4f} | {twin:.4f} | {shown} |"


def pictures(name: str, most: int | None) -> tuple[Truth, Path]:
    """The annotations of one set, and the folder of its pictures."""
    truth: Truth = json.loads(_annotations(name).read_text(encoding="utf-8"))
    images = sorted(truth["images"], key=lambda image: int(image["id"]))[:most]
    kept = {image["id"] for image in images}
    marks = [item for item in truth["annotations"] if item["image_id"] in kept]
    return truth | {"images": images, "annotations": marks}, ASSETS / "images" / f"coco_{name}2017"


def joined(truths: list[Truth]) -> Truth:
    """Several sets as one; annotations are numbered anew, pictures walk by rising id as COCOeval walks them."""
    images = sorted((image for truth in truths for image in truth["images"]), key=lambda image: int(image["id"]))
    marks = [item for truth in truths for item in truth["annotations"]]
    return truths[0] | {"images": images, "annotations": [item | {"id": n} for n, item in enumerate(marks, start=1)]}


def _annotations(name: str) -> Path:
    return ASSETS / "annotations" / f"instances_{name}2017_open.json"
