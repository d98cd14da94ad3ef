"""The tree of exceptions is the one drawn at the top of its file, and every class can be shown to a user and a peer."""

import inspect
import re

import grpc
import pytest

from isthmus import errors

CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, errors.IsthmusError)]
DOCUMENTED_EXIT_CODES = {1, 2, 3, 4, 5}


def drawn_tree() -> dict[str, str]:
    """Name of each class in the drawing -> name of the class it hangs from."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^ {4}([│├└─ ]*)([A-Z]\w+)(?:  |$)", line)
        if found is None:
            continue
        depth, name = len(found[1]), found[2]
        above = [entry for entry in above if entry[0] < depth]
        parents[name] = above[-1][1] if above else "Exception"
        above.append((depth, name))
    return parents


def test_the_drawing_is_the_tree() -> None:
    assert drawn_tree() == {one.__name__: one.__bases__[0].__name__ for one in CLASSES}


@pytest.mark.parametrize("error", CLASSES)
def test_every_class_has_an_exit_code_that_is_documented(error: type[errors.IsthmusError]) -> None:
    assert error.exit_code in DOCUMENTED_EXIT_CODES


@pytest.mark.parametrize("error", CLASSES)
def test_every_class_has_a_grpc_status_that_exists_and_is_no_success(error: type[errors.IsthmusError]) -> None:
    assert grpc.StatusCode[error.grpc_status] is not grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [("UsageError", 2), ("ConfigError", 3), ("ContractMismatch", 4), ("TailUnavailable", 5), ("LimitExceeded", 1)],
)
def test_exit_codes_are_those_of_the_command_line(error: str, exit_code: int) -> None:
    assert getattr(errors, error).exit_code == exit_code
