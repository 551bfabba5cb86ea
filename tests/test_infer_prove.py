"""A file is tried in a child process first: whatever kills the child costs one sentence here."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.config import ModelConfig, RuntimeConfig
from agent.errors import ConfigError, ModelError, UnavailableError
from agent.infer import prove
from agent.model import describe
from agent.records import Labels, ModelCard
from tests.delegates import Delegates
from tests.models import Case
from tests.test_model_damage import TAIL
from tests.tiny import heads, mismatched

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tiny(tmp_path: Path) -> Case:
    path = heads().write(tmp_path / "m.tflite")
    return Case(path, describe(path), Labels(), ModelConfig())


def refusal(case: Case, config: RuntimeConfig, kind: type[Exception] = ModelError) -> str:
    with pytest.raises(kind) as refused:
        prove(case.path, case.card, config)
    message = str(refused.value)
    assert type(refused.value) is kind
    assert "\n" not in message
    return message.removeprefix(f"{case.path}: ")


def outcome(path: Path, card: ModelCard, config: RuntimeConfig) -> str | None:
    """The refusal; None when it ran."""
    try:
        prove(path, card, config)
    except ModelError as error:
        return str(error)
    return None


class TestProof:
    def test_of_a_good_model_tells_what_it_took(self, coco: Case, backend: str) -> None:
        proof = prove(coco.path, coco.card, RuntimeConfig(backend=backend))
        assert 0 < proof.load_s < 10
        assert 0 < proof.invoke_s < 10
        assert 20e6 < proof.peak_rss_bytes < 1e9

    def test_with_a_delegate_that_works(self, coco: Case, backend: str, delegates: Delegates, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        prove(coco.path, coco.card, delegates.told("work", backend, mark=str(mark)))
        assert mark.read_text().split()[:2] == ["create", "prepare"]

    def test_with_a_delegate_that_prints_to_stdout(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        assert prove(tiny.path, tiny.card, delegates.told("print", backend)).invoke_s > 0

    def test_runs_wherever_the_user_stands(self, backend: str, tmp_path: Path) -> None:
        """A folder of the user's may hold packages of our names, or of the standard library's."""
        for name in ("agent", "numpy", "msgspec"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
        path = heads().write(tmp_path / "m.tflite")
        program = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
            "from pathlib import Path; from agent.config import RuntimeConfig; from agent.infer import prove; "
            f"from agent.model import describe; path = Path({str(path)!r}); "
            f"print(prove(path, describe(path), RuntimeConfig(backend={backend!r})))"
        )
        ended = subprocess.run(
            [sys.executable, "-P", "-c", program],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )
        assert ended.stdout.startswith("Proof(load_s="), ended.stderr


class TestDeath:
    def test_by_a_null_pointer(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        assert refusal(tiny, delegates.told("crash", backend)) == (
            "crashes the runtime (SIGSEGV); the file is damaged, or the delegate is another build"
        )

    def test_by_abort(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        assert refusal(tiny, delegates.told("abort", backend)).startswith("crashes the runtime (SIGABRT); ")

    def test_by_the_kernel_for_want_of_memory(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        assert refusal(tiny, delegates.told("kill", backend)) == (
            "the child process that tried it was killed; most likely it needs too much memory"
        )

    def test_by_an_exit_of_a_librarys_own(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        assert refusal(tiny, delegates.told("exit", backend)) == "cannot be tried in a child process: exit code 3"

    def test_by_hanging(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        told = delegates.told("hang", backend)
        config = RuntimeConfig(
            backend=told.backend, delegate=told.delegate, delegate_options=told.delegate_options, prove_timeout_s=1.5
        )
        begin = time.monotonic()
        assert refusal(tiny, config) == (
            "did not load and run once within 1.5 s; it hangs, or this board needs a longer runtime.prove_timeout_s"
        )
        assert time.monotonic() - begin < 60

    @pytest.mark.parametrize("size", [1000, 100_000, 2_000_000, 4_000_000, 4_180_000])
    def test_of_a_model_that_was_cut_after_it_was_read(
        self, coco: Case, backend: str, tmp_path: Path, size: int
    ) -> None:
        """The description is of the whole file: such a cut kills tflite-runtime inside ``Interpreter()``."""
        path = tmp_path / "m.tflite"
        path.write_bytes(coco.path.read_bytes()[:size])
        said = refusal(Case(path, coco.card, coco.labels, coco.config), RuntimeConfig(backend=backend))
        assert said.startswith(("crashes the runtime (SIG", f"{backend} refuses it: "))

    def test_of_a_damaged_graph_that_was_described(self, coco: Case, backend: str, tmp_path: Path) -> None:
        """Damage that the description does not see: the child refuses it, dies of it, or runs it; nothing else."""
        whole, path = coco.path.read_bytes(), tmp_path / "m.tflite"
        places = random.Random(1)  # noqa: S311  # a fixed sample
        tried = 0
        while tried < 6:
            data = bytearray(whole)
            for _ in range(4):
                data[places.randrange(TAIL, len(whole) - 2000)] ^= 0xFF
            path.write_bytes(data)
            try:
                card = describe(path)
            except ModelError:
                continue
            tried += 1
            said = outcome(path, card, RuntimeConfig(backend=backend, prove_timeout_s=3.0))  # type: ignore[arg-type]
            assert said is None or (said.startswith(f"{path}: ") and "\n" not in said)

    def test_of_a_file_that_is_gone(self, coco: Case, backend: str, tmp_path: Path) -> None:
        gone = Case(tmp_path / "gone.tflite", coco.card, coco.labels, coco.config)
        assert refusal(gone, RuntimeConfig(backend=backend)).startswith(f"{backend} refuses it: ")


class TestRefusals:
    def test_of_an_answer_that_is_no_detectors(self, backend: str, tmp_path: Path) -> None:
        path = mismatched(tmp_path / "m.tflite")
        said = outcome(path, describe(path), RuntimeConfig(backend=backend))  # type: ignore[arg-type]
        assert said == f"{path}: boxes [1, 9, 4] and scores [1, 18, 2] do not belong together"

    def test_keep_their_kind(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        absent = RuntimeConfig(backend=backend, delegate="edgetpu")  # type: ignore[arg-type]
        assert "libedgetpu build that fits" in refusal(tiny, absent, UnavailableError)
        unknown = RuntimeConfig(backend=backend, delegate="gpu")  # type: ignore[arg-type]
        assert refusal(tiny, unknown, ConfigError).startswith("runtime.delegate: 'gpu' is unknown")
        assert "no device of mine" in refusal(tiny, delegates.told("refuse", backend), UnavailableError)
        assert refusal(tiny, delegates.told("fail-prepare", backend)).startswith(f"{backend} refuses it: ")

    def test_write_nothing_to_stderr(self, tiny: Case, backend: str) -> None:
        program = (
            "from pathlib import Path; from agent.config import RuntimeConfig; from agent.infer import prove; "
            f"from agent.model import describe; path = Path({str(tiny.path)!r}); "
            f"prove(path, describe(path), RuntimeConfig(backend={backend!r}, delegate='edgetpu'))"
        )
        caught = (
            f"from agent.errors import UnavailableError\ntry:\n    {program}\nexcept UnavailableError as e: print(e)"
        )
        ended = subprocess.run([sys.executable, "-c", caught], capture_output=True, text=True, cwd=ROOT, check=False)
        assert ended.stdout.startswith("delegate 'edgetpu': libedgetpu.so.1 is not there")
        assert ended.stderr == ""

    def test_reach_the_user_as_one_line_and_an_exit_code(self, coco: Case, backend: str, assets: Path) -> None:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "agent", "detect", assets / "images/misc/grace_hopper.bmp"),
                *("--model", coco.path, "--backend", backend, "--delegate", "edgetpu"),
            ],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (75, "")
        assert ended.stderr.startswith("edge-agent: delegate 'edgetpu': libedgetpu.so.1 is not there; install ")
        assert ended.stderr.count("\n") == 1
