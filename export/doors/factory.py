"""The torch door: a function that gives a module and example inputs."""

import importlib
import os
import sys
from collections.abc import Callable

import torch

from isthmus.errors import ExportError, UsageError


def build(reference: str) -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    """Call `package.module:factory`; the module comes back in eval mode, without gradients to itself.

    Raises:
        UsageError: the module or function does not exist, or gives something else than `(nn.Module, (tensor, ...))`.
        ExportError: the function itself fails.
    """
    factory = function_of(reference)
    try:
        made = factory()
    except Exception as reason:
        raise ExportError(f"{reference}() fails: {type(reason).__name__}: {reason}") from reason
    module, inputs = made if isinstance(made, tuple) and len(made) == 2 else (None, None)
    inputs = (inputs,) if isinstance(inputs, torch.Tensor) else inputs
    if not isinstance(module, torch.nn.Module) or not isinstance(inputs, (tuple, list)) or not inputs:
        raise UsageError(f"{reference}() gives {type(made).__name__}, not (torch.nn.Module, (example tensor, ...))")
    for number, value in zip(range(len(inputs)), inputs, strict=True):
        if not isinstance(value, torch.Tensor):
            raise UsageError(f"{reference}() gives {type(value).__name__} as example input {number}, not a torch.Tensor")
    return module.eval(), tuple(value.detach().cpu() for value in inputs)


def function_of(reference: str) -> Callable[..., object]:
    """The function that `package.module:function` names; modules are also looked for in the working folder.

    Raises:
        UsageError: the module or the function does not exist.
        ExportError: importing the module fails.
    """
    module_name, _, name = reference.partition(":")
    folder = os.getcwd()  # sys.path holds strings
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ImportError as reason:
        raise UsageError(f"cannot import {module_name!r} of {reference}: {reason}") from reason
    except Exception as reason:
        raise ExportError(f"importing {module_name!r} fails: {type(reason).__name__}: {reason}") from reason
    factory = getattr(module, name, None)
    if not callable(factory):
        raise UsageError(f"module {module_name!r} has no function {name!r}")
    found: Callable[..., object] = factory
    return found
