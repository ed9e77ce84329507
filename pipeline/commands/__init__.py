"""One file a command: `pairmill NAME` is NAME.py here.

The first line of a file's docstring is the command's help text. The file has two functions:

    add_arguments(parser: argparse.ArgumentParser) -> None
    run(args: argparse.Namespace) -> int      # the exit code; `args.options` are the words after `--`

`--help` reads docstrings and imports no command; a command's own `--help` imports its file, so what is heavy (Beam,
torch, pyarrow) is imported inside `run`, or the file says so at its top. A command of another distribution is an entry
point of the group `pairmill.commands` whose value is such a module.
"""
