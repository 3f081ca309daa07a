"""Options and the numbers they take: what, got, wanted and remedy in one line, before anything is run."""

import pytest

from geoflow.app.arguments import parser


def parse(*arguments):
    return parser(*(lambda options: 0 for _ in range(5))).parse_args(arguments)


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
