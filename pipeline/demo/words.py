"""What the demo calls its shapes and colours, in seven languages: nouns with gender, adjectives that agree.

A noun is (gender, singular, plural); an adjective has a form for each gender and number that its language asks for.
"""

from typing import NamedTuple

KEPT_LANGUAGES = ("en", "de", "fr", "es", "zh")  # the demo's policy
OTHER_LANGUAGES = ("th", "ru")  # dropped by it
LANGUAGES = KEPT_LANGUAGES + OTHER_LANGUAGES


class Noun(NamedTuple):
    """A shape's name. Languages without gender or number leave them empty."""

    gender: str  # m | f | n
    one: str
    many: str


def _nouns(**words: str) -> dict[str, Noun]:
    """`shape="m:one:many"`."""
    return {shape: Noun(*word.split(":")) for shape, word in words.items()}


NOUNS: dict[str, dict[str, Noun]] = {
    "en": _nouns(
        circle=":circle:circles",
        square=":square:squares",
        triangle=":triangle:triangles",
        star=":star:stars",
        cross=":cross:crosses",
        heart=":heart:hearts",
        ring=":ring:rings",
        moon=":crescent moon:crescent moons",
    ),
    "de": _nouns(
        circle="m:Kreis:Kreise",
        square="n:Quadrat:Quadrate",
        triangle="n:Dreieck:Dreiecke",
        star="m:Stern:Sterne",
        cross="n:Kreuz:Kreuze",
        heart="n:Herz:Herzen",
        ring="m:Ring:Ringe",
        moon="m:Halbmond:Halbmonde",
    ),
    "fr": _nouns(
        circle="m:cercle:cercles",
        square="m:carré:carrés",
        triangle="m:triangle:triangles",
        star="f:étoile:étoiles",
        cross="f:croix:croix",
        heart="m:cœur:cœurs",
        ring="m:anneau:anneaux",
        moon="m:croissant de lune:croissants de lune",
    ),
    "es": _nouns(
        circle="m:círculo:círculos",
        square="m:cuadrado:cuadrados",
        triangle="m:triángulo:triángulos",
        star="f:estrella:estrellas",
        cross="f:cruz:cruces",
        heart="m:corazón:corazones",
        ring="m:anillo:anillos",
        moon="f:media luna:medias lunas",
    ),
    "zh": _nouns(
        circle=":圆形:",
        square=":正方形:",
        triangle=":三角形:",
        star=":星星:",
        cross=":十字形:",
        heart=":心形:",
        ring=":圆环:",
        moon=":月牙:",
    ),
    "th": _nouns(
        circle=":วงกลม:",
        square=":สี่เหลี่ยมจัตุรัส:",
        triangle=":สามเหลี่ยม:",
        star=":ดาว:",
        cross=":กากบาท:",
        heart=":หัวใจ:",
        ring=":วงแหวน:",
        moon=":พระจันทร์เสี้ยว:",
    ),
    "ru": _nouns(
        circle="m:круг:круга",
        square="m:квадрат:квадрата",
        triangle="m:треугольник:треугольника",
        star="f:звезда:звезды",
        cross="m:крест:креста",
        heart="n:сердце:сердца",
        ring="n:кольцо:кольца",
        moon="m:полумесяц:полумесяца",
    ),
}

