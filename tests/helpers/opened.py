"""Which files are opened for reading, and which folders are listed: what work costs, without a clock."""

from pathlib import Path

import pytest

from transforms.storage import local


class Opened:
    """What was opened, as `folder/name`, and the names of the folders that were listed, in order, since it was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        self.folders: list[str] = []
        open_one, list_one = local.open_for_reading, local.list_names  # every other way to read goes through the first

        def opened(path):
            self.files.append("/".join(Path(path).parts[-2:]))
            return open_one(path)

        def listed(folder, pattern):
            self.folders.append(Path(folder).name)
            return list_one(folder, pattern)

        monkeypatch.setattr(local, "open_for_reading", opened)
        monkeypatch.setattr(local, "list_names", listed)
