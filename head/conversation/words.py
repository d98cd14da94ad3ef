"""Text to tokens and back, on the device: the bundle's tokenizer and its chat template.

A template is a program that came with the bundle: it runs in jinja's sandbox, sees the messages and a few constants, and changes
nothing.
"""

import json
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from isthmus.contract import small_file
from isthmus.contract.bundle import LanguageBundle
from isthmus.contract.language import TOKENIZER
from isthmus.errors import BundleError, ConfigError

CONFIG, TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
CONFIG_MAX_BYTES, TOKENIZER_MAX_BYTES = 4 << 20, 128 << 20
"""The largest vocabularies in use are 35 MB as JSON."""

Message = Mapping[str, str]
"""`role` (system, user, assistant) and `content`."""


class Words:
    """The tokenizer of one bundle.

    Args:
        bundle: opened and checked.

    Raises:
        BundleError: it has no tokenizer, or one that cannot be read.
        ConfigError: the package `tokenizers` is missing.
    """

    def __init__(self, bundle: LanguageBundle) -> None:
        self._origin = bundle.origin
        data = small_file.read(bundle.path(TOKENIZER), size_max=TOKENIZER_MAX_BYTES, error=BundleError)
        try:
            self._tokenizer = _import_tokenizers().Tokenizer.from_str(data.decode("utf-8"))
        except Exception as error:  # its own exceptions are plain ones
            raise BundleError(f"{bundle.origin}: {TOKENIZER} cannot be read ({error})") from error
        self._config = _config(bundle)
        self._template = self._find_template(bundle)

    @property
    def has_template(self) -> bool:
        """Whether the model was made for messages; without, it goes on with a text."""
        return self._template is not None

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Tokens of a text; `special` puts before and behind it what the tokenizer wants there."""
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a conversation up to where the model shall answer. Without a template, of the contents one after the other.

        Raises:
            BundleError: the template fails on these messages.
        """
        if self._template is None:
            return self.encode("\n".join(message["content"] for message in messages))
        import jinja2

        try:
            text = self._template.render(messages=[dict(message) for message in messages], **self._constants())
        except jinja2.TemplateError as error:
            raise BundleError(f"{self._origin}: the chat template cannot take these messages: {error}") from error
        except Exception as error:
            raise BundleError(f"{self._origin}: the chat template failed: {error!r}") from error
        return self.encode(text, special=False)

    def _constants(self) -> dict[str, Any]:
        named = {name: _token(self._config.get(name)) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
        return {"add_generation_prompt": True, "tools": None, **named}

    def _find_template(self, bundle: LanguageBundle) -> Any:  # noqa: ANN401 - jinja2 comes when it is needed
        text = self._config.get("chat_template")
        if bundle.has(TEMPLATE):
            text = small_file.read(bundle.path(TEMPLATE), size_max=CONFIG_MAX_BYTES, error=BundleError).decode("utf-8", "replace")
        if not isinstance(text, str):
            return None
        sandbox = _import_sandbox()
        import jinja2

        environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        try:
            return environment.from_string(text)
        except jinja2.TemplateError as error:
            raise BundleError(f"{bundle.origin}: the chat template cannot be read: {error}") from error


def _refuse(message: str) -> None:
    """What templates call when they cannot take the messages."""
    import jinja2

    raise jinja2.TemplateError(message)


def _config(bundle: LanguageBundle) -> dict[str, Any]:
    if not bundle.has(CONFIG):
        return {}
    data = small_file.read(bundle.path(CONFIG), size_max=CONFIG_MAX_BYTES, error=BundleError)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{bundle.origin}: {CONFIG} is not JSON ({error})") from error
    return found if isinstance(found, dict) else {}


def _token(said: object) -> str:
    """A special token as text; some configurations describe it at length."""
    if isinstance(said, dict):
        said = said.get("content")
    return said if isinstance(said, str) else ""


def _import_tokenizers() -> ModuleType:
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ConfigError("a conversation needs the package 'tokenizers': pip install 'isthmus[llm]'") from error
    return tokenizers


def _import_sandbox() -> ModuleType:
    try:
        import jinja2.sandbox
    except ModuleNotFoundError as error:
        raise ConfigError("the chat template of this bundle needs the package 'jinja2': pip install 'isthmus[llm]'") from error
    return jinja2.sandbox
