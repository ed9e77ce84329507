"""A disk that is full in the middle of a run: a sentence, exit 3, and the same command goes on when there is room."""

import os
import shutil
import subprocess

import pytest
from helpers.command import Started, demo_words, pairmill
from helpers.kill import image_parts


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
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("parts", "room_kib"), [(1, 64), (2, 300), (3, 700), (5, 40)])
def test_a_full_disk_then_room(small_disk, parts, room_kib, finished, digest_of_folder):
    """Filled when so many parts are fetched, but for so much."""
    run, ballast = small_disk / "run", small_disk / "ballast"
    started = Started(demo_words(run))
    assert started.wait_until(lambda: len(image_parts(run)) >= parts)
    fill(ballast, room_kib)
    outcome = started.wait()
    assert outcome.code == 3, outcome.err
    assert "free some space" in outcome.err
    assert "Traceback" not in outcome.err
    before = pairmill(*demo_words(run))
    assert before.code == 2, before.err  # seen before any work
    assert "MiB free on its disk" in before.err
    ballast.unlink()
    assert pairmill(*demo_words(run)).code == 0
    assert digest_of_folder(run / "shards") == digest_of_folder(finished / "shards")
    for label in ("collect", "fetch", "select.main", "pack.main"):
        name = f"manifest/{label}.json"
        assert (run / name).read_bytes() == (finished / name).read_bytes(), label


def fill(ballast, room_kib: int) -> None:
    """Leave so much room, and no more. The run writes meanwhile: what it takes first is reckoned anew."""
    with ballast.open("wb") as file:
        for tries_left in reversed(range(5)):
            try:
                room = shutil.disk_usage(ballast.parent).free - room_kib * 1024
                os.posix_fallocate(file.fileno(), 0, max(room, 1))
                return
            except OSError:
                if not tries_left:
                    raise
