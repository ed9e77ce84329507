"""Settings of the `pack` section."""

from pydantic import Field

from filters.rules import Rules


class PackSettings(Rules):
    """How a selection becomes shards."""

    samples_per_shard: int = Field(10_000, ge=1)  # img2dataset's default
    seed: int = 0  # of the global shuffle
