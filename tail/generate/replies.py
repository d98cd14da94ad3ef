"""What goes back in one conversation."""

from isthmus.contract.generated import split_pb2 as wire
from isthmus.tail.streams.outgoing import Outgoing


class Replies(Outgoing[wire.StepReply]):
    """Replies and other messages, in the order in which they became ready."""

    def _complete(self, item: wire.StepReply) -> wire.StepReply:
        if item.HasField("tokens"):
            self._client.ask(self)
            item.tokens.allowed = self._told = self.allowed
        return item

    def _credit_message(self) -> wire.StepReply:
        return wire.StepReply(credit=wire.Credit(allowed=self.allowed))
