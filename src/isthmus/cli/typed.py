"""The arguments and options that somebody typed, as words again."""

from collections.abc import Sequence

import typer


def words(context: typer.Context, *, without: Sequence[str] = ()) -> list[str]:
    """Arguments and options of a command that were given, defaults left out.

    Args:
        context: of the command.
        without: parameters that are left out, by their names in Python.
    """
    found: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source, value = context.get_parameter_source(name), context.params[name]
        if name in without or source is None or source.name != "COMMANDLINE":
            continue
        if parameter.param_type_name == "argument":
            found.append(str(value))
        elif isinstance(value, bool):
            found.append((parameter.opts if value else parameter.secondary_opts)[0])
        else:
            found += [max(parameter.opts, key=len), *map(str, value if isinstance(value, tuple) else [value])]
    return found
