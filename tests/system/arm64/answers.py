"""What each model of a folder answers on this machine, in codes, with each runtime, before and after its range patch.

usage: python answers.py FOLDER OUT

FOLDER holds for each model NAME.tflite, NAME.patch.json and NAME.npz: for each input tensor, by number, an array of
what it is given (first axis: an invoke each). OUT takes NAME.original.RUNTIME.npz and NAME.patched.RUNTIME.npz: what
each last tensor of codes, by number, held. The patch is applied here, and must make the file that it names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np

from agent.infer import Backend, choose_backend
from agent.infer.backend import MODULES
from agent.model import Net, RangePatch, apply, mapped, tapped


def last_codes(net: Net) -> list[int]:
    """The tensors of codes that go out of the graph, or into what decodes them."""
    decoded = {
        index
        for op in net.ops
        if not any(net.tensors[output].is_code for output in op.outputs)
        for index in op.inputs
        if net.tensors[index].is_code
    }
    return sorted(decoded | {index for index in net.outputs if net.tensors[index].is_code})


def answers(data: bytes, given: dict[str, np.ndarray], backend: Backend) -> dict[str, np.ndarray]:
    """By tensor number, (invokes, ...) codes."""
    wanted = last_codes(Net(memoryview(data)))
    interpreter = backend.module.Interpreter(model_content=tapped(memoryview(data), wanted), num_threads=1)
    interpreter.allocate_tensors()
    found: dict[str, list[np.ndarray]] = {str(index): [] for index in wanted}
    for number in range(min(len(rows) for rows in given.values())):
        for index, rows in given.items():
            interpreter.set_tensor(int(index), rows[number])
        interpreter.invoke()
        for index in wanted:
            found[str(index)].append(interpreter.get_tensor(index))
    return {index: np.stack(rows) for index, rows in found.items()}


def main() -> None:
    """Every model of the folder."""
    folder, out = (Path(name) for name in sys.argv[1:])
    for path in sorted(folder.glob("*.tflite")):
        base = mapped(path)
        patch = msgspec.json.decode((folder / f"{path.stem}.patch.json").read_bytes(), type=RangePatch)
        given = dict(np.load(folder / f"{path.stem}.npz"))
        for state, data in (("original", bytes(base)), ("patched", apply(base, patch))):
            for runtime in MODULES:
                found = answers(data, given, choose_backend(runtime))
                np.savez(out / f"{path.stem}.{state}.{runtime}.npz", **found)


if __name__ == "__main__":
    main()
