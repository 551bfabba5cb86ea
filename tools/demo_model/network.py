"""The network: SSD on inverted residuals with linear bottlenecks (MobileNetV2, Sandler et al., 2018, arXiv 1801.04381).

Expanded layers end in ReLU6, bottlenecks and heads are linear and unbounded: their ranges depend on the scene, as in
the detectors that people deploy, so that calibration matters. Built with the legacy Keras (``tf-keras``): models of
Keras 3 did not convert with a post-processing operation (variables that could not be read).
"""

from __future__ import annotations

import math
from typing import Any

import tf_keras as keras

from tools.demo_model import spec

# Output channels, expansion, stride; a map of anchors is read after the blocks with a mark.
_BLOCKS = (
    (24, 1, 2, False),
    (24, 3, 1, False),
    (40, 4, 2, False),
    (40, 3, 1, False),
    (40, 3, 1, False),
    (40, 3, 1, True),
    (64, 4, 2, False),
    (64, 3, 1, True),
    (96, 4, 2, True),
)
_STEM = 16


def build(batch: int | None = None) -> Any:
    """An untrained model: picture (batch, 192, 256, 3) in -1..1 -> boxes (batch, anchors, 4), logits (…, classes)."""
    layers = keras.layers
    picture = layers.Input((spec.HEIGHT, spec.WIDTH, 3), batch_size=batch, name="picture")
    x = _relu6(_normal(layers.Conv2D(_STEM, 3, 2, padding="same", use_bias=False)(picture)))
    found: list[tuple[Any, Any]] = []
    for channels, expansion, stride, is_map in _BLOCKS:
        x = _block(x, channels, expansion, stride)
        if is_map:
            anchors = len(spec.HEADS.maps[len(found)].sizes)
            found.append((_head(x, anchors, 4, 0.0), _head(x, anchors, spec.NUM_CLASSES, -math.log(99.0))))
    boxes = layers.Concatenate(axis=1, name="boxes")([box for box, _ in found])
    logits = layers.Concatenate(axis=1, name="logits")([logit for _, logit in found])
    return keras.Model(picture, [boxes, logits])


def with_scores(model: Any) -> Any:
    """The same network with class scores 0 to 1 in place of logits."""
    boxes, logits = model.outputs
    return keras.Model(model.input, [boxes, keras.layers.Activation("sigmoid", name="scores")(logits)])


def _block(x: Any, channels: int, expansion: int, stride: int) -> Any:
    layers = keras.layers
    wide = x
    if expansion > 1:
        wide = _relu6(_normal(layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False)(x)))
    wide = _relu6(_normal(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(wide)))
    narrow = _normal(layers.Conv2D(channels, 1, use_bias=False)(wide))
    return layers.Add()([x, narrow]) if stride == 1 and x.shape[-1] == channels else narrow


def _head(x: Any, anchors: int, numbers: int, bias: float) -> Any:
    layers = keras.layers
    near = _relu6(_normal(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)))
    start = keras.initializers.Constant(bias)
    out = layers.Conv2D(anchors * numbers, 1, bias_initializer=start, kernel_initializer=_small())(near)
    return layers.Reshape((-1, numbers))(out)


def _small() -> Any:
    return keras.initializers.RandomNormal(stddev=0.02)


def _normal(x: Any) -> Any:
    return keras.layers.BatchNormalization(momentum=0.97)(x)


def _relu6(x: Any) -> Any:
    return keras.layers.ReLU(6.0)(x)
