"""Makes the files in ``tests/fixtures/graphs``: small graphs, trained, converted to int8 and to float32.

Needs TensorFlow and legacy Keras (the extra ``demo-model``), which the tests themselves do not. ::

    TF_USE_LEGACY_KERAS=1 python -m tests.graphs.make [NAME...]

Each graph holds operations that no model at hand has, joined as the detectors that do have them join them. It learns to
name and to box one coloured patch (``scenes``): weights and ranges are those of a trained graph, not of random numbers.
The converter calibrates on :data:`CALIBRATION` pictures of seed 2; ``provenance.json`` says what was made from what.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers

from tests.graphs.scenes import SIDE, scenes

FOLDER = Path(__file__).parent.parent / "fixtures" / "graphs"
CALIBRATION = 200
STEPS = 600
BATCH = 32

say = partial(print, flush=True)
Node = Any
Graph = Callable[[Node], list[Node]]


def conv(x: Node, filters: int, size: int = 3, stride: int = 1, activation: Any = tf.nn.relu6) -> Node:
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return activation(x) if activation is not None else x


def depthwise(x: Node, stride: int = 1, activation: Any = tf.nn.relu6) -> Node:
    x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return activation(x) if activation is not None else x


def answers(x: Node) -> list[Node]:
    """Colour (softmax) and box of the whole picture."""
    x = layers.Flatten()(x)
    return [layers.Dense(3, activation="softmax", name="colour")(x), layers.Dense(4, name="box")(x)]


def inverted(x: Node, filters: int, stride: int = 1, activation: Any = tf.nn.relu6) -> Node:
    """The inverted residual of MobileNet v2, with a linear bottleneck."""
    inside = conv(x, 3 * int(x.shape[-1]), 1, activation=activation)
    inside = conv(depthwise(inside, stride, activation), filters, 1, activation=None)
    return inside + x if stride == 1 and filters == x.shape[-1] else inside


def residual(x: Node) -> list[Node]:
    """MobileNet v2: residual adds in a row, of linear outputs."""
    x = inverted(conv(x, 8, stride=2), 12, 2)
    for _ in range(3):
        x = inverted(x, 12)
    return answers(conv(inverted(x, 16, 2), 16, 1))


def ssdlite(x: Node) -> list[Node]:
    """SSDLite: depthwise heads on two maps, reshaped and joined; scores by LOGISTIC."""
    first = inverted(inverted(conv(x, 8, stride=2), 12, 2), 12)
    second = inverted(first, 16, 2)
    scores, boxes = [], []
    for level in (first, second):
        inside = depthwise(level)
        scores.append(layers.Reshape((-1, 3))(layers.Conv2D(6, 1)(inside)))
        boxes.append(layers.Reshape((-1, 4))(layers.Conv2D(8, 1)(inside)))
    score = tf.sigmoid(tf.concat(scores, axis=1))
    box = tf.concat(boxes, axis=1)
    # for the lesson alone: the answer of the whole picture is that of its anchors together
    colour = layers.Dense(3, activation="softmax", name="colour")(layers.Flatten()(score))
    return [colour, layers.Dense(4, name="box")(layers.Flatten()(box)), score, box]


def hard_sigmoid(x: Node) -> Node:
    return tf.nn.relu6(x + 3.0) * (1 / 6)


def hard_swish(x: Node) -> Node:
    return x * hard_sigmoid(x)


def squeeze(x: Node, gate: Callable[[Node], Node]) -> Node:
    """Squeeze and excite: MEAN, FULLY_CONNECTED, gate, MUL."""
    channels = int(x.shape[-1])
    pooled = tf.reduce_mean(x, axis=[1, 2])
    opened = gate(layers.Dense(channels)(layers.Dense(channels // 2, activation="relu")(pooled)))
    return x * tf.reshape(opened, (-1, 1, 1, channels))


def mobilenet_v3(x: Node) -> list[Node]:
    """MobileNet v3: hard-swish, squeeze-excite with both gates, residual add."""
    x = conv(x, 8, stride=2, activation=hard_swish)
    x = squeeze(depthwise(x, 2, hard_swish), hard_sigmoid)
    x = inverted(conv(x, 12, 1, activation=None), 12, activation=hard_swish)
    return answers(squeeze(conv(x, 16, stride=2, activation=hard_swish), tf.sigmoid))


def fpnlite(x: Node) -> list[Node]:
    """FPNLite: RESIZE_NEAREST_NEIGHBOR + ADD downwards, one head shared by every level."""
    first = conv(conv(x, 8, stride=2), 12, stride=2)
    second = conv(first, 16, stride=2)
    third = layers.MaxPool2D(2, padding="same")(second)
    sides = [layers.Conv2D(12, 1)(level) for level in (first, second, third)]
    merged = [sides[2]]
    for side in (sides[1], sides[0]):
        larger = tf.compat.v1.image.resize_nearest_neighbor(merged[0], side.shape[1:3])
        merged.insert(0, tf.nn.relu6(side + larger))
    shared, last = layers.SeparableConv2D(12, 3, padding="same"), layers.Conv2D(7, 1)
    heads = [layers.Reshape((-1, 7))(last(tf.nn.relu6(shared(level)))) for level in merged]
    return answers(tf.concat(heads, axis=1))


def bilinear(x: Node) -> list[Node]:
    """RESIZE_BILINEAR, AVERAGE_POOL, PAD, and a CONCATENATION of outputs that share a scale."""
    first = conv(conv(x, 8, stride=2), 12, stride=2)
    padded = tf.pad(first, [[0, 0], [1, 1], [1, 1], [0, 0]])
    second = layers.Conv2D(12, 3, 2, padding="valid", activation="relu")(padded)
    pooled = layers.AveragePooling2D(2)(second)
    larger = layers.UpSampling2D(4, interpolation="bilinear")(pooled)
    joined = tf.concat([first, larger, layers.AveragePooling2D(2, 1, "same")(first)], axis=3)
    return answers(conv(joined, 12, stride=2))


def activations(x: Node) -> list[Node]:
    """LEAKY_RELU, PRELU, SUB, TANH, MAXIMUM, RELU on its own."""
    x = layers.LeakyReLU(0.2)(conv(x, 8, stride=2, activation=None))
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.3))(
        conv(x, 12, stride=2, activation=None)
    )
    one, other = conv(x, 12, activation=None), conv(x, 12, activation=None)
    least = tf.maximum(one - other, x)
    bent = tf.tanh(layers.Conv2D(12, 3, padding="same")(least))
    return answers(conv(tf.nn.relu(bent + least), 12, stride=2))


def shapes(x: Node) -> list[Node]:
    """STRIDED_SLICE, SPLIT, PACK, UNPACK, TRANSPOSE, SPACE_TO_DEPTH; one convolution with its bias on both halves."""
    x = conv(tf.nn.space_to_depth(x, 2), 16)
    halves = tf.split(x, 2, axis=3)
    shared = layers.Conv2D(8, 3, 2, padding="same", activation="relu", bias_initializer="random_normal")
    packed = tf.stack([shared(half) for half in halves], axis=1)
    first, second = tf.unstack(packed, axis=1)
    turned = tf.transpose(tf.concat([first, second], axis=3), [0, 2, 1, 3])
    return answers(conv(turned[:, 1:7, 1:7, :], 12))


def upwards(x: Node) -> list[Node]:
    """TRANSPOSE_CONV with a skip connection, DEPTH_TO_SPACE, SUM."""
    first = conv(conv(x, 8, stride=2), 12, stride=2)
    second = conv(first, 16, stride=2)
    larger = layers.Conv2DTranspose(12, 3, 2, padding="same", bias_initializer="random_normal")(second)
    joined = tf.nn.relu(larger + first)
    finer = tf.nn.depth_to_space(conv(joined, 16, 1), 2)
    rows = tf.reduce_sum(finer, axis=2)
    return answers(conv(tf.expand_dims(rows, 2), 12))


def remainder(x: Node) -> list[Node]:
    """MIRROR_PAD, RELU on its own, SLICE, SPLIT_V, MINIMUM, L2_NORMALIZATION, TILE, QUANTIZE between scales, UNPACK."""
    x = tf.nn.relu(tf.pad(conv(x, 8, stride=2, activation=None), [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"))
    parts = tf.split(tf.slice(x, [0, 1, 1, 0], [-1, 16, 16, 8]), [3, 5], axis=3)
    least = tf.minimum(*[conv(part, 8, stride=2, activation=None) for part in parts])
    spread = tf.tile(tf.reduce_mean(least, axis=[1, 2], keepdims=True), [1, 8, 8, 1])
    joined = tf.concat([tf.nn.l2_normalize(least, axis=3), least, spread], axis=3)
    first, second = tf.unstack(tf.reshape(joined, (-1, 2, 4, 8, 24)), axis=1)
    return answers(conv(first - second, 12))


GRAPHS: dict[str, Graph] = {
    graph.__name__: graph
    for graph in (residual, ssdlite, mobilenet_v3, fpnlite, bilinear, activations, shapes, upwards, remainder)
}


def trained(graph: Graph) -> Any:
    keras.utils.set_random_seed(7)
    picture = keras.Input((SIDE, SIDE, 3))
    outputs = graph(picture)
    model = keras.Model(picture, outputs)
    lesson = keras.Model(picture, outputs[:2])
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, STEPS))
    lesson.compile(optimizer, ["sparse_categorical_crossentropy", keras.losses.Huber(0.1)], loss_weights=[1.0, 20.0])
    pictures, colours, boxes = scenes(1, STEPS * BATCH)
    lesson.fit(pictures, (colours, boxes), BATCH, verbose=0)
    held_out, truth, places = scenes(5, 200)
    colour, box = lesson.predict(held_out, verbose=0)
    say(f"  right colour {np.mean(colour.argmax(1) == truth):.2f}, box error {np.abs(box - places).mean():.3f}")
    return model


def converted(model: Any, *, quantized: bool) -> bytes:
    def calibration() -> Iterator[list[Any]]:
        for picture in scenes(2, CALIBRATION)[0]:
            yield [picture[None]]

    signature = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32)
    concrete = tf.function(lambda picture: model(picture, training=False)).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibration
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    record = FOLDER / "provenance.json"
    said = json.loads(record.read_text()) if record.exists() else {"files": {}}
    said |= {
        "made_by": "python -m tests.graphs.make",
        "tensorflow": tf.__version__,
        "tf_keras": keras.__version__,
        "training": f"{STEPS} steps of {BATCH} pictures, scenes(1); calibration scenes(2, {CALIBRATION})",
    }
    for name in names or GRAPHS:
        say(name)
        model = trained(GRAPHS[name])
        for kind in ("int8", "float"):
            data = converted(model, quantized=kind == "int8")
            (FOLDER / f"{name}.{kind}.tflite").write_bytes(data)
            said["files"][f"{name}.{kind}.tflite"] = hashlib.sha256(data).hexdigest()
            say(f"  {kind} {len(data)} bytes")
        record.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
