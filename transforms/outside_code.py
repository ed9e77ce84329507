"""The code of a user's own rules and sources, as a digest: edited code decides otherwise under the same name."""

import ast
import hashlib
import importlib.util
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path


def code_digest(module: str) -> str:
    """SHA-256 (hex) of a module's source and of what it imports from the folder that it lies in, in whatever depth.

    Libraries that are installed do not count. Raises ValueError where there is no such module.
    """
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise ValueError(f"the module {module!r} cannot be found ({error}): put its folder on PYTHONPATH") from error
    if spec is None:
        raise ValueError(f"the module {module!r} cannot be found: put its folder on PYTHONPATH")
    digest = hashlib.sha256()
    for name, source in sorted(_sources(module, spec).items()):
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _sources(module: str, spec: ModuleSpec) -> dict[str, bytes]:
    """name → source of a module and of its neighbours that it imports."""
    found: dict[str, bytes] = {}
    if spec.origin is None or not spec.origin.endswith(".py"):
        return found  # no source: built in, compiled, or a folder
    root = Path(spec.origin).parents[module.count(".") + bool(spec.submodule_search_locations)]
    own = module.partition(".")[0]
    is_installed = root in (Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))
    left = [module]
    while left:
        name = left.pop()
        path = _file_of(root, name)
        if name in found or path is None or (is_installed and name.partition(".")[0] != own):
            continue
        found[name] = path.read_bytes()
        left += _imported(found[name], name if path.name == "__init__.py" else name.rpartition(".")[0])
    return found


def _file_of(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imported(source: bytes, package: str) -> Iterator[str]:
    """The full names that a module imports; of `from a import b` both a and a.b, for b may be a module."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return  # nobody can import it either
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
