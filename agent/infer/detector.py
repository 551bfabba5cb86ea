"""One model in one interpreter.

In: an input tensor of the model's shape and dtype. Out: :class:`~agent.records.Outputs`. Owned by the thread that
calls :meth:`Detector.invoke`; the runtime gives the interpreter lock back while it works.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from agent.config import RuntimeConfig
from agent.errors import ModelError
from agent.infer.backend import Backend, load_delegate, one_line
from agent.records import FloatArray, ModelCard, Outputs, RuntimeInfo, Tensor, TensorSpec

POSTPROCESS = "TFLite_Detection_PostProcess"
EDGETPU = "edgetpu-custom-op"


class Detector:
    """A detector that is loaded, checked against its file's own description, and ready.

    Args:
        path: the .tflite file.
        card: what :func:`agent.model.describe` said of it.
        backend: the runtime.
        config: threads and delegate.

    Raises:
        ModelError: the runtime refuses the file, or sees other tensors than its description names.
        UnavailableError: the delegate is not there.
    """

    def __init__(self, path: Path, card: ModelCard, backend: Backend, config: RuntimeConfig) -> None:
        refuse_custom_ops(path, card, config.delegate)
        delegates = [load_delegate(backend, config.delegate, config.delegate_options)] if config.delegate else None
        with quiet_stderr():
            try:
                self._interpreter = backend.module.Interpreter(
                    model_path=str(path), num_threads=config.num_threads, experimental_delegates=delegates
                )
                self._interpreter.allocate_tensors()
            except (ValueError, RuntimeError, SystemError) as error:
                raise ModelError(f"{path}: {backend.name} refuses it: {one_line(error)}") from None
        self.info = RuntimeInfo(backend.name, backend.version, config.num_threads, config.delegate)
        self._path, self._card = path, card
        self._input = self._place(card.input, self._interpreter.get_input_details())
        outputs = self._interpreter.get_output_details()
        self._boxes = self._place(card.boxes, outputs)
        self._scores = self._place(card.scores, outputs)
        self._classes = self._place(card.classes, outputs) if card.classes else None
        self._count = self._place(card.count, outputs) if card.count else None
        self._invoke = self._interpreter.invoke
        self._get = self._interpreter.get_tensor

    def invoke(self, tensor: Tensor) -> Outputs:
        """Run the model once.

        Args:
            tensor: shape and dtype of the card's input.

        Raises:
            ModelError: the runtime gives up on it, or the tensor is not of the input's shape and dtype.
        """
        try:
            self._interpreter.set_tensor(self._input, tensor)
            self._invoke()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{self._path}: does not run: {one_line(error)}") from None
        if self._classes is None or self._count is None:
            return Outputs(self._real(self._card.boxes, self._boxes), self._real(self._card.scores, self._scores))
        get = self._get
        return Outputs(get(self._boxes), get(self._scores), get(self._classes), get(self._count))

    def warm(self) -> int:
        """Run once on zeros: fills the caches, and shows whether the answer has the shapes of a detector's.

        Returns:
            How many boxes the answer has: anchors, of raw heads.

        Raises:
            ModelError: it does not run, or boxes and scores do not belong together.
        """
        shape = tuple(1 if size < 0 else size for size in self._card.input.shape)
        answer = self.invoke(np.zeros(shape, self._card.input.dtype))
        boxes, scores = answer.boxes.shape, answer.scores.shape
        if len(boxes) != 3 or boxes[2] != 4 or scores[:2] != boxes[:2]:
            raise ModelError(f"{self._path}: boxes {list(boxes)} and scores {list(scores)} do not belong together")
        if answer.classes is not None and answer.count is not None:
            classes, count = answer.classes.shape, answer.count.size
            if len(scores) != 2 or classes != scores or count != 1:
                raise ModelError(
                    f"{self._path}: scores {list(scores)}, classes {list(classes)} and {count} counts "
                    "do not belong together"
                )
        return int(boxes[1])

    def _real(self, spec: TensorSpec, index: int) -> FloatArray:
        raw = self._get(index)
        if spec.dtype == "float32":
            heads: FloatArray = raw
        else:
            heads = (raw.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)
        return heads.reshape(1, -1, heads.shape[-1])

    def _place(self, spec: TensorSpec, details: list[dict[str, Any]]) -> int:
        """The runtime's index of the tensor, its name, dtype and shape agreeing with the file."""
        named = [item for item in details if item["name"] == spec.name]
        found = next((item for item in named if item["index"] == spec.index), named[0] if len(named) == 1 else None)
        if found is None:
            raise ModelError(f"{self._path}: the runtime does not offer the tensor {spec.name!r}")
        dtype, shape = np.dtype(found["dtype"]).name, [int(size) for size in found["shape"]]
        if dtype != spec.dtype:
            raise ModelError(f"{self._path}: {spec.name!r} is {dtype} in the runtime, {spec.dtype} in the file")
        fixed = [size for size in spec.shape if size >= 0]
        if fixed and len(fixed) == len(spec.shape) and shape != fixed:
            raise ModelError(f"{self._path}: {spec.name!r} is {shape} in the runtime, {fixed} in the file")
        return int(found["index"])


def refuse_custom_ops(path: Path, card: ModelCard, delegate: str) -> None:
    """Refuse operations that nothing here can run.

    Raises:
        ModelError: names the operation and what it would need.
    """
    for name in card.custom_ops:
        if name == EDGETPU and not delegate:
            raise ModelError(
                f'{path}: is compiled for the Edge TPU; set runtime.delegate = "edgetpu", or give the CPU version'
            )
        if name not in {POSTPROCESS, EDGETPU} and not delegate:
            raise ModelError(f"{path}: needs the custom operation {name!r}, which no runtime here has")


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep the runtime's INFO lines off the terminal; whatever else it prints is passed on afterwards."""
    if sys.stderr is None:  # started with stderr closed: descriptor 2 may be anybody's
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            lines = [line for line in said.read().splitlines(keepends=True) if not line.startswith(b"INFO:")]
            os.write(2, b"".join(lines))
