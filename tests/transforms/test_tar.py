"""Headers are those that tarfile writes; payloads lie where they are said to."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formats.tar import MAX_BYTES, TarWriter, header_of

names = st.text("abcdef0123456789.", min_size=1, max_size=100)


@given(names, st.integers(0, MAX_BYTES))
def test_headers_are_tarfiles(name, size):
    info = tarfile.TarInfo(name)
    info.size = size
    assert header_of(name, size) == info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")


@given(st.lists(st.binary(max_size=1_500), max_size=6))
def test_members_are_read_and_lie_where_they_are_said_to(payloads):
    out = io.BytesIO()
    tar = TarWriter(out)
    places = [tar.add(f"{n}.bin", data) for n, data in enumerate(payloads)]
    tar.close()
    whole = out.getvalue()
    assert [whole[place : place + len(data)] for place, data in zip(places, payloads, strict=True)] == payloads
    with tarfile.open(fileobj=io.BytesIO(whole)) as read:
        assert [read.extractfile(member).read() for member in read] == payloads


@pytest.mark.parametrize(("name", "size"), [("x" * 101, 1), ("x", MAX_BYTES + 1), ("é", 1)])
def test_what_does_not_fit_is_refused(name, size):
    with pytest.raises(ValueError, match=r"too large|ascii"):
        header_of(name, size)
