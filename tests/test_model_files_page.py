"""The page about model files: its example is what the command prints, and its lists are those of the code."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from agent.cli import model_text
from agent.model import Net, mapped, quirks, show
from agent.model.ops import CUSTOM_READERS, KNOWN
from tests.cases import COCO
from tests.models import demo_file
from tests.test_model_graphs import FOLDER

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "model-files.md").read_text()


def quantized(data: memoryview) -> set[str]:
    """Operations that read or write 8-bit values."""
    net = Net(data)
    ends = {op: [net.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0] for op in net.ops}
    return {op.name for op in net.ops if any(tensor.is_code for tensor in ends[op])}


def listed(begin: str) -> set[str]:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {begin}")]
    return set(re.findall(r"[A-Z][A-Z_0-9]{2,}", row.rpartition(" | ")[2]))


def test_the_example_is_what_the_command_prints(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(demo_file())
    assert textwrap.indent("\n".join(model_text.page(show(path), "demo:")), "    ") in PAGE


def test_every_operation_stands_where_it_was_seen(assets: Path) -> None:
    real = quantized(mapped(assets / COCO)) | quantized(memoryview(demo_file()))
    real |= quantized(mapped(assets / "models" / "automl_traffic_lstm_ssd_quant.tflite"))
    small = set().union(*(quantized(mapped(path)) for path in FOLDER.glob("*.int8.tflite")))
    assert listed("detectors that are in use") == real - CUSTOM_READERS
    assert listed("small trained graphs alone") == small - real
    assert listed("no file") == KNOWN - real - small


def test_every_oddity_has_its_row() -> None:
    code = Path(quirks.__file__).read_text()
    rows = re.findall(r"^\| `(.+?)` \|", PAGE, re.MULTILINE)
    assert len(rows) == code.count("\ndef _") - 1, "one look a row; _ends_in_zip is none"
    assert all(row in code for row in rows)


@pytest.mark.parametrize("name", re.findall(r"\]\((\S+?\.json)\)", PAGE))
def test_the_linked_schemas_are_there(name: str) -> None:
    assert (DOCS / name).exists()
