"""What every test may ask for."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from agent.config import ModelConfig, load
from agent.model import describe, read_labels
from tests.cases import COCO
from tests.delegates import Delegates, build
from tests.models import EXAMPLES, Case, case, installed

ASSETS = Path(os.environ.get("EDGE_ASSETS", Path(__file__).parent.parent.parent / "shared" / "assets"))
"""Real models, pictures and videos; they live outside the repository."""

NewThreads = Callable[[str], list[threading.Thread]]

# How long an example takes says how busy the machine is.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def missing(reason: str) -> None:
    """Skip, but not where everything has to be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _runtime_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the agent counts in memory goes to a folder of the tests, also in processes that they start."""
    before = os.environ.get("RUNTIME_DIRECTORY")
    os.environ["RUNTIME_DIRECTORY"] = str(tmp_path_factory.mktemp("run"))
    yield
    if before is None:
        del os.environ["RUNTIME_DIRECTORY"]
    else:
        os.environ["RUNTIME_DIRECTORY"] = before


@pytest.fixture
def new_threads() -> NewThreads:
    """Threads of a name that began with this test; what a test before left behind is not its own."""
    before = set(threading.enumerate())
    return lambda name: [thread for thread in threading.enumerate() if thread.name == name and thread not in before]


@pytest.fixture(scope="session")
def assets() -> Path:
    if not ASSETS.is_dir():
        missing(f"no assets at {ASSETS}: set EDGE_ASSETS")
    return ASSETS


@pytest.fixture(scope="session", params=installed() or [pytest.param("none", marks=pytest.mark.skip("no runtime"))])
def backend(request: pytest.FixtureRequest) -> str:
    """Each runtime that is installed here, in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def coco(assets: Path) -> Case:
    """The COCO SSD: its path, its card and its labels."""
    card = describe(assets / COCO)
    labels = read_labels(None, card.embedded_labels, num_classes=card.num_classes)
    return Case(assets / COCO, card, labels, ModelConfig())


@pytest.fixture(scope="session")
def face_mask(assets: Path) -> Case:
    """The face-mask SSD with raw heads, by its page of the documentation."""
    config = load(EXAMPLES / "face_mask.toml").model
    return case(assets / "models/face_mask_detection_float.tflite", config, read_labels(EXAMPLES / "face_mask.txt"))


@pytest.fixture(scope="session")
def rfb320(assets: Path) -> Case:
    """The RFB-320 face detector with raw heads, by its page of the documentation."""
    config = load(EXAMPLES / "rfb320.toml").model
    labels = read_labels(EXAMPLES / "rfb320.txt", num_classes=1)
    return case(assets / "models/rfb320_face_float.tflite", config, labels)


@pytest.fixture(scope="session")
def compiler() -> str:
    """A C compiler, for libraries that misbehave on purpose."""
    path = shutil.which("cc")
    if path is None:
        missing("no C compiler (cc): install gcc")
    return str(path)


@pytest.fixture(scope="session")
def delegates(compiler: str, tmp_path_factory: pytest.TempPathFactory) -> Delegates:
    """An external delegate of our own, and libraries that are none."""
    return build(compiler, tmp_path_factory.mktemp("delegates"))
