"""Paths in a configuration: relative to the directory in which they are given, and the same from any other one."""

import os
from typing import Annotated

from pydantic import AfterValidator

from transforms import storage


def absolute_path(value: str) -> str:
    """A path or pattern made absolute; urls and the empty string stay."""
    return storage.absolute(value) if value else value


def absolute_if_there(value: str) -> str:
    """The same for what may be a path or a name: a path is what exists."""
    return absolute_path(value) if os.path.exists(value) else value


FilePath = Annotated[str, AfterValidator(absolute_path)]
PathOrName = Annotated[str, AfterValidator(absolute_if_there)]
