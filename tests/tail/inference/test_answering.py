import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.tail.inference.answering import Answering, Caller
from isthmus.tail.inference.models import Model
from isthmus.tail.interface import tail_interface
from isthmus.tail.job import Job
from isthmus.tail.settings import ServerSettings


class Slow:
    """A batcher that finishes a job when it is told to."""

    def submit(self, work, on_done, *, kind, expires_at, **_options):
        self.job = Job(work=work, kind=kind, expires_at=expires_at, on_done=on_done, queued_at=0.0)
        return self.job


async def test_a_job_that_is_done_in_the_moment_in_which_its_call_is_cancelled_harms_nobody(tiny_bundle, ask):
    batcher = Slow()
    model = Model(
        name="tiny",
        served=SimpleNamespace(batcher=batcher, version="1"),
        network="tail.onnx",
        interface=tail_interface(tiny_bundle.manifest, [], rows_free=True),
    )
    request = ask("tiny", codes=np.zeros((1, 4, 4, 4), np.int8))
    call = asyncio.create_task(Answering(ServerSettings()).answer(request, model, Caller(client="somebody")))
    await asyncio.sleep(0)
    call.cancel()
    batcher.job.on_done(batcher.job)
    with pytest.raises(asyncio.CancelledError):
        await call
    assert batcher.job.cancelled
