import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.html.srcset import SrcsetCandidate, parse_srcset


def shape(text):
    return [(c.url, c.width or c.density) for c in parse_srcset(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (",,, ", []),
        ("a.jpg", [("a.jpg", 1.0)]),
        ("a.jpg 1x, b.jpg 2x", [("a.jpg", 1.0), ("b.jpg", 2.0)]),
        ("a.jpg 100w,b.jpg 200w", [("a.jpg", 100), ("b.jpg", 200)]),
        ("a.jpg, b.jpg 2x", [("a.jpg", 1.0), ("b.jpg", 2.0)]),
        ("a.jpg,b.jpg", [("a.jpg,b.jpg", 1.0)]),
        ("/w_1,h_2/a.jpg 1x, /w_2,h_4/a.jpg 2x", [("/w_1,h_2/a.jpg", 1.0), ("/w_2,h_4/a.jpg", 2.0)]),
        ("data:image/gif;base64,R0 1x, b.jpg 2x", [("data:image/gif;base64,R0", 1.0), ("b.jpg", 2.0)]),
        ("a.jpg 1.5x", [("a.jpg", 1.5)]),
        ("a.jpg 1e1x", [("a.jpg", 10.0)]),
        ("a.jpg 0w, b.jpg 5w", [("b.jpg", 5)]),
        ("a.jpg -1x, b.jpg 1x", [("b.jpg", 1.0)]),
        ("a.jpg 1w 2w, b.jpg 5w", [("b.jpg", 5)]),
        ("a.jpg 1w 2x, b.jpg 5w", [("b.jpg", 5)]),
        ("a.jpg 5w 7h", [("a.jpg", 5)]),
        ("a.jpg 7h, b.jpg", [("b.jpg", 1.0)]),
        ("a.jpg wide, b.jpg", [("b.jpg", 1.0)]),
        ("a.jpg (x, y 2w) 3w, b.jpg", [("b.jpg", 1.0)]),
        ("a.jpg\n\t 2x ,\n b.jpg\t3x\n", [("a.jpg", 2.0), ("b.jpg", 3.0)]),
        ("a.jpg 2x,, b.jpg", [("a.jpg", 2.0), ("b.jpg", 1.0)]),
        ("a.jpg (", []),
        ("a.jpg " + "9" * 500 + "w", [("a.jpg", 10**9)]),
    ],
)
def test_srcset_is_read_as_the_standard_says(text, expected):
    assert shape(text) == expected


URLS = st.text(alphabet="ab/.,:;=?%-()", min_size=1, max_size=12).filter(lambda u: u.strip(",") == u)
DESCRIPTORS = st.one_of(
    st.integers(1, 9_999).map(lambda w: (f"{w}w", w, 0.0)), st.integers(1, 9).map(lambda x: (f"{x}x", 0, float(x)))
)


@given(st.lists(st.tuples(URLS, DESCRIPTORS, st.sampled_from([", ", ",", " ,\n", ",, "])), max_size=8))
def test_what_was_written_is_read_again(rows):
    text = "".join(f"{url} {word}{comma}" for url, (word, _, _), comma in rows)
    assert parse_srcset(text) == [SrcsetCandidate(url, width, density) for url, (_, width, density), _ in rows]


def reference(text):
    """The standard's parser, letter by letter, with its states."""
    space, out, i = "\t\n\f\r ", [], 0
    while True:
        while i < len(text) and text[i] in space + ",":
            i += 1
        if i >= len(text):
            return out
        start = i
        while i < len(text) and text[i] not in space:
            i += 1
        url, words, word, state = text[start:i], [], "", "in"
        if url.endswith(","):
            out.append((url.rstrip(","), []))
            continue
        while i < len(text) and text[i] in space:
            i += 1
        while True:
            c = text[i] if i < len(text) else ""
            i += 1
            if state == "after":
                if c and c in space:
                    continue
                if c == "":
                    break
                state, i = "in", i - 1
            elif state == "parens":
                if c == "":
                    words.append(word)
                    break
                word += c
                state = "in" if c == ")" else state
            elif c == "" or c == ",":
                words += [word] if word else []
                break
            elif c in space:
                words += [word] if word else []
                word, state = "", "after"
            else:
                word += c
                state = "parens" if c == "(" else state
        out.append((url, words))


@given(st.text(alphabet="ab,() 12wxh.\n", max_size=40))
def test_candidates_are_those_of_the_standards_state_machine(text):
    plain = [(url, 1.0) for url, words in reference(text) if not words]
    assert [c for c in shape(text) if c in plain] == plain or len(shape(text)) > len(plain)
    assert {url for url, _ in shape(text)} <= {url for url, _ in reference(text)}
