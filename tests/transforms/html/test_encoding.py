import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.html.encoding import _CODECS, codec_of, decode


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        (b"caf\xc3\xa9", "", "café"),
        (b"caf\xc3\xa9", "text/html; charset=UTF-8", "café"),
        (b"caf\xe9", "text/html;charset=iso-8859-1", "café"),
        (b"\x93caf\xe9\x94", 'text/html; charset="ISO-8859-1"', "“café”"),
        (b"\xef\xbb\xbfcaf\xc3\xa9", "text/html; charset=iso-8859-1", "café"),
        ("café".encode("utf-16"), "", "café"),
        (codecs.BOM_UTF16_BE + "café".encode("utf-16-be"), "", "café"),
        ("<p>café".encode("utf-16-le"), "", "<p>café"),
        (b"<meta charset=koi8-r>\xc1", "", "<meta charset=koi8-r>а"),
        (b"<meta charset=koi8-r>\xe1", "text/html; charset=windows-1251", "<meta charset=koi8-r>б"),
        ("<meta charset=gb2312>镕".encode("gbk"), "", "<meta charset=gb2312>镕"),
        ("①".encode("cp932"), "text/html; charset=Shift_JIS", "①"),
        ("똠".encode("cp949"), "text/html; charset=euc-kr", "똠"),
        (b"<!-- <meta charset=koi8-r> --><meta charset=windows-1251>\xe1", "", None),
        (b"<meta charset=rot13>caf\xc3\xa9", "", "<meta charset=rot13>café"),
        (b"<meta charset=utf-16>caf\xc3\xa9", "", "<meta charset=utf-16>café"),
        (b"caf\xc3\xa9", "text/html; charset=latin1", "café"),
        (b"caf\xc3\xa9 \xff", "text/html; charset=utf-8", "café \ufffd"),
        (b"caf\xc3\xa9 and \xe7\x8c", "", "café and "),
        (b"", "", ""),
    ],
)
def test_pages_are_decoded_as_browsers_do(body, content_type, text):
    if text is None:
        assert decode(body, content_type).text.endswith(">б")
    else:
        assert decode(body, content_type).text == text


def test_meta_http_equiv_names_the_encoding():
    body = '<META http-equiv="Content-Type" content="text/html; charset=Big5"><p>貓</p>'.encode("big5")
    assert "貓" in decode(body).text


def test_an_xml_declaration_names_the_encoding():
    assert "ß" in decode(b'<?xml version="1.0" encoding="iso-8859-15"?><html>\xdf').text


SENTENCES = {
    "cp1251": "Кошка сидит на окне и смотрит на улицу, где идёт дождь",
    "cp1252": "Le garçon à l'école élève ses chèvres près de la forêt où naît la rivière",
    "cp1250": "Kočka sedí na okně a dívá se na ulici, což je příliš žluťoučké",
    "cp1253": "Η γάτα κάθεται στο παράθυρο και κοιτάζει τον δρόμο",
    "cp932": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "euc-jp": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "gb18030": "一只猫坐在窗台上，看着外面的街道，街上正在下雨",
    "big5": "一隻貓坐在窗台上，看著外面的街道，街上正在下雨",
    "cp949": "고양이가 창가에 앉아 비가 내리는 거리를 바라본다",
    "cp874": "แมวนั่งอยู่ริมหน้าต่างและมองดูถนน",
}


@pytest.mark.parametrize(("codec", "text"), SENTENCES.items())
def test_pages_without_a_label_are_guessed(codec, text):
    html = f"<html><body><p>{text}</p><img src=a.jpg alt='{text}'></body></html>"
    assert decode(html.encode(codec)).text == html


def test_no_label_reaches_a_codec_that_is_no_encoding():
    assert [codec_of(label) for label in ("rot13", "zip", "base64", "utf-7", "idna", "")] == [None] * 6
    assert codec_of("  UTF8\n") == "utf-8"
    assert all(codecs.lookup(codec) for codec in _CODECS.values())


@given(st.binary(max_size=300), st.sampled_from(["", "text/html; charset=", "x; charset=utf-16", "charset=euc-jp"]))
def test_decoding_never_raises(body, content_type):
    assert isinstance(decode(body, content_type).text, str)
