"""Options and the numbers they take: what, got, wanted and remedy in one line, before anything is run."""

import pytest

from geoflow.app.arguments import EXAMPLES, parser


def parse(*arguments):
    return parser({name: lambda options: 0 for name in EXAMPLES}).parse_args(arguments)


@pytest.mark.parametrize("value", ["0", "-1", "101", "1000000000", "9" * 5000, "nan", "1.5", "", "two", "1e3"])
def test_dimensions_are_whole_and_small_enough_for_the_laws(value, capsys):
    for call in (["verify", "sine", f"--dim={value}"], ["realize", "burg", f"--d={value}"]):
        with pytest.raises(SystemExit) as ended:
            parse(*call)
        printed = capsys.readouterr().err
        assert ended.value.code == 2 and printed.count("\n") == 1 and len(printed) < 600
        assert "got '" in printed and "wanted an integer, at least 1 and at most 100" in printed
    assert parse("verify", "sine", "--dim=100").dim == 100


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1", "2", "1e-400", "small"])
def test_tolerances_are_between_0_and_1(value, capsys):
    with pytest.raises(SystemExit):
        parse("realize", "burg", f"--tol={value}")
    assert "between 0 and 1" in capsys.readouterr().err
    assert parse("realize", "burg", "--tol=1e-9").tol == 1e-9


@pytest.mark.parametrize("value", ["0", "-3", "nan", "inf", "1e8", "soon"])
def test_a_timeout_is_a_positive_number_of_seconds(value, capsys):
    for command in (["list"], ["demo"], ["verify", "sine"], ["realize", "burg"]):
        with pytest.raises(SystemExit):
            parse(*command, f"--timeout={value}")
        assert "positive" in capsys.readouterr().err
        assert parse(*command).timeout is None and parse(*command, "--timeout", "2.5").timeout == 2.5


def test_ambient_dimensions_are_bounded(capsys):
    with pytest.raises(SystemExit):
        parse("realize", "quartic", "--dim", "1000000000")
    assert "at most 10000" in capsys.readouterr().err


def test_help_says_the_exit_statuses(capsys):
    for call in (["--help"], ["verify", "--help"]):
        with pytest.raises(SystemExit) as ended:
            parse(*call)
        assert ended.value.code == 0
        assert "124" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["-1:1", "-.5:1", "-1,-2:1,-0.5", "-inf:inf", "-1e-3:1", "0:1"])
def test_a_box_comes_after_a_space_as_after_a_sign(value):
    for call in (["--box", value], [f"--box={value}"], ["--bo", value]):
        assert parse("realize", "quartic", *call).box == value
        assert parse("realize", *call, "quartic").target == "quartic"


def test_a_start_may_begin_below_zero_too(capsys):
    assert parse("verify", "a.py:G", "--x0", "-1,0.5", "--dim", "3").x0 == "-1,0.5"
    with pytest.raises(SystemExit):
        parse("realize", "burg", "--tol", "-1e-3")
    assert "between 0 and 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call, words",
    [
        ("verify sine --dims 3", "did you mean --dim"), ("verify sine --porve", "did you mean --prove"),
        ("realize burg --bax -1:1", "did you mean --box"), ("list --dim 3", "--dim is for verify, realize"),
        ("realize burg --x0 1", "--x0 is for verify"), ("verify sine --d=2 --save F", "--save is for realize"),
        ("sweep a.toml --seed 3", "unknown --seed"), ("demo pictures", "no such argument"),
    ],
)  # fmt: skip
def test_an_unknown_option_is_named_with_a_near_one(call, words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(*call.split())
    told = capsys.readouterr().err
    assert ended.value.code == 2 and words in told and told.count("\n") == 1 and "--help" in told


def test_the_version(capsys):
    import geoflow

    with pytest.raises(SystemExit) as ended:
        parse("--version")
    assert ended.value.code == 0 and capsys.readouterr().out == f"geoflow {geoflow.__version__}\n"


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_command_has_json_examples_that_parse_and_statuses_in_its_help(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        parse(name, "--help")
    told = capsys.readouterr().out
    assert "--json FILE" in told and "examples:" in told and "exit status:" in told and "  124  --timeout" in told
    for line in EXAMPLES[name]:
        assert line in told
        words = line.split(" > ")[0].split()
        assert words[:2] == ["geoflow", name] and parse(*words[1:]).name == name
