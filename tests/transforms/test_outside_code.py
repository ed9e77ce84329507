"""The digest of a user's own module: what changes it, and what does not."""

import importlib
import json
import sys

import pytest

from transforms.outside_code import code_digest

FILES = {
    "mine/__init__.py": "",
    "mine/rule.py": "import json\nfrom . import words\nfrom mine.deep.colours import RED\nimport helper\n",
    "mine/words.py": "WORDS = ['a']\n",
    "mine/deep/__init__.py": "",
    "mine/deep/colours.py": "RED = 1\n",
    "mine/unused.py": "X = 1\n",
    "helper.py": "import mine.rule\n",  # a circle
    "other.py": "Y = 1\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    for name in ("mine", "helper", "other"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["mine/rule.py", "mine/words.py", "mine/deep/colours.py", "mine/__init__.py", "helper.py"]
)
def test_what_it_imports_counts(folder, name):
    before = code_digest("mine.rule")
    (folder / name).write_text(FILES[name] + "# edited\n")
    assert code_digest("mine.rule") != before


@pytest.mark.parametrize("name", ["mine/unused.py", "other.py"])
def test_what_it_does_not_import_does_not(folder, name):
    before = code_digest("mine.rule")
    (folder / name).write_text("Z = 2\n")
    assert code_digest("mine.rule") == before


def test_a_file_that_does_not_parse_is_read_as_it_is(folder):
    (folder / "helper.py").write_text("print 'of an older Python'\n")
    assert code_digest("mine.rule") != code_digest("other")


def test_installed_and_built_in_modules_have_a_digest_too():
    assert len({code_digest(name) for name in (json.__name__, "sys", "pytest", "pyarrow.parquet.core")}) == 4


@pytest.mark.parametrize("name", ["nowhere_at_all", "json.nowhere", "nowhere_at_all.deep"])
def test_a_module_that_is_not_there(name):
    with pytest.raises(ValueError, match="PYTHONPATH"):
        code_digest(name)
