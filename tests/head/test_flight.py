"""When a capture counts as landed."""

import threading
import time
from concurrent.futures import Future

import numpy as np

from isthmus.head.flight import Flight
from isthmus.head.frame import Frame
from isthmus.head.ledger import Ledger, Origin
from isthmus.head.pending import Pending
from isthmus.head.reply import Reply
from isthmus.head.sink import Callback


def test_a_frame_is_waited_for_until_its_record_is_written(tiny_bundle, picture):
    entering, may_write, written = threading.Event(), threading.Event(), []

    def write(record):
        entering.set()
        may_write.wait(20)
        written.append(record)

    ledger = Ledger(tiny_bundle.manifest, device_id="camera", deadline_s=None, sinks=[Callback(write)])
    flight = Flight(ledger, give_up=lambda *_: None, on_error=written.append)
    future = Future()
    frame = Frame(sequence=0, image=picture, captured_s=time.monotonic())
    flight.expect(future, Pending(frame, {}), Origin(placement="split", setting="full"))
    outputs = {"scores": np.zeros((1, 5), np.float32)}
    reply = Reply(sequence=0, status="ok", message="", outputs=outputs, round_trip_s=0.0, server_s={}, network_s=0.0)
    reader = threading.Thread(target=future.set_result, args=(reply,))
    reader.start()
    assert entering.wait(20)
    threading.Timer(0.3, may_write.set).start()
    assert flight.wait(20) == []
    assert [record.sequence for record in written] == [0]
    reader.join()
