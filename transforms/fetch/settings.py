"""Settings of the `fetch` section."""

from pydantic import Field

from filters.rules import Rules, operational
from transforms.image.process import ImageSettings
from transforms.web.parts import LOCAL_PAUSES_S


class FetchSettings(Rules):
    """How candidates are planned into tasks and what becomes of their images."""

    image: ImageSettings = ImageSettings()
    rows_per_part: int = Field(1_000, ge=1, le=10_000)  # the unit of resume
    parts_at_once: int = operational(8, ge=1)  # begun and not committed, in each task: slow hosts hold up no others
    rows_per_task: int = Field(10_000, ge=1)  # a task owns its hosts; enough of them to interleave
    local_pauses_s: tuple[float, ...] = operational(LOCAL_PAUSES_S)  # before a part that failed here is tried again
    decoders: int = operational(2, ge=1, le=64)  # processes, of each worker; they do most of the work
    spool_bytes: int = operational(32 * 1024 * 1024, ge=1)  # of images in memory until their parts are whole
