"""Retrieval against brute force, and which sample is of which class."""

import json
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.classes import Class, derived_classes, labels_of, read_classes
from trainer.errors import InputError
from trainer.evaluate import evaluate, lines_of, right_shares
from trainer.retrieval import Retrieval, chance, found_within, retrieval_of


def unit(array):
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(0, 1000))
def test_recall_is_what_brute_force_finds(captions, seed):
    rng = np.random.default_rng(seed)
    by_caption = unit(rng.normal(size=(7, 4)))
    images, texts = unit(rng.normal(size=(len(captions), 4))), by_caption[captions]
    found = retrieval_of(images, texts, captions)
    distinct = sorted(set(captions))
    for k in (1, 5, 10):
        to_text = [c in sorted(distinct, key=lambda d, i=i: -(images[i] @ by_caption[d]))[:k]
                   for i, c in enumerate(captions)]  # fmt: skip
        assert found.image_to_text[str(k)] == pytest.approx(np.mean(to_text))
        to_image = []
        for c in distinct:
            best = sorted(range(len(images)), key=lambda i, c=c: -(images[i] @ by_caption[c]))[:k]
            to_image.append(any(captions[i] == c for i in best))
        assert found.text_to_image[str(k)] == pytest.approx(np.mean(to_image))


def test_a_model_that_answers_everything_alike_is_at_chance():
    same = np.ones((20, 3)) / np.sqrt(3)
    captions = [n // 2 for n in range(20)]
    found = retrieval_of(same, same, captions)
    assert found.image_to_text == pytest.approx(found.image_to_text_chance)
    assert found.text_to_image == pytest.approx(found.text_to_image_chance)
    assert not found.beats_chance()
    assert right_shares(same, same[:4], np.arange(20) % 4).tolist() == [0.25] * 20


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.integers(0, 100))
def test_ties_count_as_the_mean_over_all_orders(captions, seed):
    """Vectors out of few: most similarities are equal."""
    few = np.eye(2)[np.random.default_rng(seed).integers(0, 2, 12)]
    images, texts = few[: len(captions)], few[6:][captions]
    found = retrieval_of(images, texts, captions)
    first = list(dict.fromkeys(captions))
    for n, caption in enumerate(captions):
        scores = {c: images[n] @ few[6:][c] for c in first}
        orders = [o for o in permutations(first) if all(scores[a] >= scores[b] for a, b in pairwise(o))]
        expected = np.mean([o[0] == caption for o in orders])
        own = [c == caption for c in first].index(True)
        assert found_within(images[n : n + 1], few[6:][first], lambda rows, own=own: np.eye(len(first))[[own]] > 0)[
            "1"
        ] == pytest.approx(expected)
    assert 0 <= found.image_to_text["1"] <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused(value):
    broken = np.eye(4)
    broken[2, 1] = value
    for images, texts in ((broken, np.eye(4)), (np.eye(4), broken)):
        with pytest.raises(InputError, match="not finite"):
            retrieval_of(images, texts, list(range(4)))


def test_the_verdict_is_that_of_a_blind_guesser():
    """At 100 images and texts, chance is .01: three hits may be luck, five are not."""

    def found(share):
        hits, blind = {"1": share}, {"1": 0.01}
        return Retrieval(100, 100, hits, blind, hits, blind).beats_chance()

    assert (found(0.03), found(0.05)) == (False, True)
    blind, hits = {"1": 0.01}, {"1": 0.5}
    assert not Retrieval(100, 100, hits, blind, blind, blind).beats_chance()


@pytest.mark.parametrize(("count", "right", "k"), [(6, 1, 1), (6, 2, 3), (5, 5, 1), (7, 1, 10), (8, 3, 5)])
def test_chance_is_what_counting_all_draws_gives(count, right, k):
    draws = list(combinations(range(count), min(k, count)))
    assert chance(count, right, k) == pytest.approx(np.mean([min(d) < right for d in draws]))


def test_labels_go_by_whole_words_and_by_parts_in_scripts_without_spaces():
    classes = [Class("cat", ("cat",), ("cat", "Katze", "猫")), Class("car", ("car",), ("car", "车", "รถ"))]
    captions = [
        "A CAT!",
        "concatenated",
        "a cat in a car",
        "eine Katze",
        "一只猫在这里",
        "红色的车",
        "มีรถสีแดง",
        "scar",
        "",
    ]
    assert labels_of(captions, classes) == [0, -1, -1, 0, 0, 1, 1, -1, -1]


def test_derived_classes_are_words_that_tell_something():
    captions = [f"this shows a {w} {n}" for w in ("house", "river", "field", "tower", "ox", "mouse") for n in range(10)]
    assert [c.name for c in derived_classes(captions)] == ["field", "house", "mouse", "river", "tower"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '[{"name": "a"}]', '[{"name": "a", "prompts": "x", "words": ["a"]}]'])
def test_broken_class_files_say_what_was_expected(tmp_path, text):
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"expected|JSON"):
        read_classes(str(path))


def test_figures_can_be_written_and_printed(sound, small_model):
    figures = evaluate(str(small_model), str(sound), device="cpu", limit=15)
    assert figures["samples"] == 15
    assert json.loads(json.dumps(figures))["retrieval"]["images"] == 15
    assert [line.split()[0] for line in lines_of(figures)] == ["retrieval", "zero-shot", "verdict"]


def test_too_few_samples_are_refused(sound, small_model):
    with pytest.raises(InputError, match="too few"):
        evaluate(str(small_model), str(sound), device="cpu", limit=1)
