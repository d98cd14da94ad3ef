"""How much the demo of language models does."""

from dataclasses import dataclass, field

from isthmus.devices.sampler import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """How much is done."""

    cut: str = "1"
    sandwich: str = "1+1"
    links: tuple[str, ...] = ("10mbit/20ms", "1mbit/50ms")
    prompts: tuple[str, ...] = ("ROMEO:\nO, that I might", "\n\nJULIET:\nMy lord, I")
    tokens: int = 40
    """Of each stretch behind a prompt."""
    killed_behind: int = 20
    """Tokens before the server is killed."""
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.7, top_k=40, seed=3))
