"""The split network while it is trained: encoder, quantiser, decoder, and the tail in torch."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from isthmus.export.bottlenecks.convolutional import round_straight_through
from isthmus.export.training import fake_int8, nesting
from isthmus.export.training.interpreter import OnnxModule
from isthmus.export.training.prior import FactorisedPrior
from isthmus.export.training.recipe import Module, Stage

Quantiser = Literal["trained", "noise", "after"]


class Student(nn.Module):
    """What is trained.

    Args:
        encoder: pictures -> code units.
        decoder: codes -> the tensor at the cut.
        tail: takes that tensor; its weights that may be trained are parameters.
        quantiser: see `recipe.Recipe.quantiser`.
        code_range: smallest and largest code.
        prior: of the codes, where a recipe rates them by one.
        counts: channels of the operating points, all of them first; empty where there is one point.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        tail: OnnxModule,
        *,
        quantiser: Quantiser,
        code_range: tuple[int, int],
        prior: FactorisedPrior | None = None,
        counts: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.tail = tail
        self.prior = prior
        self.quantiser = quantiser
        self.code_range = code_range
        self.counts = counts
        self.in_int8 = False

    def parts(self, module: Module) -> list[nn.Module]:
        """The modules that a recipe calls by one name; the prior is trained with the encoder whose codes it describes."""
        if module == "encoder":
            return [self.encoder] if self.prior is None else [self.encoder, self.prior]
        return [self.decoder if module == "decoder" else self.tail]

    def enter(self, stage: Stage) -> None:
        """Let the stage's modules learn and freeze the others, their batch norms too."""
        self.in_int8 = stage.int8
        named: tuple[Module, ...] = ("encoder", "decoder", "tail")
        for name in named:
            for part in self.parts(name):
                part.train(name in stage.trains).requires_grad_(name in stage.trains)

    def codes(self, pictures: Tensor) -> Tensor:
        """float32[batch, channel, row, column] as the decoder gets them: rounded, with noise, or as they are."""
        units = (fake_int8.computed(self.encoder, pictures) if self.in_int8 else self.encoder(pictures)).float()
        if self.quantiser == "after":
            return units
        if self.quantiser == "noise" and self.encoder.training:
            return units + torch.rand_like(units) - 0.5
        return round_straight_through(units, *self.code_range)

    def sent(self, codes: Tensor) -> Tensor:
        """The same codes as operating points that are drawn for each picture send them."""
        return nesting.thinned(codes, self.counts)

    def restored(self, codes: Tensor) -> Tensor:
        """The tensor at the cut."""
        restored: Tensor = self.decoder(codes)
        return restored

    def behind(self, restored: Tensor, features: Sequence[str], *, answers: bool) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Tensors of the tail by their names, and its outputs in order where they are wanted; nothing else is computed."""
        outputs = self.tail.output_names if answers else ()
        found = self.tail.compute((*features, *outputs), restored)
        return dict(zip(features, found, strict=False)), list(found[len(features) :])
