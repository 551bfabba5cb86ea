"""The errors of the agent, as a tree; each carries the exit code that systemd sees.

::

    AgentError                 70  a bug, when nothing more precise is known
    ├── ConfigError            78  a setting is wrong: restarting cannot help
    ├── ModelError             65  the model, its labels or its bundle are wrong
    ├── CameraError            66  no camera, or no picture from it
    ├── BrokerError            69  the broker refuses us (from ``check`` only)
    ├── StorageError           74  disk: cannot read or write
    ├── UnavailableError       75  not there yet, try again: a delegate, a runtime
    └── RestartError           75  no fault: a command or a limit asked for a new start

Codes are those of sysexits.h; ``RestartPreventExitStatus=2 78`` in the unit stops the hopeless ones.
Every message is one line: what was wrong, where, and what to do.
"""

from __future__ import annotations


class AgentError(Exception):
    """What the agent reports to a person instead of a traceback."""

    exit_code = 70


class ConfigError(AgentError):
    """A setting is unknown, of the wrong type or out of range."""

    exit_code = 78


class ModelError(AgentError):
    """The model, its labels or its bundle cannot be used."""

    exit_code = 65


class CameraError(AgentError):
    """The camera cannot be opened or gives no picture."""

    exit_code = 66


class BrokerError(AgentError):
    """The broker cannot be reached or refuses us."""

    exit_code = 69


class StorageError(AgentError):
    """A file cannot be read or written."""

    exit_code = 74


class UnavailableError(AgentError):
    """Something that may appear later is missing: a delegate library, a runtime package."""

    exit_code = 75


class RestartError(AgentError):
    """A command or a limit asked for a new start; whoever supervises the agent gives it."""

    exit_code = 75
