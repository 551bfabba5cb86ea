"""A second interpreter that keeps what is between a model's input and its answer.

Without ``experimental_preserve_all_tensors`` the runtime reuses the memory of intermediates, and reading one gives
garbage without an error. It costs copying, not computing: read every n-th frame, not each one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from agent.errors import ModelError
from agent.infer.backend import Backend, one_line
from agent.infer.detector import quiet_stderr
from agent.records import Tensor


class Taps:
    """One model, from bytes, whose intermediates can be read. Owned by the thread that calls :meth:`read`.

    Args:
        model: the .tflite file's bytes; they must have been proven in a child process, or be derived from such a file.
        backend: the runtime.
        num_threads: threads of one invoke.

    Raises:
        ModelError: the runtime refuses it.
    """

    def __init__(self, model: bytes, backend: Backend, num_threads: int = 1) -> None:
        with quiet_stderr(), warnings.catch_warnings():
            # It says that this takes memory, which is why nothing else here asks for it.
            warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors", category=UserWarning)
            try:
                self._interpreter = backend.module.Interpreter(
                    model_content=model, num_threads=num_threads, experimental_preserve_all_tensors=True
                )
                self._interpreter.allocate_tensors()
            except (ValueError, RuntimeError, SystemError) as error:
                raise ModelError(f"{backend.name} refuses the changed model: {one_line(error)}") from None
        self._input = int(self._interpreter.get_input_details()[0]["index"])

    def read(self, tensor: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """Run the model once and copy some of its tensors.

        Args:
            tensor: shape and dtype of the model's input.
            wanted: their numbers in the file.

        Raises:
            ModelError: it does not run.
        """
        try:
            self._interpreter.set_tensor(self._input, tensor)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in wanted]
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"the changed model does not run: {one_line(error)}") from None
