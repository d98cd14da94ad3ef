"""A bundle as models of an inference server, ours or Triton: what they are called and what their clients are told.

A client that goes from one to the other finds the same names, tensors and parameters.
"""

import json

from isthmus.contract.manifest import Manifest

TAIL, WHOLE = "tail.onnx", "whole.onnx"
WHOLE_SUFFIX = "_whole"
"""Behind the bundle's name: the model of its whole network. The tail has the name alone."""
DIGEST = "isthmus.contract_digest"
"""Parameter of every model: the bundle's contract digest."""


def parameters(manifest: Manifest, network: str) -> dict[str, str]:
    """What a client has to know and no protocol has a field for: ranges and points of codes, or how a picture is prepared.

    Args:
        manifest: of the bundle.
        network: `TAIL` or `WHOLE`.
    """
    if network == TAIL:
        points = {point.name: list(point.channels) for point in manifest.points}
        boundary = manifest.boundary.model_dump(mode="json")["tensors"]
        told = {"isthmus.boundary": _compact(boundary), "isthmus.points": _compact(points)}
    else:
        preparation = manifest.preparation
        told = {} if preparation is None else {"isthmus.preparation": _compact(preparation.model_dump(mode="json"))}
    return {DIGEST: manifest.contract_digest, **told}


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
