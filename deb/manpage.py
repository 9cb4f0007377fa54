"""bodycam(1), made from the command's own help when the package is built, so that neither says what the other does not."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime

import device.cli

FILES = {
    "/etc/bodycam/bodycam.toml": "the configuration; /etc/bodycam/bodycam.toml.example is one to begin with",
    "/var/lib/bodycam": "the card: evidence and the journal. No upgrade and no removal touches it",
    "/var/lib/bodycam-identity": "the device's own keys. The same holds",
    "/var/lib/bodycam-state": "the last good policy. The same holds",
    "/run/bodycam/status.json": "what the daemon is doing",
    "/usr/share/doc/bodycam/README.Debian": "upgrade, roll-back, and what the package changes on a system",
}


def manpage(version: str, written_s: int) -> str:
    """The page as troff. `written_s`: seconds since 1970."""
    parser = device.cli._parser()  # noqa: SLF001 - the one description of the commands
    day = datetime.fromtimestamp(written_s, UTC).strftime("%Y-%m-%d")
    what, _, status = (parser.description or "").partition("\n\n")
    lines = [
        f'.TH BODYCAM 1 "{day}" "bodycam {version}" "User Commands"',
        ".SH NAME",
        r"bodycam \- the controller of a body-worn camera, and the readers of what it recorded",
        ".SH SYNOPSIS",
        ".B bodycam",
        r".RB [ \-\-help | \-\-version ]",
        ".I COMMAND",
        "[argument ...]",
        ".SH DESCRIPTION",
        _text(what),
        ".SH COMMANDS",
    ]
    for command in _commands(parser):
        lines += [f".SS {_text(command.prog)}", _text(command.description or "")]
        for action in command._actions:  # noqa: SLF001 - argparse has no other list of them
            if action.help is not argparse.SUPPRESS and action.dest != "help":
                lines += _option(action, command)
        if command.epilog:
            lines += [".PP", ".nf", _text(command.epilog), ".fi"]
    lines += [".SH EXIT STATUS", _text(status), ".SH FILES"]
    for name, said in FILES.items():
        lines += [".TP", f".I {_text(name)}", _text(said)]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command that does something, not those that only have commands of their own."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for command in action.choices.values():
                inner = list(_commands(command))
                yield from inner or [command]


def _option(action: argparse.Action, command: argparse.ArgumentParser) -> list[str]:
    formatter = command._get_formatter()  # noqa: SLF001 - the words of --help itself
    name = formatter._format_action_invocation(action)  # noqa: SLF001
    said = formatter._expand_help(action) if action.help else ""  # noqa: SLF001
    return [".TP", f".B {_text(name)}", _text(said)]


def _text(text: str) -> str:
    """Text in which troff sees no command of its own."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return "\n".join("\\&" + line if line[:1] in {".", "'"} else line for line in escaped.splitlines())
