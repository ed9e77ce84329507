"""Settings of the generated web. No imports but the base: the configuration reads this file."""

from pydantic import Field

from filters.rules import Rules


class DemoSettings(Rules):
    """How big the web is and which of its many variants is drawn."""

    pages: int = Field(default=1_500, ge=100, le=20_000)  # every kind of defect needs about a hundred
    seed: int = Field(default=20_260_101, ge=0)  # another seed is another web
