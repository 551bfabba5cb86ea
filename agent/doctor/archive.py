"""``doctor --capture``: a small archive of the board's sensors and a short benchmark, without what names the board.

In it: ``tree/`` (a ``measure.sys_root`` for tests), ``doctor.json`` (ids and severities; what was seen stays here),
``bench.json`` when a benchmark was given, ``README.txt``. No owner, time or name of this machine is in its headers.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent.doctor.record import Diagnosis
from agent.errors import StorageError
from agent.files import write_whole
from agent.measure.capture import Capture

_README = """\
A board's sensors as edge-agent read them, to be unpacked as a folder for measure.sys_root.
Left out on purpose: serial numbers, addresses, host and user names, the machine id, whatever doctor saw in words.
Look through it before you give it away: tar tzf FILE, tar xzOf FILE | less
"""


def write_archive(target: Path, taken: Capture, diagnosis: Diagnosis, bench: Mapping[str, object] | None = None) -> int:
    """Write the archive whole or not at all.

    Returns:
        Its size, bytes.

    Raises:
        StorageError: it cannot be written.
    """
    brief = {
        "format": "edge-agent.capture/1",
        "agent": diagnosis.agent,
        "machine": diagnosis.board.machine,
        "python": diagnosis.board.python,
        "is_cut": taken.is_cut,
        "blocked": taken.blocked,
        "findings": [{"id": item.id, "severity": item.severity} for item in diagnosis.findings],
    }
    files = {"README.txt": _README.encode(), "doctor.json": msgspec.json.encode(brief)}
    if bench is not None:
        files["bench.json"] = msgspec.json.encode(bench)
    files |= {f"tree/{name}": data for name, data in sorted(taken.files.items())}
    data = _packed(files)
    try:
        write_whole(target, data)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}; name another file") from None
    return len(data)


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    # Not "w:gz": it writes the file's name and the time into the header.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
