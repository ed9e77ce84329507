"""train a CLIP on shards"""

from functools import partial

from trainer import arguments

add_arguments = arguments.train
run = partial(arguments.run, "train")
