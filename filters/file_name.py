"""Captions that are the name of a file: what cameras, phones and content systems put where a text should be."""

import re

LONGEST = 255  # characters; no file system takes a longer name
MAX_WORDS = 12  # of a name that people gave

_IMAGE = r"jpe?g|jpe|jfif|png|apng|gif|webp|bmp|tiff?|svgz?|avif|hei[cf]|ico|jxl|psd|cr[23]|nef|dng|arw|eps|mp4|mov|pdf"
_EXTENSION = re.compile(rf"(.*[\w)\]}}'’-])\.(?:{_IMAGE})(?: ?\(\d+\)|\?\S*|#\S*)?", re.IGNORECASE | re.DOTALL)
_SENTENCE = re.compile(r"\w{3,}[.!?] \w")

# What follows the stem that a device gave: a number, a date, a time, and what else devices say.
_TAIL = (  # possessive: no caption may cost a second
    r"(?:[-_ .,:;+()~@]|\d|\b(?:at|um|à|às|a las|alle|kl|om|w|в|am|pm|h|m|s)\b|WA\d+|上午|下午|x(?=\d))*+"
)
_EDIT = (
    r"(?:[-_ ]*(?:copy|copia|kopie|edit(?:ed)?|bearbeitet|final|web|small|large|hdr|pano|burst|mp|cover|crop(?:ped)?|"
    r"scaled|rotated|thumb(?:nail)?|chrome|instagram|e\d+|v\d+|[a-z])\b)*+"
)
_CODES = (
    r"img|_?mg|_?dsc[nf]?|dcim|mvi|mvimg|vid|gopr|gp|dji|sam(?=_)|cimg|imgp|hpim|pxl|fb_img|wp|kimg|pano|rimg|burst|"
    r"p(?=\d)"
)
_DEVICE = re.compile(rf"(?:{_CODES})[-_ ]?e?\d{{3,}}+{_TAIL}{_EDIT}{_TAIL}", re.IGNORECASE)
_SCREEN = re.compile(
    r"(?:screen ?shots?|screen ?recording|bildschirmfoto|capture d[’']écran|captura de (?:pantalla|ecrã|tela)|"
    r"schermata|skärmavbild|schermafbeelding|zrzut ekranu|снимок экрана|"
    r"スクリーンショット|屏幕快照|屏幕截图|截屏|스크린샷|"
    rf"whatsapp image|signal(?=-)|telegram(?=-))[-_ ]*\d{_TAIL}{_EDIT}{_TAIL}",
    re.IGNORECASE,
)
_WORDS = (
    r"photo|image|images|foto|bild|picture|pic|pict|scan|slide|untitled|unbenannt|unnamed|download|file|capture|"
    r"imagen|obraz"
)
_GENERIC = re.compile(
    rf"(?:{_WORDS})(?:[-_]?\d{_TAIL}{_EDIT}|[ ]\d{{4}}[-_.]?\d[\d\-_.]*(?: ?\(\d+\))?|[-_ ]?\(\d+\)){_EDIT}",
    re.IGNORECASE,
)
# Names without spaces that no person writes.
_MACHINE = re.compile(
    r"(?=.*\d)[0-9a-f]{16,}"  # hashes
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UUIDs
    r"|\d{6,}(?:[-_x][\da-z]+)*"  # 20200101_123456, 12345678_1015_n
    r"|100_\d{4}"  # Kodak
    r"|[\da-z]+(?:[-_.][\da-z]+)*[-_]\d{2,4}x\d{2,4}"  # WordPress: name-300x200
    r"|[\da-z]+(?:[-.][\da-z]+)*_[\da-z]*(?:[-_.][\da-z]+)*"  # my_holiday_photo
    r"|(?=[\da-z-]*\d{5})[\da-z]+(?:-[\da-z]+){2,}",  # photo-1518791841217-8f162f1e4131
    re.IGNORECASE,
)


def is_file_name(caption: str) -> bool:
    """`IMG_2041.JPG`, `DSC00012`, `photo-1 (2).png`, `Screenshot 2020-01-01 at 10.00`, `d41d8cd98f00b204e980`."""
    name = caption.strip("\"'<>[] ")
    if len(name) > LONGEST or _is_address(name):
        return False
    if _has_extension(name):
        return True
    if name.isascii() and " " not in name and _MACHINE.fullmatch(name):
        return True
    return any(pattern.fullmatch(name) for pattern in (_DEVICE, _SCREEN, _GENERIC))


def _is_address(name: str) -> bool:
    return "://" in name or name.startswith(("//", "www.", "data:"))


def _has_extension(name: str) -> bool:
    """Nothing but a name with an image's extension; a sentence that ends with one is a caption."""
    found = _EXTENSION.fullmatch(name)
    return found is not None and len(name.split()) <= MAX_WORDS and not _SENTENCE.search(found[1])
