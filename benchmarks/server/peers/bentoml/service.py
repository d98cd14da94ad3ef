"""BentoML's way: a service class behind an HTTP server. Codes cross in base64 in JSON, scores come back as bytes."""

import base64

import bentoml
from session import Tail


@bentoml.service(workers=1, traffic={"timeout": 30}, metrics={"enabled": False}, logging={"access": {"enabled": False}})
class TailService:
    """Runs `tail.onnx`."""

    def __init__(self):
        self._tail = Tail()

    @bentoml.api
    async def predict(self, codes: str) -> bytes:
        # On the event loop: with one worker a thread would only be a detour.
        return self._tail.run_bytes(base64.b64decode(codes))
