"""retrieval and zero-shot figures of a model on shards"""

from functools import partial

from trainer import arguments

add_arguments = arguments.evaluate
run = partial(arguments.run, "evaluate")
