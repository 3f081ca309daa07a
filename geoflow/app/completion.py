"""A script by which a shell completes commands, options and names of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geoflow.app.arguments import Parser

ZSH = """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }
autoload -Uz bashcompinit && bashcompinit
"""
SCRIPT = """# completion of geoflow {version}: see geoflow completion --help
_geoflow() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if (( COMP_CWORD == 1 )); then
        words="{top}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{values}
            {files}) COMPREPLY=(); return ;;
            *) case "${{COMP_WORDS[1]}}" in
{commands}
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _geoflow geoflow
"""


def script(shell: str, parser: Parser, names: Mapping[str, Sequence[str]], version: str) -> str:
    """The script for bash or zsh; `names` are what a command is called with, and files come where nothing else fits."""
    values, files, commands = [], [], []
    for command, own in parser.commands.items():
        options = own.options_of()
        for option, choices in options.items():
            if choices:
                values.append(f'            "{command} {option}") words="{" ".join(choices)}" ;;')
            elif choices is not None:
                files.append(f'"{command} {option}"')
        commands.append(f'                {command}) words="{" ".join([*options, *names.get(command, ())])}" ;;')
    text = SCRIPT.format(
        version=version, top=" ".join([*parser.commands, *parser.options_of()]), values="\n".join(values),
        files="|".join(files), commands="\n".join(commands),
    )  # fmt: skip
    return (ZSH if shell == "zsh" else "") + text
