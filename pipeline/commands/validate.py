"""whether shards are sound; each finding names shard and key"""

from functools import partial

from trainer import arguments

add_arguments = arguments.validate
run = partial(arguments.run, "validate")
