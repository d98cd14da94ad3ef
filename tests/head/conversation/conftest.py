"""Real servers of a small language model, and what each half of it would say alone."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from isthmus.codec.hidden.calibration import of_bundle
from isthmus.codec.hidden.codec import HiddenCodec
from isthmus.codec.payload import Mode
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.bundle_writing import write_language
from isthmus.contract.language import LOCAL, Layers
from isthmus.devices.decoder.decoder import Decoder
from isthmus.devices.sampler import Sampling, draw
from isthmus.export.language import blueprint
from isthmus.export.language.builder import Builder, Stretch
from isthmus.export.language.tensors import FolderTensors
from isthmus.head.conversation.conversation import Conversation
from isthmus.head.conversation.settings import TalkSettings

PROMPT = tuple(int(one) for one in np.random.default_rng(5).integers(2, 300, 90))
SAMPLING = Sampling(temperature=0.2, top_k=5, repetition_penalty=4, seed=11)
"""Without its penalty, tokens would soon come again."""


class Alone:
    """Both halves in one place, through the codec as in a conversation."""

    def __init__(self, bundle: LanguageBundle) -> None:
        names = ("head.onnx", "tail.onnx", *(("last.onnx",) if bundle.has("last.onnx") else ()))
        self.parts = [Decoder.of_bundle(bundle, name) for name in names]
        self.codec = HiddenCodec(of_bundle(bundle, bundle.manifest.width))

    def answer(
        self, prompt: tuple[int, ...], count: int, sampling: Sampling = SAMPLING, mode: Mode = Mode.HIDDEN_INT8
    ) -> list[int]:
        """Tokens of one conversation that nothing ever happens to."""
        caches = [part.new_cache(256) for part in self.parts]
        ids, pos = list(prompt), 0
        while len(ids) < len(prompt) + count:
            rows = np.array(ids[pos:], np.int64)
            for index, (part, cache) in enumerate(zip(self.parts, caches, strict=True)):
                if index:
                    rows = self.codec.decode(self.codec.encode(rows, Mode.HIDDEN_INT8), len(rows))
                rows = part.run(rows, cache, pos)
            pos = len(ids)
            ids.append(draw(rows[-1], SAMPLING, position=pos, answer=ids[len(prompt) :]).id)
        return ids[len(prompt) :]


@pytest.fixture(scope="session")
def whole_bundle(
    make_language_folder: Callable[..., Path],
    language_bundle: LanguageBundle,
    tmp_path_factory: pytest.TempPathFactory,
) -> LanguageBundle:
    """As `language_bundle`, never ending an answer, and with the whole model in `local.onnx`."""
    made, folder = language_bundle, make_language_folder()
    target = tmp_path_factory.mktemp("whole")
    plan = blueprint.read(folder)
    with FolderTensors(folder) as tensors:
        stretch = Stretch(first=0, last=4, embeds=True, predicts=True)
        network = Builder(plan, tensors, positions=256).write(target / LOCAL, stretch)
    local = Layers(first=0, layers=4, parameters=network.parameters, size_bytes=0)
    manifest = made.manifest.model_copy(update={"local": local, "eos": ()})
    files = {name: made.path(name) for name in made.manifest.files}
    return write_language(target / "bundle", manifest, {**files, **network.files})


@pytest.fixture
def talk() -> Iterator[Callable[..., Conversation]]:
    """A function that begins a conversation."""
    with contextlib.ExitStack() as stack:

        def begin(bundle, *addresses, sampling=SAMPLING, **settings) -> Conversation:
            made = Conversation(bundle, addresses, sampling=sampling, settings=TalkSettings(**{"patience_s": 5.0, **settings}))
            stack.callback(made.close)
            return made

        yield begin
