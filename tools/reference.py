"""Generated files: settings, knobs and a benchmark's schema in ``docs/``, ``asyncapi.json`` from the MQTT contract.

``python -m tools.reference`` writes them, ``--check`` says which are stale and changes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

from agent import bench
from agent.config import Config, Setting, settings
from agent.doctor import Diagnosis
from agent.model.schema import schema_files
from agent.parity import Comparison
from agent.publish import asyncapi
from tools import doctor_page, knobs_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "agent" / "publish"

_HEAD = """\
# Settings

Every setting of the configuration file (TOML), with its default. Made by `python -m tools.reference` from
`agent/config/tables.py`; change it there.

`edge-agent config init FILE` writes a file with all of them commented out, `edge-agent config explain KEY` prints a row
of this page, `edge-agent config show` prints a file with its defaults. A relative path is taken from the
file's folder. An unknown key is refused by name, with the nearest
known one; so is a value of the wrong type or out of its range.
"""


def settings_page() -> str:
    """``docs/settings.md``."""
    lines = [_HEAD]
    for table, rows in groupby(settings(), key=lambda row: row.key.rpartition(".")[0]):
        lines += [f"## `{_heading(table)}`", "", _sentence(table), *_table(rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def _heading(table: str) -> str:
    return f"[[{table.replace('[]', '')}]]" if table.endswith("[]") else f"[{table}]"


def _sentence(table: str) -> str:
    """What the table's own docstring says; nested tables are explained where they are used."""
    hint = get_type_hints(Config).get(table.removesuffix("[]"))
    kind = next(iter(get_args(hint)), hint)
    return f"{(kind.__doc__ or '').splitlines()[0]}\n" if kind else "See [models](models.md).\n"


def _table(rows: Iterable[Setting]) -> list[str]:
    lines = ["| setting | type | default | allowed | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (
            f"`{row.key.rpartition('.')[2]}`",
            row.kind + (f", {row.unit}" if row.unit else ""),
            f"`{row.default}`" if row.default else "",
            row.allowed,
            row.description,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def schema_page() -> str:
    """``docs/schemas/bench-result.json``."""
    return json.dumps(bench.schema(), indent=2) + "\n"


def _schema(record: type) -> str:
    return json.dumps(msgspec.json.schema(record), indent=1) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "rendered-camera.md": knobs_page.page,
    "doctor.md": doctor_page.page,
    "schemas/bench-result.json": schema_page,
    "schemas/doctor.json": lambda: _schema(Diagnosis),
    "schemas/parity.json": lambda: _schema(Comparison),
}
PAGES |= {name: partial(schema_files().__getitem__, name) for name in schema_files()}
SHIPPED: dict[str, Callable[[], str]] = {asyncapi.FILE_NAME: asyncapi.text}
"""What lies in the package itself."""


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check them; 1 when one is stale."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description="Write the generated pages.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a page is stale")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the pages")
    parser.add_argument("--package", type=Path, default=PACKAGE, help="folder of what is shipped with the code")
    asked = parser.parse_args(arguments)
    files = {asked.docs / name: page for name, page in PAGES.items()}
    files |= {asked.package / name: make for name, make in SHIPPED.items()}
    stale = [path for path, make in files.items() if not _same(path, make())]
    for path in stale:
        if not asked.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path](), encoding="utf-8")
        sys.stdout.write(f"{path}: {'is stale; run make docs' if asked.check else 'written'}\n")
    return 1 if asked.check and stale else 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
