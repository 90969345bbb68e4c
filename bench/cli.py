"""The command line: finds the command, and says in one line what went wrong."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from .commands import COMMANDS, Parser
from .errors import HalfscanError, one_line

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 done, 1 some cell or check failed, 2 bad input (one line on standard error), 130 interrupted.
    """
    try:
        return _do(list(sys.argv[1:] if arguments is None else arguments))
    except HalfscanError as error:
        print(f"halfscan: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("halfscan: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has left; nothing is wrong. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"halfscan: {error.strerror}{where}: make room or name another folder; the same command goes on", file=sys.stderr)
        return 2


def _do(words: list[str]) -> int:
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in COMMANDS), None)
    if name is None:
        return _explain(words)
    command, rest = COMMANDS[name], words[len(name.split()) :]
    module, _, function = command.does.partition(":")
    parser = command.parser(name)
    # Hydra reads overrides itself, where nothing else is taken: its grammar is not argparse's.
    options = rest if command.takes is None else parser.parse_intermixed_args(rest)
    return int(getattr(import_module(f".{module}", __package__), function)(options))


def _explain(words: list[str]) -> int:
    """Help, the version, or what is wrong with words that are no command."""
    parser = Parser(prog="halfscan", description="Half the scan, the same image? Prove it. Benchmarks AI MRI reconstruction.")
    parser.add_argument("--version", action="version", version=f"halfscan {__version__}")
    listed = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        listed.add_parser(name, help=command.help)
    seconds = [name.split()[1] for name in COMMANDS if name.split()[0] == "".join(words[:1]) and " " in name]
    if seconds:
        group = words[0]
        if words[1:2] in (["-h"], ["--help"]):
            for name in seconds:
                COMMANDS[f"{group} {name}"].parser(f"{group} {name}").print_help()
            return 0
        named = " and ".join(f"{group} {name}" for name in seconds)
        raise HalfscanError(f"halfscan {group} {' '.join(words[1:2])[:40]}: there are {named}")
    parser.parse_args(words)
    return 0
