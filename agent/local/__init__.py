"""The local socket: what can be asked of an agent on the board itself, by a command line or a script. Never TCP.

``place`` says where it is, ``wire`` what is said there, ``server`` owns the thread "local", ``client`` asks, ``show``
prints. Commands are those of MQTT, judged and remembered by the same desk; ``status`` only looks.
"""

from agent.local.client import Asked, ask
from agent.local.place import candidates, folder_of, runtime_folder
from agent.local.server import Local
from agent.local.show import lines

__all__ = ["Asked", "Local", "ask", "candidates", "folder_of", "lines", "runtime_folder"]
