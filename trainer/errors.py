"""What the readers of shards refuse.

TrainerError(ValueError)
├── ModelError    a model that cannot be loaded, made or written
├── ShardError    shards that cannot be read
├── InputError    any other value that cannot be used
└── Diverged      training that came to values that are not finite
"""


class TrainerError(ValueError):
    """An expected failure whose message names the value and the remedy."""

    exit_code = 2


class ModelError(TrainerError):
    """A model that cannot be loaded, made or written."""


class ShardError(TrainerError):
    """Shards that cannot be read."""


class InputError(TrainerError):
    """Any other value that cannot be used."""


class Diverged(TrainerError):
    """Training came to a loss or weights that are not finite; the last good weights are kept."""

    exit_code = 1
