"""Captions: their normal form, and which of them say something about an image."""

import hashlib
import re
import unicodedata

from pydantic import Field

from filters.reasons import Drop, Reason
from filters.rules import Rules

ID_BYTES = 8

# Joiners (U+200C, U+200D) stay: Persian and Indic spelling and emoji need them. Tags and the other marks that only
# steer the layout go.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]")
_STRAY_JOINER = re.compile("(?:^|(?<=\\s))[\u200c\u200d]+|[\u200c\u200d]+(?=\\s|$)")
_SPACE = re.compile(r"\s+")
# Scripts that put no spaces between words: lengths are told in characters there, never in words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)

_EXTENSION = r"(?:jpe?g|jpe|jfif|png|gif|webp|bmp|tiff?|svgz?|avif|heic|heif|ico|psd|raw|cr2|nef|dng|eps|pdf|mp4|mov)"
_FILE_NAME = re.compile(rf"[^\s/\\]+(?: ?\(\d+\)| copy)?\.{_EXTENSION}", re.IGNORECASE)
_FILE_NAME_WITH_SPACES = re.compile(rf"(?:[\w.()&'+-]+ ){{0,6}}[\w()&'+-]+\.{_EXTENSION}", re.IGNORECASE)
_CAMERA_NAME = re.compile(
    r"(?:img|dsc[nf]?|dscn?|dcim|pict?|pic|p|mvi|vid|gopr|sam|cimg|imgp|photo|image|foto|bild|picture|screen ?shot|"
    r"screenshot|bildschirmfoto|capture|scan|untitled|unnamed|whatsapp image|pxl|wp|fb_img|signal)"
    r"[-_ ]*(?:\d[\d\-_. ]{2,}|\d{4}-\d{2}-\d{2}.*)(?: ?\(\d+\)| copy)?",
    re.IGNORECASE,
)
_HASH_NAME = re.compile(r"(?=.*\d)[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{6,}(?:[_x-][\da-z]+)*",
                        re.IGNORECASE)  # fmt: skip
_SLUG_NAME = re.compile(r"(?=.*\d)[a-z0-9]+(?:[_-][a-z0-9]+)*_(?:\d+x\d+|\d{3,}|[a-z]|o|n)", re.IGNORECASE)
_URL = re.compile(r"(?:https?://|ftp://|www\.)\S+|[\w-]+(?:\.[\w-]+)+/\S*", re.IGNORECASE)

BOILERPLATE = (
    "image", "images", "img", "photo", "photos", "picture", "pictures", "pic", "icon", "icons", "logo", "site logo",
    "company logo", "banner", "header", "header image", "background", "background image", "thumbnail", "thumb",
    "placeholder", "placeholder image", "spacer", "blank", "pixel", "tracking pixel", "avatar", "user avatar",
    "profile picture", "profile photo", "untitled", "no title", "no image", "no image available",
    "image not available", "image not found", "image coming soon", "loading", "loading...", "alt", "alt text",
    "alternative text", "image description", "description", "caption", "click to enlarge", "click to view",
    "click to view larger image", "click for larger image", "click here", "enlarge", "enlarge image", "zoom",
    "view larger", "view full size", "view image", "open image", "featured image", "post thumbnail", "post image",
    "cover image", "hero image", "main image", "product image", "stock photo", "advertisement", "ad", "ads",
    "sponsored", "read more", "learn more", "more", "menu", "search", "close", "next", "previous", "prev", "back",
    "home", "share", "share this", "share on facebook", "share on twitter", "share on x", "share on linkedin",
    "facebook", "twitter", "instagram", "linkedin", "youtube", "pinterest", "rss", "rss feed", "print", "email",
    "download", "play", "play video", "arrow", "arrow right", "arrow left", "null", "undefined", "none", "n/a",
    "bild", "foto", "grafik", "symbolbild", "kein bild", "kein bild vorhanden", "platzhalter", "vergrößern",
    "bild vergrößern", "zum vergrößern klicken", "weiterlesen", "mehr erfahren", "startseite", "anzeige", "werbung",
    "photographie", "icône", "agrandir", "agrandir l'image", "cliquez pour agrandir", "image par défaut", "publicité",
    "lire la suite", "imagen", "imágenes", "icono", "ampliar", "ampliar imagen", "haga clic para ampliar", "publicidad",
    "leer más", "sin imagen", "immagine", "icona", "ingrandisci", "clicca per ingrandire", "pubblicità", "leggi tutto",
    "imagem", "ícone", "ampliar imagem", "clique para ampliar", "leia mais", "afbeelding", "plaatje", "vergroten",
    "klik om te vergroten", "lees meer", "bilde", "billede", "kuva", "obraz", "obrazek", "zdjęcie", "powiększ",
    "изображение", "картинка", "фото", "логотип", "увеличить", "реклама", "читать далее", "图片", "圖片", "照片",
    "图像", "标志", "点击放大", "点击查看大图", "广告", "阅读更多", "画像", "写真", "ロゴ", "拡大", "クリックで拡大",
    "広告", "続きを読む", "이미지", "사진", "로고", "광고", "รูปภาพ", "ภาพ", "โลโก้", "صورة", "شعار", "إعلان",
)  # fmt: skip


