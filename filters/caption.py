"""Captions: their normal form, and which of them say something about an image."""

import hashlib
import re
import unicodedata

from pydantic import Field

from filters.contact import redact
from filters.file_name import is_file_name
from filters.reasons import Drop, Reason
from filters.rules import Rules

ID_BYTES = 8
DETAIL_CHARACTERS = 200  # of a caption, that a drop repeats

# Marks that only steer the layout go: soft hyphen, zero-width spaces, bidirectional controls, word joiner, invisible
# operators, byte order mark, annotation anchors, tags outside a flag, non-characters. The Mongolian vowel separator
# stays where it is one.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff]"
    "|(?<![\u1820-\u18aa])\u180e|(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0001-\U000e007f]+"
)
# White space, and letters and signs that are drawn as nothing: Hangul fillers, the empty Braille cell.
_SPACE = re.compile(r"[\s\u3164\uffa0\u2800]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
# Joiners (U+200C, U+200D) stay after Arabic, Indic, South-East Asian and Mongolian letters and after emoji, which are
# spelt with them (a word in Malayalam may even end with one); anywhere else they are noise.
_STRAY_JOINER = re.compile(
    "(?<![\u0600-\u1dbf\u2190-\u2bff\u3030\u303d\u3297\u3299\ua800-\uabff\ufb50-\ufdcf\ufe0f\ufe70-\ufefc"
    "\U00010000-\U000e007f])[\u200c\u200d]"
)
# Scripts that put no spaces between words: lengths are counted in characters there, never in words. Thai, Lao, Tibetan,
# Burmese, Khmer, New Tai Lue, Tai Tham, kana, Han, Bopomofo.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1980-\u19ff\u1a20-\u1aaf\u3005-\u3007\u3040-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff]"
)

_TLD = r"(?:com|org|net|info|edu|gov|io|co\.uk|de|fr|es|it|nl|pl|ru|cn|jp|eu|ch|at|br|in|us|ca|au)"
_URL = re.compile(
    rf"(?:[a-z][a-z0-9+.-]{{1,20}}://|//|www\.)\S+|data:[\w.+-]+/\S+|(?:mailto|tel|javascript|blob):\S+"
    rf"|[\w-]+(?:\.[\w-]+)+/\S*|[\w-]+(?:\.[\w-]+)*\.{_TLD}",
    re.IGNORECASE,
)
_QUOTES = " .,:;!?*|«»\"'()[]<>›‹→←…-–—_#•·“”„‘’「」『』【】《》（）。，、：！？"

# Nothing but such words, at least one of PICTURE_WORDS among them, with or without numbers, says nothing: "logo image",
# "Photo 3 of 12". Without one of those they are a title: "The Hero", "A New Cover", "The Big Blog Post".
PICTURE_WORDS = frozenset({
    "image", "images", "img", "photo", "photos", "photograph", "picture", "pictures", "pic", "pics", "logo", "logos",
    "icon", "icons", "banner", "thumbnail", "thumb", "placeholder", "avatar", "graphic", "figure", "fig", "slide",
    "preview", "screenshot", "background", "bild", "bilder", "foto", "fotos", "abbildung", "imagen", "imágenes",
    "immagine", "immagini", "imagem", "imagens", "afbeelding", "afbeeldingen", "obraz", "obrazek", "zdjęcie", "фото",
    "изображение", "изображения", "миниатюра", "vorschaubild", "titelbild", "hintergrundbild", "beitragsbild",
    "profilbild", "miniatura", "miniature", "vignette",
})  # fmt: skip
FILLER_WORDS = frozenset({
    "default", "main", "new", "site", "website", "page", "web", "blog", "post", "article", "product", "item",
    "header", "footer", "featured", "cover", "hero", "gallery", "small", "large", "big", "full", "size", "of", "the",
    "a", "an", "no", "nr", "untitled", "unnamed", "alt", "von", "de", "из", "for", "our", "your", "my", "author",
    "user", "company", "profile", "stock", "album", "available", "unavailable", "selected", "missing", "loading",
    "button", "menu", "search", "play", "video", "share", "title", "caption", "kein", "keine", "la", "le", "une", "à",
    "en", "tête", "cabecera", "cabeçalho", "portada", "fondo", "fundo", "di", "della", "sfondo", "testata",
    "nagłówka", "tła", "wpisu", "заголовка", "записи", "фоновое",
})  # fmt: skip

