"""What the demo writes for others: an archive by another tool, shards to train on, classes for zero-shot."""

import json
from pathlib import Path

import webdataset
from warcio.archiveiterator import ArchiveIterator

from pipeline.demo import captions, shapes, words
from pipeline.demo.kinds import BY_NAME, KEPT
from pipeline.demo.settings import DemoSettings
from pipeline.demo.training_pairs import pairs, write_shards
from pipeline.demo.warc import write_warc
from pipeline.demo.web import build_web

SETTINGS = DemoSettings(pages=100)
DEMO = Path(words.__file__).parent


def test_the_archive_holds_every_page_and_every_kept_image(tmp_path):
    count = write_warc(tmp_path / "web.warc.gz", SETTINGS)
    with (tmp_path / "web.warc.gz").open("rb") as file:
        records = [(r.rec_headers["WARC-Target-URI"], r.http_headers.get_statuscode()) for r in ArchiveIterator(file)]
    web = build_web(SETTINGS)
    urls = {url for url, _ in records}
    assert len(records) == len(urls) == count
    assert {status for _, status in records} == {"200", "302"}
    assert set(web.pages) <= urls
    assert {item.url for item in web.items.values() if BY_NAME[item.kind].fate == KEPT} <= urls
    absent = ("not_found", "slow_body", "endless", "redirect_loop", "robots_us", "robots_folder", "tdm_file")
    assert not urls & {item.url for item in web.items.values() if item.kind in absent}


def test_an_archive_is_the_same_every_time_but_for_its_ids(tmp_path):
    sizes = {write_warc(tmp_path / name, SETTINGS) for name in ("a.warc.gz", "b.warc.gz")}
    assert len(sizes) == 1


def test_training_pairs_are_shards_that_webdataset_reads(tmp_path):
    write_shards(tmp_path, 30, seed=3, per_shard=20, processes=1)
    assert json.loads((tmp_path / "sizes.json").read_text()) == {"00000.tar": 20, "00001.tar": 10}
    tars = [str(path) for path in sorted(tmp_path.glob("*.tar"))]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    planned = list(pairs(30, 3))
    assert [sample["txt"] for sample in samples] == [pair.caption for pair in planned]
    assert all(min(sample["jpg"].size) == 112 for sample in samples)
    assert [sample["json"]["shape"] for sample in samples] == [pair.scene.shape for pair in planned]


def test_a_deck_has_every_shape_in_every_colour():
    deck = list(pairs(64, 5))
    assert len({(pair.scene.shape, pair.scene.colour) for pair in deck}) == 64
    assert {pair.language for pair in pairs(500, 5)} == set(words.KEPT_LANGUAGES)


def test_training_pictures_are_none_of_the_web():
    of_the_web = {item.scene.seed for item in build_web(DemoSettings()).items.values()}
    assert not of_the_web & {pair.scene.seed for pair in pairs(5_000, 7)}


def test_the_classes_for_zero_shot_are_the_shapes():
    classes = json.loads((DEMO / "classes.json").read_text())
    assert len(classes) == len(shapes.SHAPES)
    named = [set(entry["words"]) for entry in classes]
    for language in words.KEPT_LANGUAGES:
        for shape, entry in zip(shapes.SHAPES, named, strict=True):
            noun = words.NOUNS[language][shape]
            assert {noun.one, noun.many} - {""} <= entry
    assert all(entry["prompts"] for entry in classes)
    assert sum(len(entry) for entry in named) == len(set().union(*named))


def test_no_background_is_named_like_a_shape():
    """Words that tell classes apart must not stand in captions for another reason."""
    classes = json.loads((DEMO / "classes.json").read_text())
    everything = {word for entry in classes for word in entry["words"]}
    for language in words.KEPT_LANGUAGES:
        others = [*captions.TEMPLATES[language], *captions.BACKGROUND_WORDS[language].values()]
        for text in others:
            assert not everything & set(text.strip(" .").split())
