"""The completion that shells read, asked as a shell asks it."""

import shutil
import subprocess

import pytest

from geoflow import catalog
from geoflow.app.cli import main


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    def made(shell):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main(["completion", shell]) == 0
        file = tmp_path_factory.mktemp(shell) / "completion"
        file.write_text(printed.getvalue())
        return file

    return made


def offered(file, *words):
    """What bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in words)
    code = f'source {file}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _geoflow; echo "${{COMPREPLY[*]}}"'
    ran = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return set(ran.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_offers_commands_options_and_names(script):
    file = script("bash")
    commands = {"demo", "verify", "realize", "check", "sweep", "list", "completion"}
    assert offered(file, "geoflow", "") == {*commands, "-h", "--help", "--version"}
    assert offered(file, "geoflow", "ve") == {"verify"}
    assert offered(file, "geoflow", "verify", "--p") == {"--plot", "--prove"}
    entries = [*catalog.parametrizations, *catalog.noncommuting, *catalog.potentials]
    named = {name for name in entries if name.startswith("hyperbol")}
    assert offered(file, "geoflow", "verify", "hyperbol") == named and len(named) > 2
    assert {*catalog.potentials} <= offered(file, "geoflow", "realize", "")
    assert not {*catalog.parametrizations} & offered(file, "geoflow", "realize", "")
    assert offered(file, "geoflow", "realize", "burg", "--method", "") == {"auto", "exact", "twist", "spectral"}
    assert offered(file, "geoflow", "verify", "sine", "--json", "") == set()  # files, which bash completes itself
    assert offered(file, "geoflow", "completion", "") >= {"bash", "zsh"}
    assert offered(file, "geoflow", "none", "-") == set()


def test_bash_completes_files_where_nothing_else_fits(script):
    assert "-o default -F _geoflow geoflow" in script("bash").read_text()


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh_reads_it(script):
    ask = "f() { emulate -L ksh; _geoflow; echo ${COMPREPLY[*]}; }; f"  # zsh itself keeps those that fit
    for words, wanted in (("geoflow ve", "verify"), ("geoflow realize burg --method ''", "twist")):
        code = f"source {script('zsh')}; COMP_WORDS=({words}); COMP_CWORD={len(words.split()) - 1}; {ask}"
        ran = subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True, check=True)
        assert wanted in ran.stdout.split()


def test_another_shell_is_named(capsys):
    assert main(["completion", "fish"]) == 2
    assert "'bash'" in capsys.readouterr().err