BOILERPLATE = (
    "image", "images", "img", "image of", "picture of", "photo of", "photo", "photos", "picture", "pictures", "pic",
    "icon", "icons", "logo", "site logo", "company logo", "banner", "header", "header image", "background",
    "background image", "thumbnail", "thumb", "placeholder", "placeholder image", "spacer", "blank", "pixel",
    "tracking pixel", "avatar", "user avatar", "profile picture", "profile photo", "untitled", "no title", "no image",
    "no image available", "image not available", "image not found", "image coming soon", "loading", "loading...",
    "alt", "alt text", "alternative text", "image description", "description", "caption", "click to enlarge",
    "click to view", "click to view larger image", "click for larger image", "click here", "enlarge", "enlarge image",
    "zoom", "view larger", "view full size", "view image", "open image", "featured image", "post thumbnail",
    "post image", "cover image", "hero image", "main image", "product image", "stock photo", "advertisement", "ad",
    "ads", "sponsored", "read more", "learn more", "more", "menu", "search", "close", "next", "previous", "prev",
    "back", "home", "page", "web page", "website", "blog", "blog post", "post", "article", "product", "item",
    "footer", "default", "featured", "featured post", "featured product", "cover", "hero", "gallery", "unnamed",
    "share", "share this", "share on facebook", "share on twitter", "share on x", "share on linkedin", "facebook",
    "twitter", "instagram", "linkedin", "youtube", "pinterest", "rss", "rss feed", "print", "email", "download",
    "play", "play video", "arrow", "arrow right", "arrow left", "null", "undefined", "none", "n/a", "bild", "foto",
    "grafik", "symbolbild", "kein bild", "kein bild vorhanden", "platzhalter", "vergrößern", "bild vergrößern",
    "zum vergrößern klicken", "weiterlesen", "mehr erfahren", "startseite", "anzeige", "werbung", "photographie",
    "icône", "agrandir", "agrandir l'image", "cliquez pour agrandir", "image par défaut", "publicité",
    "lire la suite", "imagen", "imágenes", "icono", "ampliar", "ampliar imagen", "haga clic para ampliar",
    "publicidad", "leer más", "sin imagen", "immagine", "icona", "ingrandisci", "clicca per ingrandire", "pubblicità",
    "leggi tutto", "imagem", "ícone", "ampliar imagem", "clique para ampliar", "leia mais", "afbeelding", "plaatje",
    "vergroten", "klik om te vergroten", "lees meer", "bilde", "billede", "kuva", "obraz", "obrazek", "zdjęcie",
    "powiększ", "изображение", "картинка", "фото", "логотип", "увеличить", "реклама", "читать далее", "图片", "圖片",
    "照片", "图像", "标志", "点击放大", "点击查看大图", "广告", "阅读更多", "画像", "写真", "ロゴ", "拡大",
    "クリックで拡大", "広告", "続きを読む", "이미지", "사진", "로고", "광고", "รูปภาพ", "ภาพ", "โลโก้", "صورة",
    "شعار", "إعلان", "previous page", "next page", "next post", "previous post", "main menu", "navigation menu",
    "full size", "original file", "share this post", "follow us on twitter", "follow us on facebook",
    "follow us on instagram", "back to top", "sponsored content", "note", "tip", "warning", "caution", "important",
    "header cell", "vorschau", "suchen", "suche", "schließen", "ohne titel", "kein titel", "galerie", "menü",
    "zurück", "weiter", "nächste seite", "vorherige seite", "nächster beitrag", "vorheriger beitrag", "kopfbild",
    "miniaturbild", "originaldatei", "zum vergrößern anklicken", "klicken zum vergrößern", "aperçu", "recherche",
    "rechercher", "fermer", "sans titre", "accueil", "suivant", "précédent", "page suivante", "page précédente",
    "article suivant", "article précédent", "aucune image", "image à la une", "image d’arrière-plan",
    "image d'arrière-plan", "image d’en-tête", "image d'en-tête", "fichier d’origine", "fichier d'origine",
    "vista previa", "buscar", "cerrar", "sin título", "inicio", "galería", "siguiente", "anterior",
    "página siguiente", "página anterior", "siguiente página", "entrada siguiente", "imagen destacada", "aumentar",
    "archivo original", "haz clic para ampliar", "anteprima", "cerca", "chiudi", "senza titolo", "galleria",
    "successivo", "precedente", "pagina successiva", "pagina precedente", "pagina seguente", "nessuna immagine",
    "immagine in evidenza", "file originale", "clicca per ingrandire l'immagine", "voorbeeld", "zoeken", "sluiten",
    "zonder titel", "galerij", "volgende", "vorige", "volgende pagina", "vorige pagina", "uitgelichte afbeelding",
    "achtergrondafbeelding", "header afbeelding", "geen afbeelding", "oorspronkelijk bestand", "podgląd", "podejrzyj",
    "szukaj", "zamknij", "bez tytułu", "strona główna", "galeria", "następna strona", "poprzednia strona",
    "miniatury", "ikona wpisu", "brak zdjęcia", "visualizar", "pesquisar", "fechar", "sem título", "início",
    "próxima página", "página seguinte", "imagem destacada", "просмотр", "поиск", "закрыть", "без названия",
    "безымянный", "главная", "галерея", "следующая страница", "предыдущая страница", "фоновое изображение",
    "исходный файл", "нет изображения", "нет фото", "нажмите, чтобы увеличить", "プレビュー", "検索", "閉じる",
    "名称未設定", "無題", "ホーム", "ギャラリー", "次ページ", "次のページ", "前のページ", "サムネイル", "画像なし",
    "背景画像", "ヘッダー画像", "アイキャッチ画像", "元のファイル", "预览", "搜索", "关闭", "未命名", "无标题",
    "首页", "相册", "图库", "下一页", "上一页", "缩略图", "图像不可用", "暂无图片", "背景图像", "背景图片",
    "顶部图像", "特色图片", "放大", "原始文件",
)  # fmt: skip


