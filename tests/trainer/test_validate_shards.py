"""Sound folders are sound; each thing that can go wrong is found, with shard and key."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from trainer.data import samples_in
from trainer.errors import ShardError
from trainer.validate import validate


def keys_of(folder, tar="00000.tar"):
    return [s.key for s in samples_in(str(folder / tar))]


def found(folder, **options):
    return [(f.shard, f.key) for f in validate(folder, **options)]


def whats(folder):
    return " | ".join(f.what for f in validate(folder))


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def rewrite(folder, rows=None, members=None, tar="00000.tar"):
    """Write the tar or the rows of a shard anew, and a manifest that fits: the fault lies inside."""
    from helpers import shards as builder

    if rows is not None:
        table = pq.read_table(folder / tar.replace(".tar", ".parquet"))
        builder.pq.write_table(builder.pa.Table.from_pylist(rows(table.to_pylist()), table.schema),
                               folder / tar.replace(".tar", ".parquet"))  # fmt: skip
    if members is not None:
        with tarfile.open(folder / tar) as file:
            old = [(m.name, file.extractfile(m).read()) for m in file]
        builder.write_tar(folder / tar, members(old))
    sizes = json.loads((folder / "sizes.json").read_text())
    builder.describe(folder)
    (folder / "sizes.json").write_text(json.dumps(sizes))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sound_folder_is_sound(sound, jobs):
    assert validate(sound, jobs=jobs) == []


@pytest.mark.parametrize("name", ["s3:x", "a:b", "file:c", "x[1]", "{0..2}", "a b%20"])
def test_a_folder_of_any_name_is_checked(sound, tmp_path, monkeypatch, name):
    shutil.copytree(sound, tmp_path / "by-name" / name)
    monkeypatch.chdir(tmp_path / "by-name")
    assert found(Path(name)) == found(sound)


def test_every_flipped_byte_of_a_tar_is_found_in_its_shard(sound):
    tar = sound / "00000.tar"
    whole = tar.read_bytes()
    for place in range(0, len(whole), 997):
        flip(tar, place)
        assert ("00000.tar", "") in found(sound), place
        tar.write_bytes(whole)


def test_a_flipped_byte_in_any_member_header_or_padding_names_its_sample(sound):
    tar, keys = sound / "00000.tar", keys_of(sound)
    sample = list(samples_in(str(tar)))[5]
    places = {
        "image": sample.image.offset + sample.image.size // 2, "text": sample.text.offset + 3,
        "json": sample.row.offset + sample.row.size // 2, "header of the image": sample.image.offset - 512 + 4,
        "header of the text": sample.text.offset - 512 + 130,
        "padding": sample.text.offset + sample.text.size + 7,
    }  # fmt: skip
    whole = tar.read_bytes()
    for where, place in places.items():
        flip(tar, place)
        assert ("00000.tar", keys[5]) in found(sound), where
        tar.write_bytes(whole)


def test_a_removed_row_names_its_sample(sound):
    keys = keys_of(sound)
    rewrite(sound, rows=lambda rows: rows[:4] + rows[5:])
    assert ("00000.tar", keys[4]) in found(sound)
    assert "sample without a row" in whats(sound)


def test_a_removed_sample_names_its_row(sound):
    keys = keys_of(sound)
    rewrite(sound, members=lambda old: old[:6] + old[9:])
    assert ("00000.parquet", keys[2]) in found(sound)


def test_swapped_captions_name_both_samples(sound):
    keys = keys_of(sound)

    def swap(old):
        old[1], old[4] = (old[1][0], old[4][1]), (old[4][0], old[1][1])
        return old

    rewrite(sound, members=swap)
    assert {("00000.tar", keys[0]), ("00000.tar", keys[1])} <= set(found(sound))


def test_captions_swapped_everywhere_in_a_row_but_not_in_its_hash_are_found(sound):
    key = keys_of(sound)[3]

    def other(rows):
        rows[3]["caption"] = rows[3]["text"] = "another caption"
        return rows

    rewrite(sound, rows=other)
    assert ("00000.tar", key) in found(sound)


def test_rows_in_another_order_are_found(sound):
    rewrite(sound, rows=lambda rows: rows[::-1])
    assert "different places" in whats(sound)


def test_members_that_do_not_stand_together_are_found(sound):
    key = keys_of(sound)[0]
    rewrite(sound, members=lambda old: old[:1] + old[3:] + old[1:3])
    assert ("00000.tar", key) in found(sound)


def test_a_key_in_two_shards_is_found(sound, shards):
    for suffix in (".tar", ".parquet"):
        shutil.copy(sound / f"00000{suffix}", sound / f"00002{suffix}")
    shards.describe(sound)
    assert {("00002.tar", key) for key in keys_of(sound)} <= set(found(sound))
    assert "also stands in 00000.tar" in whats(sound)


def test_an_image_that_does_not_decode_is_found(tmp_path, shards):
    samples = shards.samples(4)
    told, extension, data = samples[1]
    cut = data[: len(data) // 2]
    told["image_sha256"] = shards.hashlib.sha256(cut).hexdigest()
    samples[1] = (told, extension, cut)
    folder = shards.write(tmp_path / "s", samples)
    assert found(folder) == [("00000.tar", told["key"])]
    assert "does not decode" in whats(folder)


def test_a_wrong_size_and_a_wrong_extension_are_found(tmp_path, shards):
    samples = shards.samples(4)
    samples[0][0]["width"] = 7
    samples[2] = (samples[2][0], "png", samples[2][2])
    text = whats(shards.write(tmp_path / "s", samples))
    assert "its row says 7 x 40" in text
    assert "a WEBP image is named .png" in text


def test_a_json_that_differs_from_its_row_is_found(sound):
    key = keys_of(sound)[1]

    def change(old):
        name, data = old[5]
        old[5] = (name, json.dumps(json.loads(data) | {"n": 2}).encode())
        return old

    rewrite(sound, members=change)
    assert found(sound) == [("00000.tar", key)]


def test_keys_that_are_no_digits_and_members_that_run_code_are_found(tmp_path, shards):
    samples = shards.samples(3)
    samples[0][0].update(key="a-key", uid="a-key")
    folder = shards.write(tmp_path / "s", samples[1:])
    with tarfile.open(folder / "00000.tar", "a") as tar:
        for name in ("a-key.jpg", "a-key.txt", "a-key.json", "a-key.pyd"):
            tar.addfile(tarfile.TarInfo(name))
    text = whats(folder)
    assert "32 hexadecimal digits" in text
    assert "runs code" in text


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt", "noextension", "a\nb.txt"])
def test_hostile_names_are_found(sound, name):
    rewrite(sound, members=lambda old: [*old[:3], (name, b"x"), *old[3:]])
    assert any(shard == "00000.tar" for shard, _ in found(sound))


def test_links_are_found(sound):
    link = tarfile.TarInfo("a.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(sound / "00000.tar", "a") as tar:
        tar.addfile(link)
    assert "link or a device" in whats(sound)


def test_a_tar_that_is_cut_off_is_found(sound):
    tar = sound / "00001.tar"
    whole = tar.read_bytes()
    end = list(samples_in(str(tar)))[-1].row
    for length in (len(whole) // 2, end.offset + end.size, end.offset + 512 * 3):
        tar.write_bytes(whole[:length])
        assert any(f.shard == "00001.tar" for f in validate(sound))


def test_counts_and_files_are_compared(sound):
    (sound / "sizes.json").write_text('{"00000.tar": 12, "00001.tar": 9, "00009.tar": 1}')
    assert {"00001.tar", "00009.tar", "sizes.json"} <= {shard for shard, _ in found(sound)}


def test_a_stray_and_a_missing_file_are_found(sound):
    (sound / "00007.tmp").write_text("")
    (sound / "00001.parquet").unlink()
    shards_found = {shard for shard, _ in found(sound)}
    assert {"00007.tmp", "00001.parquet", "00001.tar"} <= shards_found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda e: e[::-1], "not sorted"),
        (lambda e: e[1:], "entries for 20 samples"),
        (lambda e: e.astype([("f0", "u4"), ("f1", "u4")]), "dtype"),
    ],
)
def test_a_wrong_subset_is_found(sound, change, what):
    np.save(sound / "subset.npy", change(np.load(sound / "subset.npy")))
    assert what in whats(sound)


def test_a_subset_that_is_a_pickle_is_not_loaded(sound, tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    np.save(sound / "subset.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    assert "subset.npy" in {shard for shard, _ in found(sound)}
    assert not canary.exists()


def test_a_folder_without_manifest_is_checked_as_far_as_it_tells(tmp_path, shards):
    members, rows = [], []
    for n, (told, _, data) in enumerate(shards.samples(5)):
        key = f"{n:09d}"
        row = {k: told[k] for k in ("url", "caption", "status", "width", "height", "sha256")} | {"key": key}
        if n == 3:
            rows.append(row | {"status": "failed_to_download"})
            continue
        data = shards.encoded(shards.picture("red", "box", n))
        members += [(f"{key}.jpg", data), (f"{key}.txt", told["caption"].encode()),
                    (f"{key}.json", json.dumps(row).encode())]  # fmt: skip
        rows.append(row)
    shards.write_tar(tmp_path / "00000.tar", members, tarfile.PAX_FORMAT)
    pq.write_table(shards.pa.Table.from_pylist(rows), tmp_path / "00000.parquet")
    (tmp_path / "00000_stats.json").write_text("{}")
    assert validate(tmp_path) == []
    members[4] = (members[4][0], b"another caption")
    shards.write_tar(tmp_path / "00000.tar", members)
    assert found(tmp_path) == [("00000.tar", "000000001")]


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_nothing_to_check_is_an_error(tmp_path, name):
    with pytest.raises(ShardError, match=r"no such folder|no \.tar file"):
        validate(tmp_path / name)
