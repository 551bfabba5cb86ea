"""Stage 8: telemetry to an MQTT broker. In: records, from any thread. Out: the contract's payloads.

Ways through this room::

    Publisher -> inbox -> intake -> cards (last values)     -> session -> link -> broker
                                 -> spool, outbox (what must arrive) -> order ^

``publisher`` is the front and owns the thread ``mqtt``; ``network`` is that thread's loop; ``session`` judges what is
said next; ``paho_link`` is the only file that knows paho-mqtt. ``contract`` and ``topics`` are what other programs may
rely on. Without a broker everything is taken in all the same and waits: ``outbox`` in memory, ``store`` on the disk,
``spool`` judges between them; ``gather`` merges windows to the profile's length, ``order`` says what is sent next.
"""

from agent.publish import asyncapi, certificate, listing
from agent.publish.batch import decode_batch
from agent.publish.home_assistant import HomePlan
from agent.publish.home_assistant import plan as plan_home
from agent.publish.inbound import INBOUND
from agent.publish.probe import check
from agent.publish.publisher import Publisher
from agent.publish.purge import purge
from agent.publish.stamp import wall_clock
from agent.publish.status import PublisherStatus
from agent.publish.topics import BATCHES, IMAGE, RAW, TOPICS, decode, metric_dictionary, schemas

__all__ = [
    "BATCHES",
    "IMAGE",
    "INBOUND",
    "RAW",
    "TOPICS",
    "HomePlan",
    "Publisher",
    "PublisherStatus",
    "asyncapi",
    "certificate",
    "check",
    "decode",
    "decode_batch",
    "listing",
    "metric_dictionary",
    "plan_home",
    "purge",
    "schemas",
    "wall_clock",
]