class CaptionRules(Rules):
    """Bounds of a caption. In scripts without spaces they hold in characters only."""

    min_characters: int = Field(5, ge=0)  # LAION-400M
    min_words: int = Field(3, ge=0)  # DataComp basic: more than two
    max_characters: int = Field(1_000, ge=1)  # COYO-700M
    max_words: int = Field(256, ge=1)  # COYO-700M
    min_characters_unspaced: int = Field(4, ge=0)  # two Chinese words
    boilerplate: bool = True  # texts that accompany pictures of every kind
    more_boilerplate: list[str] = []  # whole captions, in any case


def normalise_caption(text: str) -> str:
    """NFC, without controls and layout marks, white space collapsed: the form that identity and rules see.

    Its own normal form is itself. Lone surrogates become U+FFFD.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = unicodedata.normalize("NFC", _CONTROL.sub("", _INVISIBLE.sub("", text)))
    text = _STRAY_JOINER.sub("", _SPACE.sub(" ", text))  # a joiner is stray behind a space of any kind
    return unicodedata.normalize("NFC", _SPACE.sub(" ", text).strip())


def caption_id(text: str) -> bytes:
    """The identity of a caption: the first 8 bytes of the SHA-256 of its normal form."""
    return hashlib.sha256(text.encode()).digest()[:ID_BYTES]


def judge_caption_early(caption: str) -> Drop | None:
    """What is never worth a request: no caption, one whose bytes could not be read, or a file's name."""
    if not caption:
        return Drop(Reason.CAPTION_EMPTY)
    if "\ufffd" in caption:
        return _drop(Reason.CAPTION_BROKEN_TEXT, caption)
    if is_file_name(caption):
        return _drop(Reason.CAPTION_IS_FILE_NAME, caption)
    return None


def judge_caption(caption: str, rules: CaptionRules) -> Drop | None:
    """Why `caption`, in its normal form, is not worth an image, or None."""
    drop = judge_caption_early(caption)
    if drop is not None:
        return drop
    if is_url(caption):
        return _drop(Reason.CAPTION_IS_URL, caption)
    if rules.boilerplate and is_boilerplate(caption, rules.more_boilerplate):
        return _drop(Reason.CAPTION_BOILERPLATE, caption)
    if not has_letters(caption):
        return _drop(Reason.CAPTION_NO_LETTERS, caption)
    return _judge_length(caption, rules)


def _drop(reason: Reason, caption: str) -> Drop:
    """A drop that shows the caption, without what says how to reach a person."""
    return Drop(reason, detail=redact(caption[: 2 * DETAIL_CHARACTERS])[:DETAIL_CHARACTERS])


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
    """Whether words cannot be counted: a fifth of the letters, or all but a few, are of scripts without spaces.

    A brand in Latin letters before a Chinese name ("Nike 运动鞋") must not make the name one word.
    """
    letters = sum(c.isalpha() for c in caption)
    unspaced = sum(c.isalpha() for c in _UNSPACED.findall(caption))
    return unspaced * 5 >= letters > 0


def has_letters(caption: str) -> bool:
    """Whether there is a letter of any script; digits, signs and emoji are none."""
    return any(c.isalpha() for c in caption)


def is_url(caption: str) -> bool:
    """`https://example.org/a`, `www.example.org`, `example.org/a`, `example.com`, `data:image/png;base64,...`"""
    return _URL.fullmatch(caption.strip("<>()[]\"' ")) is not None


def is_boilerplate(caption: str, more: list[str]) -> bool:
    """Whether the whole caption, but for case, numbers and outer punctuation, is a text that says nothing."""
    bare = caption.casefold().strip(_QUOTES)
    if bare in _BOILERPLATE or (bool(more) and bare in {m.casefold().strip(_QUOTES) for m in more}):
        return True
    if len(bare) > DETAIL_CHARACTERS:
        return False
    words = {word for word in re.split(r"[\W\d_]+", bare) if word}
    is_generic = bool(words & PICTURE_WORDS) and words <= PICTURE_WORDS | FILLER_WORDS
    return is_generic or bare.rstrip(_NUMBERS) in _BOILERPLATE


_NUMBERS = f"0123456789{_QUOTES}"
_BOILERPLATE = frozenset(text.casefold() for text in BOILERPLATE)
