"""From weights to four files: float32 and int8, each with raw heads and with the post-processing operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from agent.camera.rendered import CONDITIONS, Knobs
from agent.records import FloatArray
from tools.demo_model import network, spec
from tools.demo_model.flatbuffer import with_heads, with_pixel_input, with_postprocess
from tools.demo_model.scenes import as_input, still

CALIBRATION_SCENES = 200

CALIBRATIONS = {"empty": Knobs(parts=0.0)}
"""Mistakes that are made: here the frames were taken before the line ran. The heads never see a score above 0.1."""

Representative = Callable[[], Iterator[list[FloatArray]]]


def export(weights: Path, folder: Path) -> dict[str, Path]:
    """Write every file of the model.

    Returns:
        ``float``, ``float_raw``, ``int8``, ``int8_raw`` and, calibrated on something else than day,
        ``int8_CONDITION``; all decoded but the raw ones.
    """
    model = network.build(1)
    model.load_weights(weights)
    scored = network.with_scores(model)
    day = representative(CONDITIONS["day"])
    files = {
        "float": with_postprocess(_convert(scored)),
        "float_raw": with_heads(_convert(model)),
        "int8": with_postprocess(_convert(scored, day)),
        "int8_raw": with_heads(_convert(model, day, is_raw=True)),
    }
    for name, knobs in {**CONDITIONS, **CALIBRATIONS}.items():
        if name != "day":
            files[f"int8_{name}"] = with_postprocess(_convert(scored, representative(knobs)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.tflite").write_bytes(data)
    return {name: folder / f"{name}.tflite" for name in files}


def representative(knobs: Knobs, count: int = CALIBRATION_SCENES) -> Representative:
    """The representative dataset: rendered scenes that no training and no judgement sees."""
    scenes = [as_input(pixels) for pixels, _ in still(spec.CALIBRATION_SEED, count, knobs)]

    def pictures() -> Iterator[list[FloatArray]]:
        for scene in scenes:
            yield [((scene[None].astype(np.float32)) - 127.5) / 127.5]

    return pictures


def _convert(model: Any, pictures: Representative | None = None, *, is_raw: bool = False) -> bytes:
    """One .tflite with the signature ``serving_default``; integer throughout when calibrated on ``pictures``."""
    names = [tensor.name.partition("/")[0] for tensor in model.outputs]

    @tf.function(input_signature=[tf.TensorSpec((1, spec.HEIGHT, spec.WIDTH, 3), tf.float32, name="picture")])  # type: ignore[untyped-decorator]
    def detect(picture: Any) -> Any:
        return dict(zip(names, model(picture, training=False), strict=True))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([detect.get_concrete_function()], model)
    if pictures is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = pictures
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        # The post-processing operation reads float32: the converter puts the dequantization before it.
        converter.inference_output_type = tf.int8 if is_raw else tf.float32
    data: bytes = converter.convert()
    return data if pictures is None else with_pixel_input(data)
