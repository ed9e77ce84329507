"""The tar reader and the samples: whole members only, no code of the data, the same order for the same seed."""

import io
import pickle
import tarfile
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import (
    batches_of,
    caption_of,
    decode,
    find_samples,
    is_held_out,
    read_bytes,
    row_of,
    samples_in,
    shuffled,
    tars_of,
)
from trainer.errors import ShardError
from trainer.tar import TarError, read_members, split_name

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
NAMES = st.text("abc019-_é図", min_size=1, max_size=200).map(lambda s: s + ".txt")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=8), st.sampled_from(FORMATS[1:]))
def test_members_are_what_tarfile_reads(tmp_path_factory, members, format):
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    with tarfile.open(path, "w", format=format) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1.5 if format == tarfile.PAX_FORMAT else 1
            tar.addfile(info, io.BytesIO(data))
    found = [(m.name, read_bytes(str(path), m)) for m in read_members(str(path))]
    assert found == members


@pytest.mark.parametrize("format", FORMATS)
def test_samples_are_found_in_every_tar_format(tmp_path, shards, format):
    found = shards.samples(5)
    shards.write_tar(tmp_path / "a.tar", shards.members_of(found), format)
    samples = list(samples_in(str(tmp_path / "a.tar")))
    assert [s.key for s in samples] == [r["key"] for r, _, _ in found]
    assert [caption_of(s) for s in samples] == [r["caption"] for r, _, _ in found]
    assert [row_of(s)["url"] for s in samples] == [r["url"] for r, _, _ in found]
    assert [read_bytes(s.tar, s.image) for s in samples] == [data for _, _, data in found]


@pytest.mark.parametrize("extension", ["pyd", "pickle", "pkl", "pth", "pt", "seg.pyd"])
def test_members_that_would_run_code_are_refused(tmp_path, shards, extension):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return (open, (str(canary), "w"))

    shards.write_tar(tmp_path / "a.tar", [("k.jpg", b""), ("k.txt", b"x"), (f"k.{extension}", pickle.dumps(Evil()))])
    with pytest.raises(ShardError, match="runs code"):
        find_samples(tmp_path)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["../k.jpg", "/k.jpg", "a/../../k.jpg", "k\x07.jpg"])
def test_unsafe_names_are_refused(tmp_path, shards, name):
    shards.write_tar(tmp_path / "a.tar", [(name, b"x")])
    with pytest.raises(TarError, match="unsafe"):
        find_samples(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("k.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(TarError, match="link or a device"):
        find_samples(tmp_path)


@pytest.mark.parametrize("data", [b"", b"no tar", bytes(100), b"\xff" * 2000])
def test_what_is_no_tar_is_refused(tmp_path, data):
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(TarError):
        find_samples(tmp_path)


def test_a_pax_record_without_end_is_no_loop(tmp_path):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 9
    (tmp_path / "a.tar").write_bytes(info.tobuf() + b"0 path=ab".ljust(512, b"\0") + bytes(1024))
    with pytest.raises(ShardError, match="no sample"):
        find_samples(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.DIRTYPE])
def test_a_size_below_nothing_is_no_loop(tmp_path, kind):
    """GNU's binary form of a size has a sign: the reader would go back, for ever."""
    info = tarfile.TarInfo("k.txt")
    info.type = kind
    header = bytearray(info.tobuf())
    header[124:136] = (-1024).to_bytes(12, "big", signed=True)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * ord(" ") + sum(header[156:]))
    (tmp_path / "a.tar").write_bytes(tarfile.TarInfo("j.txt").tobuf() + bytes(header) + bytes(1024))
    with pytest.raises(TarError, match=r"a size of -1024 bytes \(at byte 512\)"):
        find_samples(tmp_path)


def test_a_sparse_member_is_refused(tmp_path):
    """Its payload is a map and pieces, no picture."""
    info = tarfile.TarInfo("k.jpg")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    with pytest.raises(TarError, match="sparse"):
        find_samples(tmp_path)


def test_missing_folders_and_samples_are_told(tmp_path, shards):
    with pytest.raises(ShardError, match="no such folder"):
        tars_of(tmp_path / "nowhere")
    with pytest.raises(ShardError, match=r"no \.tar file"):
        tars_of(tmp_path)
    shards.write_tar(tmp_path / "a.tar", [("k.json", b"{}")])
    with pytest.raises(ShardError, match="no sample"):
        find_samples(tmp_path)


def test_images_that_are_no_images_are_told(shards):
    good = shards.encoded(shards.picture("red", "disc", 0))
    assert decode(good).size == (48, 40)
    for data in (b"", b"GIF89a" + bytes(100), good[:-200], b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        with pytest.raises(ShardError, match="does not decode"):
            decode(data)


def test_a_pixel_bomb_is_refused_by_its_header(shards):
    data = bytearray(shards.encoded(shards.picture("red", "disc", 0), "png"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = __import__("zlib").crc32(bytes(data[12:29])).to_bytes(4, "big")
    with pytest.raises(ShardError):
        decode(bytes(data))


def test_names_split_as_webdataset_splits_them():
    assert split_name("a/b.seg.png") == ("a/b", "seg.png")
    assert split_name("key.JPG") == ("key", "jpg")
    assert split_name(".hidden") is None
    assert split_name("noextension") is None


def test_every_epoch_has_every_place_once_and_the_seed_decides():
    batches = list(islice(batches_of(10, 5, seed=3), 4))
    assert sorted(np.concatenate(batches[:2])) == sorted(np.concatenate(batches[2:])) == list(range(10))
    assert (shuffled(50, 1, 0) == shuffled(50, 1, 0)).all()
    assert (shuffled(50, 1, 0) != shuffled(50, 2, 0)).any()
    assert (shuffled(50, 1, 0) != shuffled(50, 1, 1)).any()


def test_a_share_is_held_out_by_key():
    keys = [f"{n:032x}" for n in range(4_000)]
    held = {k for k in keys if is_held_out(k, 0.1)}
    assert 300 < len(held) < 500
    assert held < {k for k in keys if is_held_out(k, 0.2)}
    assert not any(is_held_out(k, 0.0) for k in keys)


def test_webdataset_reads_the_same_samples(sound, monkeypatch):
    monkeypatch.setenv("WDS_SECURE", "1")
    import webdataset

    tars = tars_of(sound)
    theirs = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    ours = find_samples(sound)
    assert [t["__key__"] for t in theirs] == [s.key for s in ours]
    assert [t["txt"] for t in theirs] == [caption_of(s) for s in ours]
    assert [t["json"] for t in theirs] == [row_of(s) for s in ours]


def test_open_clips_own_loader_reads_the_same_samples(sound, small_model):
    from argparse import Namespace

    from open_clip_train import data

    from trainer.model import load_clip

    clip = load_clip(str(small_model), device="cpu")
    args = Namespace(train_data=str(sound / "{00000..00001}.tar"), train_data_upsampling_factors=None,
                     train_num_samples=None, val_data=None, val_num_samples=None, dataset_resampled=False, seed=0,
                     workers=1, batch_size=5, world_size=1)  # fmt: skip
    info = data.get_wds_dataset(args, clip.preprocess, is_train=True, tokenizer=lambda t: clip.tokenize([t]))
    assert info.dataloader.num_samples == 20
    seen = sum(len(images) for images, texts in info.dataloader)
    assert seen == 20
