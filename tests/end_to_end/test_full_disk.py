"""A disk that is full in the middle of a run: a sentence, exit 3, and the same command goes on when there is room."""

import subprocess

import pytest
from helpers.command import demo_words, pairmill

BALLAST = 4 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs; mounting one wants root, which is why this belongs to the long rounds."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.soak
@pytest.mark.parametrize("room_kib", [64, 400, 1_500])
def test_a_full_disk_then_room(small_disk, tmp_path, room_kib, finished, digest_of_folder):
    run, ballast = small_disk / "run", small_disk / "ballast"
    assert pairmill(*demo_words(run), "--to", "collect").code == 0
    fill(ballast, room_kib)
    outcome = pairmill(*demo_words(run))
    assert outcome.code in (2, 3), outcome.err  # 2: seen before any work
    assert "space" in outcome.err
    assert "Traceback" not in outcome.err
    ballast.unlink()
    assert pairmill(*demo_words(run)).code == 0
    assert digest_of_folder(run / "shards") == digest_of_folder(finished / "shards")
    for label in ("collect", "fetch", "select.main", "pack.main"):
        name = f"manifest/{label}.json"
        assert (run / name).read_bytes() == (finished / name).read_bytes(), label


def fill(ballast, room_kib: int) -> None:
    """Leave so much room, and no more."""
    room = subprocess.run(
        ["df", "--output=avail", "-k", str(ballast.parent)], capture_output=True, check=True, text=True
    )
    with ballast.open("wb") as file:
        file.write(b"\0" * ((int(room.stdout.split()[-1]) - room_kib) * 1024))
