import json

import pytest

from isthmus.contract.bundle_writing import write_language
from isthmus.errors import BundleError
from isthmus.head.conversation.words import Words

TEMPLATE = """{{ bos_token }}{% for message in messages %}
<{{ message.role }}>{{ message.content }}{% endfor %}
{% if add_generation_prompt %}<assistant>{% endif %}"""
MESSAGES = [{"role": "system", "content": "be short"}, {"role": "user", "content": "who are you?"}]


@pytest.fixture
def with_files(language_bundle, tmp_path):
    """A function that writes the bundle with further or other files."""

    def write(**contents):
        files = {name: language_bundle.path(name) for name in language_bundle.manifest.files}
        for name, text in contents.items():
            path = tmp_path / name.replace("_jinja", ".jinja").replace("_json", ".json")
            path.write_text(text)
            files[path.name] = path
        return write_language(tmp_path / "bundle", language_bundle.manifest, files)

    return write


def test_a_text_comes_back(language_bundle):
    words = Words(language_bundle)
    assert words.decode(words.encode("the head is on the device")) == "the head is on the device"


def test_without_a_template_the_contents_follow_each_other(language_bundle):
    words = Words(language_bundle)
    assert not words.has_template
    assert words.decode(words.prompt(MESSAGES)) == "be short\nwho are you?"


def test_messages_go_through_the_template_of_the_bundle(with_files):
    words = Words(with_files(chat_template_jinja=TEMPLATE, tokenizer_config_json='{"bos_token": {"content": "[B]"}}'))
    assert words.has_template
    assert words.decode(words.prompt(MESSAGES)) == "[B]<system>be short<user>who are you?<assistant>"


def test_a_template_may_lie_in_the_configuration(with_files):
    words = Words(with_files(tokenizer_config_json=json.dumps({"chat_template": "{{ messages[-1].content | upper }}"})))
    assert words.decode(words.prompt(MESSAGES)) == "WHO ARE YOU?"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% set _ = messages.append(1) %}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ 1 / 0 }}",
        "{{ nothing.at.all }}",
    ],
)
def test_a_template_that_reaches_out_or_fails_is_one_line(with_files, template):
    with pytest.raises(BundleError, match="the chat template"):
        Words(with_files(chat_template_jinja=template)).prompt(MESSAGES)


@pytest.mark.parametrize(
    "contents", [{"chat_template_jinja": "{% if %}"}, {"tokenizer_config_json": "{"}, {"tokenizer_json": "{}"}]
)
def test_files_that_cannot_be_read_are_refused(with_files, contents):
    with pytest.raises(BundleError, match=r"cannot be read|is not JSON"):
        Words(with_files(**contents))
