"""The rules of the house: who may import whom, what the documents name, how large things grow."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("filters", "transforms", "trainer", "pipeline")
MAY_IMPORT = {
    "filters": set(),
    "transforms": {"filters"},
    "trainer": set(),
    "pipeline": {"transforms", "filters", "trainer"},
}
STAGES = ("collect", "fetch", "score", "select", "pack")
BEAM_ALLOWED = {
    "transforms/coders.py", "transforms/keep.py", "pipeline/engines/engine.py", "pipeline/engines/spark.py",
    "pipeline/engines/workers/main.py",
}  # fmt: skip
FILES = sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if is_module(name)}
            found.update(modules or {node.module})
    return found


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_run_one_way(path):
    package = relative(path).split("/")[0]
    for name in imports_of(path):
        top = name.split(".")[0]
        if top not in PACKAGES or top == package:
            continue
        is_loader = top == "trainer" and relative(path).startswith("transforms/score/") and name == "trainer.model"
        assert top in MAY_IMPORT[package] or is_loader, f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_stages_do_not_know_each_other(path):
    parts = relative(path).split("/")
    if parts[0] != "transforms":
        return
    own = parts[1] if parts[1] in STAGES else None
    others = [n for n in imports_of(path) if n.startswith("transforms.") and n.split(".")[1] in STAGES]
    assert [n for n in others if n.split(".")[1] != own] == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_the_wiring_imports_beam(path):
    if any(name.split(".")[0] == "apache_beam" for name in imports_of(path)):
        is_stage = relative(path).startswith("pipeline/stages/")  # they build the pipelines
        assert path.name == "transform.py" or is_stage or relative(path) in BEAM_ALLOWED


def test_no_cycles():
    graph = {module_of(p): {module_of(ROOT / f"{n.replace('.', '/')}.py") for n in top_imports(p) if is_module(n)}
             for p in FILES}  # fmt: skip
    state: dict[str, int] = defaultdict(int)

    def visit(module: str, trail: list[str]) -> None:
        assert state[module] != 1, f"cycle: {' → '.join([*trail, module])}"
        if state[module] == 2:
            return
        state[module] = 1
        for other in graph.get(module, ()):
            visit(other, [*trail, module])
        state[module] = 2

    for module in graph:
        visit(module, [])


def top_imports(path: Path) -> set[str]:
    return {n for n in imports_of(path) if n.split(".")[0] in PACKAGES}


def module_of(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 500


def function_lengths() -> list[int]:
    nodes = (n for p in FILES for n in ast.walk(ast.parse(p.read_text())))
    return [n.end_lineno - n.lineno + 1 for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_functions_stay_short():
    """A function is as long as one thought."""
    assert max(function_lengths()) <= 60


def test_nothing_broad_is_caught():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                names = ast.unparse(node.type) if node.type else "everything"
                assert not re.search(r"\b(Base)?Exception\b|everything", names), f"{relative(path)}:{node.lineno}"


@pytest.mark.parametrize(
    "page", ["AGENTS.md", "README.md", "docs/architecture.md", "docs/engines.md", "docs/dataflow.md", "docs/formats.md"]
)
def test_every_name_in_the_documents_exists(page):
    text = (ROOT / page).read_text()
    names = re.findall(r"`((?:filters|transforms|pipeline|trainer|configs|tests|docs|bench|deploy)/[\w./-]*)`", text)
    assert [n for n in names if not (ROOT / n).exists()] == []
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [n for n in links if not ((ROOT / page).parent / n).exists()] == []


def test_every_command_stands_in_the_architecture():
    from pipeline.cli import build_parser

    (commands,) = [a for a in build_parser([])._actions if a.choices and "run" in a.choices]
    text = (ROOT / "docs/architecture.md").read_text()
    assert [name for name in commands.choices if f"`pairmill {name}`" not in text] == []


def test_every_reason_is_used_and_documented():
    from filters.reasons import Reason

    code = "\n".join(p.read_text() for p in FILES if p.name != "reasons.py")
    assert [r.name for r in Reason if f"Reason.{r.name}" not in code] == []


def test_the_demo_is_known_to_nobody():
    """No shortcut: the demo's hosts appear nowhere outside its folder."""
    others = [p for p in FILES if not relative(p).startswith("pipeline/demo/")]
    others += sorted((ROOT / "configs").rglob("*.yaml"))
    assert [relative(p) for p in others if "demo.test" in p.read_text()] == []


def test_the_public_columns_spell_license_as_everybody_does():
    """Hugging Face, schema.org and rel="license" have no other spelling."""
    import transforms.records
    from transforms.formats.parquet import schema_of
    from transforms.pack.shard import SHARD_SCHEMA

    records = [r for r in vars(transforms.records).values() if isinstance(r, type) and hasattr(r, "_fields")]
    public = [SHARD_SCHEMA, *(schema_of(record) for record in records)]
    assert [str(schema) for schema in public if "licence" in str(schema)] == []
    assert "license" in str(SHARD_SCHEMA)
    pages = ("docs/formats.md", "pipeline/report/card.py", "pipeline/report/stats.py")
    assert [page for page in pages if "licence" in (ROOT / page).read_text()] == []