class CaptionRules(Rules):
    """Bounds of a caption. In scripts without spaces they hold in characters only."""

    min_characters: int = Field(5, ge=0)  # LAION-400M
    min_words: int = Field(3, ge=0)  # DataComp basic: more than two
    max_characters: int = Field(1_000, ge=1)  # COYO-700M
    max_words: int = Field(256, ge=1)  # COYO-700M
    min_characters_unspaced: int = Field(4, ge=0)  # two or three Chinese words
    boilerplate: bool = True  # texts that stand at pictures of every kind
    more_boilerplate: list[str] = []  # whole captions, in any case


def normalise_caption(text: str) -> str:
    """NFC, without controls and layout marks, white space collapsed: the form that identity and rules see."""
    text = unicodedata.normalize("NFC", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    text = _INVISIBLE.sub("", text)
    text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text) if not text.isprintable() else text
    return _STRAY_JOINER.sub("", _SPACE.sub(" ", text)).strip()


def caption_id(text: str) -> bytes:
    """The identity of a caption: the first 8 bytes of the SHA-256 of its normal form."""
    return hashlib.sha256(text.encode()).digest()[:ID_BYTES]


def judge_caption_early(caption: str) -> Drop | None:
    """What is never worth a request: no caption, or a file's name."""
    if not caption:
        return Drop(Reason.CAPTION_EMPTY)
    if is_file_name(caption):
        return Drop(Reason.CAPTION_IS_FILE_NAME, detail=caption)
    return None


def judge_caption(caption: str, rules: CaptionRules) -> Drop | None:
    """Why `caption`, in its normal form, is not worth an image, or None."""
    drop = judge_caption_early(caption)
    if drop is not None:
        return drop
    if is_url(caption):
        return Drop(Reason.CAPTION_IS_URL, detail=caption)
    if rules.boilerplate and is_boilerplate(caption, rules.more_boilerplate):
        return Drop(Reason.CAPTION_BOILERPLATE, detail=caption)
    if not has_letters(caption):
        return Drop(Reason.CAPTION_NO_LETTERS, detail=caption[:100])
    return _judge_length(caption, rules)


def _judge_length(caption: str, rules: CaptionRules) -> Drop | None:
    characters, words = len(caption), len(caption.split())
    unspaced = is_unspaced(caption)
    if characters > rules.max_characters or (not unspaced and words > rules.max_words):
        return Drop(Reason.CAPTION_TOO_LONG, characters)
    least = rules.min_characters_unspaced if unspaced else rules.min_characters
    if characters < least:
        return Drop(Reason.CAPTION_TOO_SHORT, characters)
    if not unspaced and words < rules.min_words:
        return Drop(Reason.CAPTION_TOO_FEW_WORDS, words)
    return None


def is_unspaced(caption: str) -> bool:
    """Whether most letters belong to scripts that put no spaces between words."""
    letters = sum(c.isalpha() for c in caption)
    return len(_UNSPACED.findall(caption)) * 2 > letters > 0


def has_letters(caption: str) -> bool:
    return any(c.isalpha() for c in caption)


def is_file_name(caption: str) -> bool:
    """`IMG_2041.JPG`, `DSC00012`, `photo-1 (2).png`, `Screenshot 2020-01-01 at 10.00`, `d41d8cd98f00b204e980`."""
    patterns = (_FILE_NAME, _FILE_NAME_WITH_SPACES, _CAMERA_NAME, _HASH_NAME, _SLUG_NAME)
    return any(pattern.fullmatch(caption) for pattern in patterns)


def is_url(caption: str) -> bool:
    return _URL.fullmatch(caption) is not None


def is_boilerplate(caption: str, more: list[str]) -> bool:
    """Whether the whole caption, but for case and outer punctuation, is a text that says nothing."""
    bare = caption.casefold().strip(" .,:;!?*|«»\"'()[]<>›‹→←…-–—_#")
    return bare in _BOILERPLATE or (bool(more) and bare in {m.casefold() for m in more})


_BOILERPLATE = frozenset(text.casefold() for text in BOILERPLATE)
