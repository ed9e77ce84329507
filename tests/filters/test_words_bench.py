"""The rules of words against the labelled captions of `make bench-words`, and the file of its figures."""

import json
from pathlib import Path

import pytest

from bench.words.run import PREDICATES, RESULTS, precision_and_recall, rows

LEAST = 0.95


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_what_is_found_is_right_and_little_is_missed(name):
    figures = precision_and_recall(list(rows("captions")), name)
    assert figures["precision"] >= LEAST, figures["found_wrongly"]
    assert figures["recall"] >= LEAST, figures["missed"]


@pytest.mark.parametrize("name", sorted(PREDICATES))
def test_the_result_file_holds_the_figures_of_this_code(name):
    assert json.loads(Path(RESULTS).read_text())[name] == precision_and_recall(list(rows("captions")), name)


def test_the_labels_are_whole():
    captions, texts = list(rows("captions")), list(rows("languages"))
    assert len({row["text"].casefold() for row in captions}) == len(captions) >= 400
    assert len({row["text"].casefold() for row in texts}) == len(texts) >= 1_500
    assert max(len(row["text"]) for row in captions + texts) <= 120
    assert sum(row["phone"] for row in captions) >= 60
    assert not [row for row in captions if row["phone"] and row["boilerplate"]]
