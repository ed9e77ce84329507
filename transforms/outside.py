"""Classes of the user's own that a configuration names by `module:Class`: rules of select, sources of collect."""

import difflib
import importlib
import inspect
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from filters.rules import Rules

Kind = TypeVar("Kind", bound=Rules)


def class_named(name: str, what: str, bases: tuple[type[Kind], ...]) -> type[Kind]:
    """The class behind `module:Class`; `what` is the word for it in messages.

    Raises ValueError that says what is wrong with the name and what to do.
    """
    module_name, _, class_name = name.partition(":")
    try:
        kind: Any = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, ValueError) as error:  # ValueError: an empty module name
        raise ValueError(f"the module of {what} {name!r} cannot be imported ({error}): "
                         "put its folder on PYTHONPATH, here and on the workers") from error  # fmt: skip
    except AttributeError as error:
        raise ValueError(f"the module of {what} {name!r} has no class {class_name!r}: check its spelling") from error
    if not (inspect.isclass(kind) and issubclass(kind, bases)):
        names = " or ".join(sorted({base.__name__ for base in bases}))
        raise ValueError(f"{name!r} is not a {what}: derive the class from {names} of {bases[0].__module__}")
    missing = sorted(kind.__abstractmethods__)
    if missing:
        raise ValueError(f"the {what} {name!r} is not complete: write its {', '.join(missing)}")
    return kind


def validated(kind: type[Kind], name: str, value: Any) -> Kind:
    """The settings of a named class, plain data. Raises ValueError naming each wrong key."""
    try:
        return kind.model_validate_json(json.dumps(value))  # strict models take a list for a tuple from JSON only
    except ValidationError as error:
        wrong = []
        for e in error.errors():
            key = ".".join(map(str, e["loc"]))
            known = [field for field in kind.model_fields if field != "rule"]
            unknown = e["type"] == "extra_forbidden" and len(e["loc"]) == 1
            wrong.append(f"unknown key {key}{nearest(key, known)}" if unknown else f"{key or name}: {e['msg']}")
        raise ValueError(f"settings of {name!r}: {'; '.join(wrong)}") from error


def nearest(unknown: str, known: Sequence[str], prefix: str = "") -> str:
    """What follows the message of an unknown key: the key that is spelt most like it, or all that there are."""
    close = difflib.get_close_matches(unknown, known, 1)
    if close:
        return f"; did you mean {prefix}{close[0]}?"
    return f"; did you mean one of {', '.join(known)}?" if known else "; there are no keys here"
