"""image search by text"""

from functools import partial

from trainer import arguments

add_arguments = arguments.search
run = partial(arguments.run, "search")
