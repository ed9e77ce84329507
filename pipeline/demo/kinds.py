"""The kinds of images that the demo plants: what is done to them, how often, and what should become of them."""

from typing import NamedTuple

KEPT = "kept"


class Kind(NamedTuple):
    """One kind of image. Each has one peculiarity, so that it has one fate."""

    name: str
    fate: str  # "kept" or the reason of the drop
    number: int  # of images in a web of 1,500 pages; 0: whatever is left
    caption: str = "true"  # what is written under it: see `captions_of` in plan.py
    answer: str = "picture"  # what the server does: see answers.py
    host: str = ""  # where it must be; "" anywhere
    folder: str = "img"
    page: str = ""  # pages of its own, which say this
    at_least: int = 1  # however small the web is


KINDS = (
    Kind("clean", KEPT, 0),
    # wrong captions
    Kind("random_wrong", "score_too_low", 150, caption="random_swap"),
    Kind("hard_wrong", "score_too_low", 100, caption="hard_swap"),
    # copies; each of them has a clean original
    Kind("exact_copy", "exact_duplicate", 12),
    Kind("near_copy", "near_duplicate", 12),
    # captions that are none
    Kind("empty_caption", "caption_empty", 10, caption="empty"),
    Kind("file_name", "caption_is_file_name", 12, caption="file_name"),
    Kind("too_short", "caption_too_short", 10, caption="too_short"),
    Kind("too_few_words", "caption_too_few_words", 10, caption="too_few_words"),
    Kind("too_long", "caption_too_long", 8, caption="too_long"),
    Kind("boilerplate", "caption_boilerplate", 12, caption="boilerplate"),
    Kind("url_caption", "caption_is_url", 8, caption="url"),
    Kind("no_letters", "caption_no_letters", 8, caption="no_letters"),
    Kind("mail_address", "caption_contact", 12, caption="mail_address"),
    Kind("repeated", "caption_repeated", 13, caption="repeated", at_least=13),  # more than COYO's ten
    Kind("other_language", "language", 240, caption="other_language"),
    # urls
    Kind("other_scheme", "url_scheme", 8, answer="elsewhere"),
    # answers
    Kind("not_found", "http_status", 10, answer="404"),
    Kind("gone", "http_status", 8, answer="410"),
    Kind("server_error", "http_status", 8, answer="500"),
    Kind("redirected", KEPT, 12, answer="redirect_3"),
    Kind("redirect_chain", "too_many_redirects", 8, answer="redirect_7"),
    Kind("redirect_loop", "redirect_loop", 8, answer="loop"),
    Kind("redirect_private", "private_address", 8, answer="to_private"),
    Kind("redirect_loopback", "private_address", 8, answer="to_loopback"),
    Kind("redirect_scheme", "bad_redirect", 8, answer="to_ftp"),
    Kind("slow_body", "timeout", 4, answer="slow", host="slow.demo.test"),
    Kind("silent", "timeout", 2, answer="silent", host="slow.demo.test"),
    Kind("endless", "too_many_bytes", 8, answer="endless", host="slow.demo.test"),
    # bodies
    Kind("empty_body", "empty_body", 8, answer="nothing"),
    Kind("html_body", "not_an_image", 10, answer="html"),
    Kind("drawing", "format_not_allowed", 8, answer="drawing"),  # SVG
    Kind("bad_gzip", "bad_encoding", 8, answer="bad_gzip"),
    Kind("pixel_bomb", "too_many_pixels", 6, answer="pixel_bomb"),  # a few bytes that claim 900 million pixels
    Kind("truncated", "truncated", 12, answer="truncated"),
    Kind("tiny", "image_too_small", 10, answer="tiny"),
    Kind("extreme", "aspect_too_extreme", 10, answer="extreme"),
    Kind("other_type", KEPT, 10, answer="octets"),  # a picture that is sent as application/octet-stream
    # manners
    Kind("robots_us", "robots", 10, host="quiet.demo.test"),
    Kind("robots_other", "robots", 10, host="nogpt.demo.test"),
    Kind("robots_folder", "robots", 10, host="gallery.demo.test", folder="private"),
    Kind("noai", "opt_out", 10, answer="noai"),
    Kind("scoped_noai", "opt_out", 10, answer="scoped_noai"),
    Kind("repeated_header", "opt_out", 8, answer="repeated_header"),
    Kind("other_bot", KEPT, 10, answer="other_bot"),  # an opt-out for another agent
    Kind("tdm_header", "opt_out", 8, answer="tdm_header"),
    Kind("tdm_file", "opt_out", 8, host="museum.demo.test", folder="reserved"),
    Kind("page_meta", "page_opt_out", 8, page="meta"),
    Kind("page_scoped_meta", "page_opt_out", 8, page="scoped_meta"),
    Kind("page_header", "page_opt_out", 8, page="header"),
    Kind("page_tdm", "page_opt_out", 8, page="tdm"),
    Kind("page_other_bot", KEPT, 8, page="other_bot"),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def number_of(kind: Kind, pages: int) -> int:
    """How many images of `kind` a web of `pages` pages has; 0 for the kind that fills the rest."""
    return max(kind.at_least, round(kind.number * pages / 1_500)) if kind.number else 0