# de: the stem; fr and es: m, f, m plural, f plural; ru: m, f, n, genitive plural
COLOUR_WORDS: dict[str, dict[str, str]] = {
    "en": {c: c for c in ("red", "orange", "yellow", "green", "blue", "purple", "black", "white")},
    "de": {
        "red": "rot",
        "orange": "orangefarben",
        "yellow": "gelb",
        "green": "grün",
        "blue": "blau",
        "purple": "violett",
        "black": "schwarz",
        "white": "weiß",
    },
    "fr": {
        "red": "rouge:rouge:rouges:rouges",
        "orange": "orange:orange:orange:orange",
        "yellow": "jaune:jaune:jaunes:jaunes",
        "green": "vert:verte:verts:vertes",
        "blue": "bleu:bleue:bleus:bleues",
        "purple": "violet:violette:violets:violettes",
        "black": "noir:noire:noirs:noires",
        "white": "blanc:blanche:blancs:blanches",
    },
    "es": {
        "red": "rojo:roja:rojos:rojas",
        "orange": "naranja:naranja:naranjas:naranjas",
        "yellow": "amarillo:amarilla:amarillos:amarillas",
        "green": "verde:verde:verdes:verdes",
        "blue": "azul:azul:azules:azules",
        "purple": "morado:morada:morados:moradas",
        "black": "negro:negra:negros:negras",
        "white": "blanco:blanca:blancos:blancas",
    },
    "zh": {
        "red": "红色",
        "orange": "橙色",
        "yellow": "黄色",
        "green": "绿色",
        "blue": "蓝色",
        "purple": "紫色",
        "black": "黑色",
        "white": "白色",
    },
    "th": {
        "red": "สีแดง",
        "orange": "สีส้ม",
        "yellow": "สีเหลือง",
        "green": "สีเขียว",
        "blue": "สีน้ำเงิน",
        "purple": "สีม่วง",
        "black": "สีดำ",
        "white": "สีขาว",
    },
    "ru": {
        "red": "красный:красная:красное:красных",
        "orange": "оранжевый:оранжевая:оранжевое:оранжевых",
        "yellow": "жёлтый:жёлтая:жёлтое:жёлтых",
        "green": "зелёный:зелёная:зелёное:зелёных",
        "blue": "синий:синяя:синее:синих",
        "purple": "фиолетовый:фиолетовая:фиолетовое:фиолетовых",
        "black": "чёрный:чёрная:чёрное:чёрных",
        "white": "белый:белая:белое:белых",
    },
}

NUMBERS: dict[str, tuple[str, ...]] = {  # two, three, four
    "en": ("two", "three", "four"),
    "de": ("zwei", "drei", "vier"),
    "fr": ("deux", "trois", "quatre"),
    "es": ("dos", "tres", "cuatro"),
    "zh": ("两", "三", "四"),
    "th": ("สอง", "สาม", "สี่"),
    "ru": ("два", "три", "четыре"),
}


def phrase(language: str, shape: str, colour: str, count: int) -> str:
    """The shapes as an object of "shows": "two red circles", "zwei rote Kreise", ..."""
    return _PHRASES[language](NOUNS[language][shape], COLOUR_WORDS[language][colour], count)


def _number(language: str, count: int) -> str:
    return NUMBERS[language][count - 2]


def _english(noun: Noun, colour: str, count: int) -> str:
    if count > 1:
        return f"{_number('en', count)} {colour} {noun.many}"
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {noun.one}"


def _german(noun: Noun, colour: str, count: int) -> str:
    """Accusative."""
    if count > 1:
        return f"{_number('de', count)} {colour}e {noun.many}"
    article, ending = {"m": ("einen", "en"), "f": ("eine", "e"), "n": ("ein", "es")}[noun.gender]
    return f"{article} {colour}{ending} {noun.one}"


def _romance(language: str, noun: Noun, colour: str, count: int) -> str:
    masculine, feminine, masculines, feminines = colour.split(":")
    if count > 1:
        return f"{_number(language, count)} {noun.many} {masculines if noun.gender == 'm' else feminines}"
    articles = {"fr": ("un", "une"), "es": ("un", "una")}[language]
    if noun.gender == "m":
        return f"{articles[0]} {noun.one} {masculine}"
    return f"{articles[1]} {noun.one} {feminine}"


def _french(noun: Noun, colour: str, count: int) -> str:
    return _romance("fr", noun, colour, count)


def _spanish(noun: Noun, colour: str, count: int) -> str:
    return _romance("es", noun, colour, count)


def _chinese(noun: Noun, colour: str, count: int) -> str:
    return f"{'一' if count == 1 else _number('zh', count)}个{colour}的{noun.one}"


def _thai(noun: Noun, colour: str, count: int) -> str:
    return f"{noun.one}{colour}" + (f"{_number('th', count)}รูป" if count > 1 else "หนึ่งรูป")


def _russian(noun: Noun, colour: str, count: int) -> str:
    masculine, feminine, neuter, genitives = colour.split(":")
    if count == 1:
        adjective = {"m": masculine, "f": feminine, "n": neuter}[noun.gender]
        return f"{adjective} {noun.one}"
    two = "две" if noun.gender == "f" and count == 2 else _number("ru", count)
    return f"{two} {genitives} {noun.many}"


_PHRASES = {
    "en": _english,
    "de": _german,
    "fr": _french,
    "es": _spanish,
    "zh": _chinese,
    "th": _thai,
    "ru": _russian,
}
