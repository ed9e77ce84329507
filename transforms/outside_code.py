"""The source of a user's own classes and functions: an edit makes other rows, so it belongs to the fingerprint."""

import ast
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator
from pathlib import Path

OURS = frozenset({"filters", "pipeline", "trainer", "transforms"})  # told apart by the version of what they write


def code_digest(module: str) -> str:
    """The SHA-256 (hex) over the source of a module: its file, or all files of the package that it is in, and the
    modules beside it that they import, and so on. "" where there is no source, as of what is compiled.

    Raises ImportError, ValueError where there is no such module.
    """
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise ImportError(f"no module named {top!r}")
    package = next(iter(spec.submodule_search_locations or ()), None)
    if package is None and not (spec.origin or "").endswith(".py"):
        return ""
    home = Path(package or spec.origin or "").parent
    digest = hashlib.sha256()
    for path in _with_neighbours(top, home):
        source = path.read_bytes()
        digest.update(f"{path.relative_to(home)}:{len(source)}:".encode() + source)
    return digest.hexdigest()


def _with_neighbours(top: str, home: Path) -> list[Path]:
    """The files of a module or package, and of those in the same folder that it needs.

    In the folder of installed packages every neighbour is somebody else's, so there it stands alone.
    """
    is_installed = str(home) in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    files: dict[str, list[Path]] = {}
    left = [top]
    while left:
        name = left.pop()
        if name in files or (name in OURS and name != top):
            continue
        files[name] = _files_in(home, name)
        if not is_installed:
            left += (other for path in files[name] for other in _imported(path))
    return sorted(path for paths in files.values() for path in paths)


def _files_in(home: Path, name: str) -> list[Path]:
    """The Python files of a top module or package in a folder; none where it is elsewhere."""
    if (home / name).is_dir():
        return sorted((home / name).rglob("*.py"))
    return [home / f"{name}.py"] if (home / f"{name}.py").is_file() else []


def _imported(path: Path) -> Iterator[str]:
    """The top names that a file imports, wherever in it; its own package's are there already."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
