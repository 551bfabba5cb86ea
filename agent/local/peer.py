"""Who is at the other end, by the kernel's word (unix(7), SO_PEERCRED)."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""include/uapi/asm-generic/socket.h, Linux 4.13; Python has no name for it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process that connected."""

    pid: int
    uid: int
    groups: frozenset[int]

    def __str__(self) -> str:
        return f"process {self.pid} of user {self.uid}"


def peer_of(connection: socket.socket) -> Peer:
    """Who connected; raises OSError when the kernel does not say."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    try:
        more = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 256)
    except OSError:
        more = b""
    groups = struct.unpack(f"{len(more) // 4}I", more)
    return Peer(pid, uid, frozenset({gid, *groups}))


def may_command(peer: Peer, *, group: bool) -> bool:
    """Root, the agent's own user, and its group where the socket is the group's."""
    return peer.uid in {0, os.geteuid()} or (group and os.getegid() in peer.groups)
