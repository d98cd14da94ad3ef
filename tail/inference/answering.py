"""From a request to its response: the checks, a place in the bundle's queue, the answer.

Requests wait in the same queues as the frames of device streams, and a frame of codes may share a run with theirs. A request that
is cancelled, or whose time is over, is not computed.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import structlog

from isthmus.contract.generated import open_inference_pb2 as wire
from isthmus.contract.models import TAIL
from isthmus.errors import DeadlinePassed, DeviceError, IsthmusError, LimitExceeded
from isthmus.tail.inference import question as questions
from isthmus.tail.inference.models import Model
from isthmus.tail.inference.question import Question
from isthmus.tail.job import Job
from isthmus.tail.model import Computed, Work
from isthmus.tail.settings import ServerSettings

INLINE_ELEMENTS_MAX = 65_536
"""Elements that are read on the event loop: tens of microseconds from raw bytes, some milliseconds one by one. More go to a
thread."""
_ENVELOPE_BYTES = 64 << 10
"""Room for what a response has beside its outputs."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, for the queue to be fair."""

    client: str
    stream: Hashable = None
    """Requests of one stream keep their order."""
    remaining_s: float | None = None
    """Time that the call has left."""


class Answering:
    """Answers requests; on the event loop only.

    Args:
        settings: limits, and what is refused.
        clock: seconds, monotonic; the batchers' clock.
    """

    def __init__(self, settings: ServerSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock

    async def answer(self, request: wire.ModelInferRequest, model: Model, caller: Caller) -> wire.ModelInferResponse:
        """Answer one request.

        Args:
            request: as it came.
            model: that it is for.
            caller: who asks.

        Raises:
            RemoteProtocolError: the request does not fit the model.
            Overloaded: the queue is full, or the place in it went to another client.
            TailUnavailable: the bundle was unloaded meanwhile.
            DeadlinePassed: the time was over before it was computed.
            LimitExceeded: the answer is larger than a message may be.
            IsthmusError: the network failed on it.
        """
        arrived_at = self._clock()
        question = questions.check(request, model.interface, self._settings)
        times_s = [time_s for time_s in (question.timeout_s, caller.remaining_s) if time_s is not None]
        work = await self._read(request, question, model)
        computed = await self._compute(model, work, caller, arrived_at + min(times_s) if times_s else None)
        return self._response(request, question, model, computed)

    async def _read(self, request: wire.ModelInferRequest, question: Question, model: Model) -> Work:
        refuse = self._settings.refuse_nonfinite
        if question.elements <= INLINE_ELEMENTS_MAX:
            tensors = questions.unpack(request, question, model.interface, refuse_nonfinite=refuse)
        else:
            tensors = await asyncio.to_thread(questions.unpack, request, question, model.interface, refuse_nonfinite=refuse)
        return _work(model, question, tensors)

    async def _compute(self, model: Model, work: Work, caller: Caller, expires_at: float | None) -> Computed:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def is_done(_job: Job[Work, Computed]) -> None:
            # A call that is cancelled cancels this future at once, and its job only when it runs again.
            if not done.done():
                done.set_result(None)

        job = model.served.batcher.submit(
            work,
            is_done,
            kind=work.company,
            expires_at=expires_at,
            client=caller.client,
            stream=caller.stream,
            size_bytes=work.size_bytes,
            light=work.kind == "codes",
        )
        try:
            await done
        except asyncio.CancelledError:
            job.cancel()
            raise
        if job.result is None:
            raise _failure(job)
        return job.result

    def _response(
        self, request: wire.ModelInferRequest, question: Question, model: Model, computed: Computed
    ) -> wire.ModelInferResponse:
        by_name = {output.name: output for output in computed.outputs}
        outputs = [by_name[name] for name in question.outputs]
        size_bytes = sum(len(output.data) for output in outputs)
        if size_bytes + _ENVELOPE_BYTES > self._settings.limits.message_bytes:
            raise LimitExceeded(
                f"the outputs have {size_bytes} bytes, a message has at most {self._settings.limits.message_bytes}; "
                "ask for fewer frames or outputs at once"
            )
        return wire.ModelInferResponse(
            model_name=model.name,
            model_version=model.served.version,
            id=request.id,
            outputs=[
                wire.ModelInferResponse.InferOutputTensor(name=output.name, datatype=output.datatype, shape=output.shape)
                for output in outputs
            ],
            raw_output_contents=[output.data for output in outputs],
        )


def _work(model: Model, question: Question, tensors: dict[str, np.ndarray]) -> Work:
    if model.network == TAIL and question.rows == 1:
        # As a frame of a device stream, so that both share a run.
        return Work(kind="codes", codes=tuple(tensors[name][0] for name in model.interface.inputs))
    return Work(kind="tensors", network=model.network, tensors=tensors)


def _failure(job: Job[Work, Computed]) -> IsthmusError:
    """What is said of a job without a result."""
    if job.expired:
        return DeadlinePassed("the time for this request was over before it was computed")
    if isinstance(job.error, DeviceError):
        # The request is at fault as likely as the machine: to try again elsewhere, as UNAVAILABLE asks for, gives the same.
        return IsthmusError(str(job.error))
    if isinstance(job.error, IsthmusError):
        return job.error
    _log.error("computing failed", error=repr(job.error))
    return IsthmusError("the server failed on this request; its log says why")
