"""The least memory that the tensors of a model take at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.model import describe
from agent.model.arena import least_arena_bytes
from agent.model.graph import Graph, mapped
from tests.cases import COCO
from tests.tiny import RESHAPE, Op, Tensor, Tiny, heads


def graph(model: Tiny, folder: Path) -> Graph:
    return Graph(mapped(model.write(folder / "tiny.tflite")))


def chain(*sizes: int, dtype: str = "uint8") -> Tiny:
    """Tensors one after the other, each made of the one before; beside them a constant, which is no part of it."""
    tensors = [Tensor(f"t{i}", (1, size), dtype) for i, size in enumerate(sizes)]
    constant = Tensor("shape", (2,), "int32", data=np.array([1, -1], np.int32).tobytes())
    ops = [Op(RESHAPE, (i, len(sizes)), (i + 1,)) for i in range(len(sizes) - 1)]
    return Tiny([*tensors, constant], ops, (0,), (len(sizes) - 1,))


def test_it_is_the_greatest_sum_of_what_lives_at_once(tmp_path: Path) -> None:
    # input 10 is kept; then 10+100, 10+100+50, 10+50+7
    assert least_arena_bytes(graph(chain(10, 100, 50, 7), tmp_path)) == 160
    assert least_arena_bytes(graph(chain(10, 100, 50, 7, dtype="float32"), tmp_path)) == 640


def test_an_output_is_kept_to_the_end(tmp_path: Path) -> None:
    model = replace(chain(10, 100, 50, 70), outputs=(1, 3))
    assert least_arena_bytes(graph(model, tmp_path)) == 10 + 100 + 50 + 70


def test_a_size_that_cannot_be_is_none(tmp_path: Path) -> None:
    tensors = [Tensor("a", (2**31 - 1, 2**31 - 1)), Tensor("b", (1,))]
    assert least_arena_bytes(graph(Tiny(tensors, [Op(RESHAPE, (0,), (1,))], (0,), (1,)), tmp_path)) is None


def test_a_model_of_heads_alone(tmp_path: Path) -> None:
    assert describe(heads().write(tmp_path / "heads.tflite")).arena_bytes == 3 * 36


def test_a_real_model(assets: Path) -> None:
    # 300 x 300 x 3 kept, and 150 x 150 x 24 beside the 150 x 150 x 48 that is made of it
    assert describe(assets / COCO).arena_bytes == 270_000 + 540_000 + 1_080_000


def test_a_graph_without_operations_has_none(tmp_path: Path) -> None:
    assert least_arena_bytes(graph(Tiny([Tensor("a", (4,))], [], (0,), (0,)), tmp_path)) is None
