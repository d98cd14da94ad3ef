"""How a conversation is had."""

from dataclasses import dataclass

from isthmus.codec.payload import Mode

TOKENS = "tokens"
"""The layout in which token ids cross."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkSettings:
    """How a conversation is had."""

    layout: str = ""
    """Empty: that of the bundle. `tokens` sends token ids, where the server has the whole model."""
    mode: Mode = Mode.HIDDEN_INT8
    """Of hidden states; half the bytes of fp16 and hardly any error."""
    local: bool = False
    """Everything on the device, with `local.onnx`."""
    threads: int = 1
    """Inside one operator."""
    patience_s: float = 15.0
    """How long a server is looked for where the device cannot go on alone."""
    device_id: str = "chat"
