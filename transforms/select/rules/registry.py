"""Which rules there are: those of this folder by their names, and others by `module:Class`."""

import difflib
import importlib
import inspect
import pkgutil
from functools import lru_cache
from typing import Any

from transforms.outside import class_named
from transforms.select import rules
from transforms.select.rules.base import CrossPairRule, GlobalRule, LocalRule, Rule, TextRule

BASES: tuple[type[Rule], ...] = (LocalRule, TextRule, CrossPairRule, GlobalRule)


@lru_cache(maxsize=1)
def built_in() -> dict[str, type[Rule]]:
    """The rules of this folder by name, in the order of their files."""
    found: dict[str, type[Rule]] = {}
    for file in sorted(pkgutil.iter_modules(rules.__path__), key=lambda f: f.name):
        module = importlib.import_module(f"{rules.__name__}.{file.name}")
        for kind in vars(module).values():
            if not _is_rule(kind) or kind.__module__ != module.__name__ or kind.model_fields["rule"].is_required():
                continue
            name = kind.model_fields["rule"].default
            if name in found:
                raise TypeError(f"two rules are called {name!r}: {found[name].__module__} and {kind.__module__}")
            found[name] = kind
    return found


def rule_class(name: str) -> type[Rule]:
    """The class behind a rule's name. Raises ValueError that says what is wrong with the name and what to do."""
    if name in built_in():
        return built_in()[name]
    if ":" not in name:
        near = difflib.get_close_matches(name, built_in(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f'no rule {name!r}{hint} There are {", ".join(built_in())}; yours is "module:Class"')
    return class_named(name, "rule", BASES)


def _is_rule(kind: Any) -> bool:
    return inspect.isclass(kind) and issubclass(kind, BASES)
