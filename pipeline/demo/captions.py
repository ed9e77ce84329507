"""Captions of the demo: what a person might write below a picture, true of a scene or wrong on purpose."""

import random
from collections.abc import Sequence

from pipeline.demo.pictures import COLOURS, Scene, random_scene
from pipeline.demo.shapes import SHAPES
from pipeline.demo.words import phrase

# {what} is the phrase in the accusative; {where} and {ground} begin with a space, or are empty
TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": (
        "This picture shows {what}{where}{ground}.",
        "Here you can see {what}{where}{ground}.",
        "The artist has drawn {what}{where}{ground}.",
        "A simple drawing of {what}{where}{ground}",
        "In this image there {be} {what}{where}{ground}.",
        "We painted {what}{where}{ground} for you.",
    ),
    "de": (
        "Dieses Bild zeigt {what}{where}{ground}.",
        "Hier sieht man {what}{where}{ground}.",
        "Auf dem Bild erkennt man {what}{where}{ground}.",
        "Eine einfache Zeichnung zeigt {what}{where}{ground}.",
        "Der Künstler malte {what}{where}{ground}.",
        "Wir haben für euch {what}{where}{ground} gezeichnet.",
    ),
    "fr": (
        "Cette image montre {what}{where}{ground}.",
        "On voit ici {what}{where}{ground}.",
        "Un dessin simple avec {what}{where}{ground}",
        "L'artiste a dessiné {what}{where}{ground}.",
        "Nous avons peint pour vous {what}{where}{ground}.",
        "Sur cette image il y a {what}{where}{ground}.",
    ),
    "es": (
        "Esta imagen muestra {what}{where}{ground}.",
        "Aquí se puede ver {what}{where}{ground}.",
        "Un dibujo sencillo con {what}{where}{ground}",
        "El artista ha dibujado {what}{where}{ground}.",
        "Hemos pintado hoy para ustedes {what}{where}{ground}.",
        "En esta imagen hay {what}{where}{ground}.",
    ),
    "zh": (
        "这张图片{where}{ground}显示了{what}。",
        "你可以看到{ground}{where}有{what}。",
        "我们的画家{ground}{where}画了{what}给大家看。",
        "这是一幅简单的画,{ground}{where}有{what}。",
        "在这幅图里{ground}{where}我们能看到{what}。",
        "我们画的是{ground}{where}{what}。",
    ),
    "th": (
        "ภาพนี้แสดง{what}{where}{ground}",
        "ที่นี่คุณจะเห็น{what}{where}{ground}",
        "ศิลปินได้วาด{what}{where}{ground}",
        "ภาพวาดง่ายๆ ของ{what}{where}{ground}",
        "ในภาพนี้มี{what}{where}{ground}",
        "เราวาด{what}{where}{ground}ให้คุณ",
    ),
    "ru": (
        "На этой картинке изображено: {what}{where}{ground}.",
        "Здесь можно увидеть {what}{where}{ground}.",
        "Простой рисунок, на котором {what}{where}{ground}.",
        "Художник нарисовал {what}{where}{ground}.",
        "На рисунке есть {what}{where}{ground}.",
        "Мы нарисовали для вас {what}{where}{ground}.",
    ),
}
POSITION_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "left": " on the left",
        "right": " on the right",
        "top": " at the top",
        "bottom": " at the bottom",
        "centre": " in the centre",
    },
    "de": {"left": " links", "right": " rechts", "top": " oben", "bottom": " unten", "centre": " in der Mitte"},
    "fr": {"left": " à gauche", "right": " à droite", "top": " en haut", "bottom": " en bas", "centre": " au centre"},
    "es": {
        "left": " a la izquierda",
        "right": " a la derecha",
        "top": " en la parte de arriba",
        "bottom": " en la parte de abajo",
        "centre": " en el centro",
    },
    "zh": {"left": "左边", "right": "右边", "top": "上方", "bottom": "下方", "centre": "中间"},
    "th": {"left": "ทางซ้าย", "right": "ทางขวา", "top": "ด้านบน", "bottom": "ด้านล่าง", "centre": "ตรงกลาง"},
    "ru": {"left": " слева", "right": " справа", "top": " сверху", "bottom": " снизу", "centre": " в центре"},
}
BACKGROUND_WORDS: dict[str, dict[str, str]] = {
    "en": {
        "striped": " on a striped background",
        "dotted": " on a dotted background",
        "checked": " on a checked background",
        "cloudy": " on a cloudy background",
    },
    "de": {
        "striped": " auf gestreiftem Grund",
        "dotted": " auf gepunktetem Grund",
        "checked": " auf kariertem Grund",
        "cloudy": " auf wolkigem Grund",
    },
    "fr": {
        "striped": " sur un fond rayé",
        "dotted": " sur un fond à pois",
        "checked": " sur un fond à carreaux",
        "cloudy": " sur un fond nuageux",
    },
    "es": {
        "striped": " sobre un fondo de rayas",
        "dotted": " sobre un fondo de puntos",
        "checked": " sobre un fondo de cuadros",
        "cloudy": " sobre un fondo de nubes",
    },
    "zh": {"striped": "条纹背景上", "dotted": "圆点背景上", "checked": "方格背景上", "cloudy": "云雾背景上"},
    "th": {
        "striped": "บนพื้นหลังลายทาง",
        "dotted": "บนพื้นหลังลายจุด",
        "checked": "บนพื้นหลังลายตาราง",
        "cloudy": "บนพื้นหลังลายเมฆ",
    },
    "ru": {
        "striped": " на полосатом фоне",
        "dotted": " на фоне в горошек",
        "checked": " на клетчатом фоне",
        "cloudy": " на облачном фоне",
    },
}


def describe(scene: Scene, language: str, rng: random.Random) -> str:
    """A true sentence about `scene`: shape, colour and number always, place and background now and then."""
    where = POSITION_WORDS[language][scene.position] if scene.position and rng.random() < 0.6 else ""
    ground = BACKGROUND_WORDS[language][scene.background] if rng.random() < 0.6 else ""
    return rng.choice(TEMPLATES[language]).format(
        what=phrase(language, scene.shape, scene.colour, scene.number),
        where=where,
        ground=ground,
        be="is" if scene.number == 1 else "are",
    )


def random_swap(scene: Scene, language: str, rng: random.Random) -> str:
    """What is true of another scene, whose shape and colour are both others."""
    other = random_scene(rng)._replace(
        shape=_another(SHAPES, scene.shape, rng), colour=_another(tuple(COLOURS), scene.colour, rng)
    )
    return describe(other, language, rng)


def hard_swap(scene: Scene, language: str, rng: random.Random) -> str:
    """Wrong in the shape alone: colour, number, place and background are right."""
    return describe(scene._replace(shape=_another(SHAPES, scene.shape, rng)), language, rng)


def _another(values: Sequence[str], value: str, rng: random.Random) -> str:
    return rng.choice([v for v in values if v != value])
