"""Answer a folder of pictures (or a video, or camera:0) through an edge server.

python examples/answer_pictures.py model.isthmus pictures/ 127.0.0.1:8001
"""

import logging
import sys

import structlog

from isthmus.contract.bundle import open_bundle
from isthmus.head.agent import Agent
from isthmus.head.ledger import Ledger
from isthmus.head.link import Link
from isthmus.head.placement import Split
from isthmus.head.record import Record
from isthmus.head.sink import Callback
from isthmus.head.source import open_source


def show(record: Record) -> None:
    if record.classification is not None:
        words = record.classification.label
    elif record.detections is not None:
        words = ", ".join(f"{found.label} at {found.box}" for found in record.detections) or "nothing seen"
    else:
        words = f"no answer: {record.reason} {record.detail}"
    print(record.name or record.sequence, words)


def main(path: str, source: str, tail: str) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    bundle = open_bundle(path)
    with open_source(source) as frames, Link(bundle, [tail], device_id="example") as link:
        link.wait_connected(10.0)
        ledger = Ledger(bundle.manifest, device_id="example", deadline_s=None, sinks=[Callback(show)])
        Agent(source=frames, placement=Split(bundle), ledger=ledger, link=link, drop_policy="wait").run()


if __name__ == "__main__":
    main(*sys.argv[1:4])
