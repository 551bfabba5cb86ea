"""``edge-tools edgetpu``: a range patch carried to a Coral, by a stand-in for the compiler, which cannot be had."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from agent.errors import ModelError, StorageError, UnavailableError
from agent.model import Net, RangePatch, apply, groups, make
from agent.recalibrate.overlay import Overlay, ProvenCorrection, ProvenPatch
from agent.records import Correction
from tests.models import demo_file
from tests.test_model_patch import wider
from tests.tiny import CUSTOM, Op, Tensor, Tiny
from tools.edgetpu import compiler as compiler_module
from tools.edgetpu.carry import Made, carry, read_patch, refuse_other, told
from tools.edgetpu.compiler import MAPPED, Left, compile_with, read_log

STAND_IN = Path(__file__).parent / "standins" / "edgetpu_compiler.sh"
DATA_TYPE = "Operation is working on an unsupported data type"


def compiled(data: bytes) -> Tiny:
    """What the compiler makes: one operation in place of all that compute in codes, the others as they were."""
    net = Net(data)
    left = [op for op in net.ops if not any(net.tensors[index].is_code for index in op.outputs)]
    ends = sorted({index for op in left for index in op.inputs if net.tensors[index].is_code})
    kept = dict.fromkeys([*net.inputs, *ends, *(index for op in left for index in (*op.inputs, *op.outputs))])
    place = {index: number for number, index in enumerate(kept)}

    def tensor(index: int) -> Tensor:
        it = net.tensors[index]
        return Tensor(it.name, it.shape, it.dtype, it.scales.tolist(), it.zero_points.tolist(), bytes(it.data))

    def op(position: int) -> Op:
        raw = net.graph.operators[position]
        inputs, outputs = ([place[index] for index in indices] for indices in (raw.inputs, raw.outputs))
        return Op(raw.builtin, inputs, outputs, raw.custom, raw.custom_options)

    own = Op(CUSTOM, [place[index] for index in net.inputs], [place[index] for index in ends], "edgetpu-custom-op")
    return Tiny(
        [tensor(index) for index in kept],
        [own, *(op(it.position) for it in left)],
        [place[index] for index in net.inputs],
        [place[index] for index in net.outputs],
    )


@pytest.fixture(scope="module")
def base() -> bytes:
    return demo_file()


@pytest.fixture(scope="module")
def patch(base: bytes) -> RangePatch:
    return make(memoryview(base), wider(groups(Net(base))))[0]


@pytest.fixture(scope="module")
def patched(base: bytes, patch: RangePatch) -> bytes:
    return apply(memoryview(base), patch)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, base: bytes, patch: RangePatch, patched: bytes) -> Path:
    """A folder with the CPU file, its patch alone and in a board's record, and what the compiler will make."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "ssd.tflite").write_bytes(base)
    (folder / "patch.json").write_bytes(msgspec.json.encode(patch))
    proven = ProvenPatch(patch=patch, agreement=0.97, gain=(0.1, 0.05, 0.2), frames=20)
    record = Overlay(base_sha256=patch.base_sha256, ranges=proven)
    (folder / "overlay.json").write_bytes(msgspec.json.encode(record))
    compiled(patched).write(folder / "made.tflite")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def compiler(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Says what happens to the stand-in, and gives its path."""

    def prepared(mode: str, made: Path = given / "made.tflite") -> str:
        monkeypatch.setenv("MODE", mode)
        monkeypatch.setenv("COMPILED", str(made))
        monkeypatch.setenv("CHILD", str(tmp_path / "child"))
        return str(STAND_IN)

    return prepared


Compiler = Callable[..., str]


def test_the_patched_file_is_compiled_and_what_stays_on_the_cpu_is_told(
    given: Path, out: Path, compiler: Compiler, patched: bytes
) -> None:
    made = carry(given / "ssd.tflite", given / "overlay.json", out, compiler=compiler("compiles"))
    assert made.patched == out / "ssd.patched.tflite"
    assert made.patched.read_bytes() == patched
    assert made.compiled == out / "ssd.patched_edgetpu.tflite"
    assert made.compiled.read_bytes() == (given / "made.tflite").read_bytes()
    assert "Compilation succeeded!" in (out / "ssd.patched_edgetpu.log").read_text()
    assert sorted(path.name for path in out.iterdir()) == [
        "ssd.patched.tflite",
        "ssd.patched_edgetpu.log",
        "ssd.patched_edgetpu.tflite",
    ]
    lines = told(made).splitlines()
    assert lines[1].endswith("for the Edge TPU, which runs 49 of 53 operations")
    assert lines[2:5] == [
        "  left to the CPU: 1 RESHAPE (More than one subgraph is not supported)",
        f"  left to the CPU: 2 DEQUANTIZE ({DATA_TYPE})",
        f"  left to the CPU: 1 CUSTOM ({DATA_TYPE})",
    ]
    assert "edge-agent parity --model ssd.patched_edgetpu.tflite --delegate edgetpu" in lines[5]


def test_the_log_cut_off_is_said_and_no_share_is_made_up(given: Path, out: Path, compiler: Compiler) -> None:
    made = carry(given / "ssd.tflite", given / "patch.json", out, compiler=compiler("cut"))
    assert made.log is not None
    assert not made.log.is_whole
    assert "is not told: the compiler's log names 49 of 53" in told(made)
    assert "which runs" not in told(made)


def test_a_log_without_a_table_names_nothing() -> None:
    log = read_log("Edge TPU Compiler version 2.0.267685300\n\nModel compiled successfully in 12 ms.\n")
    assert (log.named, log.is_whole) == (0, False)
    assert "names 0" in told(Made(Path("a"), Path("b"), log))
    assert "of None" not in told(Made(Path("a"), Path("b"), log))


def test_the_table_of_an_old_compiler_is_read_without_a_total() -> None:
    log = read_log(f"Operator   Count   Status\n\nCONV_2D   36\tMapped to Edge TPU\r\nCUSTOM  1  {DATA_TYPE}  \n")
    assert log.is_whole
    assert (log.mapped, log.left) == (36, (Left("CUSTOM", 1, DATA_TYPE),))


@over(
    table=st.dictionaries(
        st.tuples(st.sampled_from(["CONV_2D", "CUSTOM", "RESHAPE"]), st.sampled_from([MAPPED, DATA_TYPE, "Foo (bar)"])),
        st.integers(1, 999),
    ),
    again=st.booleans(),
)
def test_every_row_of_a_table_is_read_once_however_often_it_is_printed(
    *, table: dict[tuple[str, str], int], again: bool
) -> None:
    text = "".join(f"{name:<30} {count:<10} {why}\n" for (name, why), count in table.items())
    log = read_log(f"Operator   Count   Status\n\n{text}{text if again else ''}")
    assert log.mapped == sum(count for (_, why), count in table.items() if why == MAPPED)
    assert log.named == sum(table.values())
    assert {(row.name, row.why): row.count for row in log.left} == {
        key: count for key, count in table.items() if key[1] != MAPPED
    }


def test_the_worked_example_of_the_log_is_true() -> None:
    found = doctest.testmod(compiler_module)
    assert (found.failed, found.attempted) == (0, 2)


def test_without_the_compiler_the_patched_file_is_written_and_it_is_said_what_to_do(
    given: Path, out: Path, patched: bytes
) -> None:
    with pytest.raises(UnavailableError) as caught:
        carry(given / "ssd.tflite", given / "patch.json", out, compiler="no-such-compiler")
    assert (out / "ssd.patched.tflite").read_bytes() == patched
    said = str(caught.value)
    assert "no-such-compiler is not installed" in said
    assert f"{out / 'ssd.patched.tflite'} is written" in said
    assert "edgetpu-compiler on an x86-64 Debian" in said
    assert "docs/coral.md" in said


def test_patching_alone_needs_no_compiler(given: Path, out: Path, patched: bytes) -> None:
    made = carry(given / "ssd.tflite", given / "patch.json", out, compiler="no-such-compiler", patch_only=True)
    assert made == Made(out / "ssd.patched.tflite")
    assert made.patched.read_bytes() == patched
    assert told(made) == f"{made.patched}: the patched file, for a CPU"


@pytest.mark.parametrize(
    ("mode", "how"),
    [
        ("unknown-op", (ModelError, r"does not compile it: .* failed to prepare\.; Compilation failed: Model failed")),
        ("silent", (ModelError, "does not compile it: it ended with 1 and gave no reason")),
        ("internal", (ModelError, "does not compile it: Internal compiler error. Aborting!;")),
        ("crashes", (ModelError, r"does not compile it: it crashed \(SIGSEGV\)")),
        ("nothing", (ModelError, "does not compile it: it ended with 0 and gave no reason")),
        ("slow", (UnavailableError, "did not end in its time; give it more with --timeout")),
    ],
)
def test_what_does_not_compile_says_why_and_where_the_whole_log_is(
    given: Path, out: Path, compiler: Compiler, mode: str, how: tuple[type[Exception], str]
) -> None:
    (out / "ssd.patched_edgetpu.tflite").write_bytes(b"of another patch")
    with pytest.raises(how[0], match=how[1]) as caught:
        carry(given / "ssd.tflite", given / "patch.json", out, compiler=compiler(mode))
    assert str(out / "ssd.patched_edgetpu.log") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Edge TPU Compiler version" in (out / "ssd.patched_edgetpu.log").read_text()
    assert (out / "ssd.patched.tflite").exists()
    assert not (out / "ssd.patched_edgetpu.tflite").exists(), "a file of another patch stands beside this one"


def test_a_compiler_that_hangs_is_ended_with_all_that_it_started(
    compiler: Compiler, tmp_path: Path, patched: bytes
) -> None:
    run = compile_with(compiler("hangs"), patched, longest_s=0.5)
    assert (run.result, run.is_late) == (None, True)
    child = int((tmp_path / "child").read_text())
    by_s = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < by_s, "what the compiler started still runs"
        time.sleep(0.01)


def is_running(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_the_time_that_is_given_is_told_to_the_compiler(given: Path, out: Path, compiler: Compiler) -> None:
    carry(given / "ssd.tflite", given / "patch.json", out, compiler=compiler("compiles"), timeout_s=7)
    assert "timeout timer of 7 seconds" in (out / "ssd.patched_edgetpu.log").read_text()


def without(tiny: Tiny, custom: str) -> Tiny:
    return replace(tiny, ops=[op for op in tiny.ops if op.custom != custom])


def changed(tiny: Tiny, place: int, **changes: object) -> Tiny:
    tensors = list(tiny.tensors)
    tensors[place] = replace(tensors[place], **changes)  # type: ignore[arg-type]
    return replace(tiny, tensors=tensors)


def test_only_this_very_file_compiled_is_taken(base: bytes, patched: bytes, tmp_path: Path) -> None:
    whole = compiled(patched)
    output = whole.outputs[0]
    wrong = {
        "has nothing that runs on the Edge TPU": without(whole, "edgetpu-custom-op"),
        "has the operation Foo": replace(whole, ops=[*whole.ops, Op(CUSTOM, (0,), (1,), "Foo")]),
        "in another shape, type or scale": compiled(base),
        "has inputs of another": changed(whole, whole.inputs[0], scale=(0.5,)),
        "has outputs of another": changed(whole, output, shape=(1, 7, 4)),
    }
    refuse_other(whole.write(tmp_path / "whole").read_bytes(), patched, Path("ssd.patched.tflite"))
    for words, tiny in wrong.items():
        with pytest.raises(ModelError, match=rf"^ssd.patched.tflite: what edgetpu_compiler made of it .*{words}"):
            refuse_other(tiny.write(tmp_path / "wrong").read_bytes(), patched, Path("ssd.patched.tflite"))


@pytest.mark.parametrize("size", [0, 7, 100, 4000])
def test_a_compiled_file_that_is_cut_off_is_refused_and_not_written(
    given: Path, out: Path, compiler: Compiler, tmp_path: Path, size: int
) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes((given / "made.tflite").read_bytes()[:size])
    with pytest.raises(ModelError, match="what edgetpu_compiler made of it"):
        carry(given / "ssd.tflite", given / "patch.json", out, compiler=compiler("compiles", cut))
    assert not (out / "ssd.patched_edgetpu.tflite").exists()


def test_a_file_that_is_compiled_already_is_refused_with_the_reason(
    given: Path, out: Path, compiler: Compiler, base: bytes, patch: RangePatch
) -> None:
    """Whatever the patch is for: the reason is what the file is, not that its sha256 is another."""
    with pytest.raises(ModelError, match=r"made\.tflite: operation 0 .*is compiled for the Edge TPU.*CPU version"):
        carry(given / "made.tflite", given / "patch.json", out, compiler=compiler("compiles"))
    assert not list(out.iterdir())


def test_a_patch_for_another_file_is_refused_and_nothing_is_written(given: Path, out: Path) -> None:
    other = out / "other.tflite"
    other.write_bytes(demo_file("model.raw.tflite"))
    with pytest.raises(ModelError, match=r"other\.tflite: the patch is for the file .*, this one is "):
        carry(other, given / "patch.json", out)
    assert list(out.iterdir()) == [other]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 60_000, b"{}", b'{"patch": {}}', b"x" * 200_000]
)
def test_what_is_no_patch_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"p\.json: is no range patch and no overlay record"):
        read_patch(path)


def test_a_record_of_the_first_version_is_read_and_one_without_ranges_refused(
    given: Path, tmp_path: Path, patch: RangePatch
) -> None:
    path = tmp_path / "r.json"
    first = {"v": 1, "patch": patch, "agreement": 0.97, "gain": (0.1, 0.05, 0.2), "frames": 20}
    path.write_bytes(msgspec.json.encode(first))
    assert read_patch(path) == patch
    light = ProvenCorrection(correction=Correction(gain=2.0), distance=1.0, gain=(9.0, 8.0, 10.0), frames=20)
    path.write_bytes(msgspec.json.encode(Overlay(base_sha256=patch.base_sha256, light=light)))
    with pytest.raises(ModelError, match=r"r\.json: this record has no range patch"):
        read_patch(path)


def test_places_that_cannot_be_read_or_written_are_named(given: Path, tmp_path: Path, compiler: Compiler) -> None:
    with pytest.raises(StorageError, match=r"nowhere\.json: cannot be read: No such file"):
        read_patch(tmp_path / "nowhere.json")
    with pytest.raises(StorageError, match=r"ssd\.patched\.tflite: cannot be written"):
        carry(given / "ssd.tflite", given / "patch.json", tmp_path / "nowhere", compiler=compiler("compiles"))
    with pytest.raises(UnavailableError, match="cannot be started"):
        compile_with(str(tmp_path), b"")


def test_the_command_finds_the_compiler_on_the_path(given: Path, out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "edgetpu_compiler").symlink_to(STAND_IN)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = {"MODE": "compiles", "COMPILED": str(given / "made.tflite"), "PATH": path}
    done = edge_tools("edgetpu", given / "ssd.tflite", given / "overlay.json", "--out", out, **environment)
    assert done.returncode == 0, done.stderr
    assert "which runs 49 of 53 operations" in done.stdout
    again = edge_tools("edgetpu", given / "ssd.tflite", given / "overlay.json", "--out", out, PATH=str(tmp_path))
    assert again.returncode == 75, again.stderr
    assert again.stderr.startswith("edge-tools: edgetpu_compiler is not installed; ")
    assert again.stderr.count("\n") == 1


def edge_tools(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from tools.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_real_compiled_files_are_told_from_cpu_files(assets: Path, patched: bytes) -> None:
    """Of two real ones: what is inside is not looked into, and they are not this model."""
    for path in sorted((assets / "models" / "edgetpu").iterdir()):
        with pytest.raises(ModelError, match=r"what edgetpu_compiler made of it has (the operation|inputs of another)"):
            refuse_other(path.read_bytes(), patched, Path("ssd.patched.tflite"))
