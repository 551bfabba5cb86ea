"""A child that stays: its answers are the detector's own, and its death is a sentence."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.config import ModelConfig, RuntimeConfig
from agent.errors import ModelError, UnavailableError
from agent.infer import Detector, Tenant, choose_backend
from agent.model import describe
from agent.preprocess import Preprocessor
from agent.records import Labels
from tests.delegates import Delegates
from tests.models import Case, picture
from tests.tiny import heads, mismatched


@pytest.fixture
def tiny(tmp_path: Path) -> Case:
    path = heads().write(tmp_path / "m.tflite")
    return Case(path, describe(path), Labels(), ModelConfig())


def zeros(case: Case) -> np.ndarray:
    return np.zeros(case.card.input.shape, case.card.input.dtype)


def said(fault: pytest.ExceptionInfo[BaseException], case: Case) -> str:
    assert "\n" not in str(fault.value)
    return str(fault.value).removeprefix(f"{case.path}: ")


class TestAnswers:
    def test_are_those_of_the_detector_to_the_last_bit(self, coco: Case, backend: str, assets: Path) -> None:
        config = RuntimeConfig(backend=backend)  # type: ignore[arg-type]
        tensor = Preprocessor(coco.card, ModelConfig())(picture(assets / "images/misc/pets.jpg"))
        own = Detector(coco.path, coco.card, choose_backend(backend), config).invoke(tensor)
        with Tenant(coco.path, coco.card, config) as tenant:
            for _ in range(2):
                reply = tenant.invoke(tensor)
                for name in ("boxes", "scores", "classes", "count"):
                    np.testing.assert_array_equal(getattr(reply.outputs, name), getattr(own, name))
                assert reply.invoke_s > 0
            assert tenant.info.backend == backend
            assert tenant.load_s > 0

    def test_raw_heads_come_without_classes(self, tiny: Case, backend: str) -> None:
        with Tenant(tiny.path, tiny.card, RuntimeConfig(backend=backend)) as tenant:  # type: ignore[arg-type]
            tensor = np.arange(36, dtype=np.uint8).reshape(tiny.card.input.shape)
            outputs = tenant.invoke(tensor).outputs
            assert outputs.classes is None
            np.testing.assert_array_equal(outputs.boxes.ravel(), np.arange(36) * np.float32(0.5))

    def test_a_delegate_that_prints_to_stdout_does_not_spoil_them(
        self, tiny: Case, backend: str, delegates: Delegates
    ) -> None:
        with Tenant(tiny.path, tiny.card, delegates.told("print", backend)) as tenant:
            assert tenant.invoke(zeros(tiny)).outputs.boxes.shape == (1, 9, 4)

    def test_a_wrong_tensor_is_refused_and_the_next_one_answered(self, tiny: Case, backend: str) -> None:
        with Tenant(tiny.path, tiny.card, RuntimeConfig(backend=backend)) as tenant:  # type: ignore[arg-type]
            with pytest.raises(ModelError, match="does not run"):
                tenant.invoke(np.zeros((1, 1, 1, 3), np.uint8))
            assert tenant.invoke(zeros(tiny)).outputs.boxes.shape == (1, 9, 4)


class TestDeath:
    def test_while_it_loads(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        with pytest.raises(ModelError) as fault:
            Tenant(tiny.path, tiny.card, delegates.told("crash-invoke", backend))
        assert said(fault, tiny) == "crashes the runtime (SIGSEGV); the delegate is another build"

    def test_by_hanging(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        told = msgspec.structs.replace(delegates.told("hang-invoke", backend), prove_timeout_s=1.5)
        with pytest.raises(ModelError) as fault:
            Tenant(tiny.path, tiny.card, told)
        assert said(fault, tiny) == "no answer within 1.5 s; it hangs, or this board is slow"

    def test_by_an_exit_of_a_librarys_own(self, tiny: Case, backend: str, delegates: Delegates) -> None:
        with pytest.raises(ModelError) as fault:
            Tenant(tiny.path, tiny.card, delegates.told("exit", backend))
        assert said(fault, tiny) == "its child process ended: exit code 3"

    def test_of_a_child_that_was_killed_between_two_answers(self, tiny: Case, backend: str) -> None:
        with Tenant(tiny.path, tiny.card, RuntimeConfig(backend=backend)) as tenant:  # type: ignore[arg-type]
            tenant._child.kill()
            with pytest.raises(ModelError, match="was killed"):
                tenant.invoke(zeros(tiny))

    def test_after_a_missed_deadline_no_late_answer_can_come(self, tiny: Case, backend: str) -> None:
        config = RuntimeConfig(backend=backend)  # type: ignore[arg-type]
        with Tenant(tiny.path, tiny.card, config, timeout_s=0.2) as tenant:
            tenant._child.send_signal(signal.SIGSTOP)  # a fast child would answer by any deadline
            with pytest.raises(ModelError, match=r"no answer within 0\.2 s"):
                tenant.invoke(zeros(tiny))
            assert tenant._child.wait(10.0) == -signal.SIGKILL

    def test_leaves_no_process(self, tiny: Case, backend: str) -> None:
        tenant = Tenant(tiny.path, tiny.card, RuntimeConfig(backend=backend))  # type: ignore[arg-type]
        tenant.close()
        assert tenant._child.returncode is not None
        tenant.close()


def test_refusals_keep_their_kind(tiny: Case, backend: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="libedgetpu"):
        Tenant(tiny.path, tiny.card, RuntimeConfig(backend=backend, delegate="edgetpu"))  # type: ignore[arg-type]
    path = mismatched(tmp_path / "bad.tflite")
    with pytest.raises(ModelError, match="do not belong together"):
        Tenant(path, describe(path), RuntimeConfig(backend=backend))  # type: ignore[arg-type]
