"""Which images the demo's web has: for each a kind, a picture, its captions and what the server answers."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.demo.captions import describe, hard_swap, random_swap
from pipeline.demo.hosts import PICTURE_HOSTS
from pipeline.demo.kinds import BY_NAME, KINDS, Kind, number_of
from pipeline.demo.pictures import Scene, random_scene
from pipeline.demo.settings import DemoSettings
from pipeline.demo.words import KEPT_LANGUAGES, OTHER_LANGUAGES

IMAGES_PER_PAGE = 5 / 3
FORMS = ("JPEG",) * 14 + ("WEBP",) * 4 + ("PNG", "GIF")
EXTENSIONS = {"JPEG": "jpg", "WEBP": "webp", "PNG": "png", "GIF": "gif", "SVG": "svg"}
FORM_OF = {"truncated": "JPEG", "drawing": "SVG", "pixel_bomb": "PNG"}  # of answers that are about a format
BOILERPLATE = (
    "Click to enlarge",
    "No image available",
    "Share on Facebook",
    "Featured image",
    "Zum Vergrößern klicken",
    "Cliquez pour agrandir",
    "Haga clic para ampliar",
    "点击查看大图",
)
MAKERS = ("Anna", "Bruno", "Chiara", "David", "Elif", "Farid")


class Text(NamedTuple):
    """What one page says of an image."""

    language: str  # "" where it is in none
    text: str


class Item(NamedTuple):
    """An image of the web, by its url."""

    url: str
    kind: str
    scene: Scene
    texts: tuple[Text, ...]  # one an occurrence
    form: str  # one of EXTENSIONS
    quality: int
    scale: float  # of the scene's size: copies may be smaller
    copy_of: str  # url of the original, or ""


def plan_items(settings: DemoSettings) -> list[Item]:
    """All images of the web, the clean ones first. The same for the same settings."""
    rng = random.Random(f"items {settings.seed} {settings.pages}")
    wanted = {kind: number_of(kind, settings.pages) for kind in KINDS}
    total = round(settings.pages * IMAGES_PER_PAGE)
    wanted[BY_NAME["clean"]] = max(total - sum(wanted.values()), settings.pages // 3)
    items: list[Item] = []
    for kind, number in wanted.items():
        items.extend(_items_of(kind, number, items, rng))
    return items


def _items_of(kind: Kind, number: int, items: list[Item], rng: random.Random) -> Iterator[Item]:
    if kind.name in ("exact_copy", "near_copy"):
        originals = [item for item in items if item.kind == "clean" and item.form == "JPEG"]
        first = 0 if kind.name == "exact_copy" else len(originals) // 2  # no picture has two copies
        for original in originals[first : first + number]:
            yield _copy(kind, original, rng)
        return
    for place in range(number):
        scene = random_scene(rng)
        form = FORM_OF.get(kind.answer) or rng.choice(FORMS)
        texts = tuple(_texts(kind, scene, place, rng))
        yield Item(_url(kind, form, rng), kind.name, scene, texts, form, rng.randrange(82, 95), 1.0, "")


def _copy(kind: Kind, original: Item, rng: random.Random) -> Item:
    """The same bytes under another url, or the same picture smaller and encoded anew."""
    url = _url(kind, original.form, rng)
    texts = (_true(original.scene, rng),)
    copy = original._replace(url=url, kind=kind.name, texts=texts, copy_of=original.url)
    if kind.name == "exact_copy":
        return copy
    return copy._replace(quality=rng.randrange(55, 75), scale=rng.uniform(0.93, 0.97))


def _url(kind: Kind, form: str, rng: random.Random) -> str:
    scheme = "ftp" if kind.answer == "elsewhere" else "http"
    host = kind.host or rng.choice(PICTURE_HOSTS)
    return f"{scheme}://{host}/{kind.folder}/{rng.getrandbits(40):010x}.{EXTENSIONS[form]}"


def _texts(kind: Kind, scene: Scene, place: int, rng: random.Random) -> Iterator[Text]:
    """One text an occurrence. Only true ones come more than once: a defect must not be healed by another page."""
    if kind.caption != "true":
        yield _special(kind.caption, scene, place, rng)
        return
    first = _true(scene, rng)
    yield first
    if kind.name != "clean":
        return
    for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 1, 2, 3))):
        yield first if rng.random() < 0.4 else _true(scene, rng)


def _true(scene: Scene, rng: random.Random) -> Text:
    language = rng.choice(KEPT_LANGUAGES)
    return Text(language, describe(scene, language, rng))


def _special(caption: str, scene: Scene, place: int, rng: random.Random) -> Text:
    language = rng.choice(OTHER_LANGUAGES if caption == "other_language" else KEPT_LANGUAGES)
    if caption == "other_language":
        return Text(language, describe(scene, language, rng))
    if caption == "random_swap":
        return Text(language, random_swap(scene, language, rng))
    if caption == "hard_swap":
        return Text(language, hard_swap(scene, language, rng))
    return Text("", _no_caption(caption, scene, place, rng))


def _no_caption(caption: str, scene: Scene, place: int, rng: random.Random) -> str:
    """A text that says nothing of the picture, or what it must not say."""
    maker, number = rng.choice(MAKERS), rng.randrange(1_000, 10_000)
    true = describe(scene, "en", rng)
    texts = {
        "empty": "",
        "file_name": (f"IMG_{number}.JPG", f"dsc0{number}.jpeg", f"photo-{number}-final.png")[place % 3],
        "too_short": ("red", "Mond", "azul")[place % 3],
        "too_few_words": f"{scene.colour} {scene.shape}",
        "too_long": " ".join([true] * (1_200 // len(true) + 1)),
        "boilerplate": BOILERPLATE[place % len(BOILERPLATE)],
        "url": f"http://www.demo.test/shop/{number}",
        "no_letters": f"{number} / {number + 7} - 2026",
        "mail_address": f"{true.rstrip('.')}, ask {maker.lower()}.{number}@mail.demo.test for a print",
        "repeated": "One of the drawings from our little collection",
    }
    return texts[caption]
