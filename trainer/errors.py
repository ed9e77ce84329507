"""What the readers of shards refuse.

TrainerError(ValueError)
├── ModelError    a model that cannot be loaded, made or written
├── ShardError    shards that cannot be read
└── InputError    any other value that cannot be used
"""


class TrainerError(ValueError):
    """An expected failure whose message names the value and the remedy."""


class ModelError(TrainerError):
    """A model that cannot be loaded, made or written."""


class ShardError(TrainerError):
    """Shards that cannot be read."""


class InputError(TrainerError):
    """Any other value that cannot be used."""
