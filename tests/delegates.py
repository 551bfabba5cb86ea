"""Shared libraries made on the spot: a delegate that does as it is told, and things that are no delegate."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from agent.config import RuntimeConfig

SOURCE = Path(__file__).parent / "native" / "delegate.c"


@dataclass(frozen=True)
class Delegates:
    """Paths of the libraries."""

    whole: Path
    half: Path
    other: Path

    def told(self, order: str, backend: str, **options: str) -> RuntimeConfig:
        """Settings with the delegate told to do something."""
        return RuntimeConfig(
            backend=backend,  # type: ignore[arg-type]
            delegate=str(self.whole),
            delegate_options={"do": order, **options},
        )


def build(compiler: str, folder: Path) -> Delegates:
    whole, half, other = (folder / name for name in ("libwhole.so", "libhalf.so", "libother.so"))
    empty = folder / "other.c"
    empty.write_text("int answer(void) { return 42; }\n")
    for source, target, *flags in ((SOURCE, whole), (SOURCE, half, "-DNO_DESTROY"), (empty, other)):
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", *flags, "-o", target, source], check=True)
    return Delegates(whole, half, other)
