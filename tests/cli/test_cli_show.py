import io
import json

import pytest
from rich.console import Console

from spurion.cli import show
from spurion.cli.show import say, show_json, show_table
from spurion.statistics.intervals import Interval


@pytest.fixture
def terminal(monkeypatch):
    """A terminal instead of standard error; what it shows."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(show, "Console", lambda **options: console)
    return screen


def test_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(show.time, "monotonic", lambda: now[0])
    with show.progress_shown() as report:
        for done in range(0, 101, 5):
            report("K = 2", "train", done, 100)
            now[0] += 1
        report("K = 2", "sample", 1, 4)
        report("", "search", 0, 0)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        "K = 2: train",
        "K = 2: train 50 %",
        "K = 2: train 100 %",
        "K = 2: sample",
        "search",
    ]


def test_bars_on_a_terminal(terminal):
    with show.progress_shown() as report:
        report("K = 2 [red]", "train", 1, 4)
        report("K = 64", "train", 2, 4)
        first = report.rows["K = 2 [red]"]
        report("K = 2 [red]", "train", 3, 4)
        assert report.rows["K = 2 [red]"] == first
        assert report.progress.tasks[0].completed == 3
        report("K = 2 [red]", "sample", 0, 9)
        assert report.rows["K = 2 [red]"][0] == "sample"
        assert len(report.progress.tasks) == 2
        report("K = 64", "train", 4, 4)
        assert list(report.rows) == ["K = 2 [red]"]
        report("K = 64", "train", 4, 4)
        assert len(report.progress.tasks) == 1
        report.progress.refresh()
    assert "K = 2 [red]: sample" in terminal.getvalue()


def test_work_of_unknown_length_pulses(terminal):
    with show.progress_shown() as report:
        report("", "measure distances", 0, 0)
        (task,) = report.progress.tasks
        assert task.total is None


def test_json_is_strict(capsys):
    show.show_json({"a": "é", "b": [1, None]})
    assert json.loads(capsys.readouterr().out) == {"a": "é", "b": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        show.show_json(float("nan"))


def test_tables_print_texts_as_they_are(capsys):
    show.show_table(("name", "n"), [("[red]x[/red]", "7"), ("y", "1234")], numbers=("n",))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert "[red]x[/red]      7" in lines[2]
    assert "y              1234" in lines[3]


def test_percent():
    assert show.percent(Interval(value=0.3889, low=0.2, high=0.5)) == "38.9 (20.0–50.0)"


def test_no_name_steers_the_terminal(capsys):
    evil = "a\x1b[2J\x9b1m\u202eb\r\nc\udcff\x00"
    say(evil)
    show_table(("name",), [(evil,)])
    shown = capsys.readouterr().out
    assert shown.startswith("a\ufffd[2J\ufffd1m\ufffdb\ufffd\nc\ufffd\ufffd\n")
    assert all(c.isprintable() or c == "\n" for c in shown)


def test_json_for_the_terminal_is_json_without_commands(capsys):
    values = {"é😀\x1b[2J\x9b\u202e": ["\n\x00", 1.5, None], "b": "\udcff"}
    show_json(values)
    shown = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert "é😀" in shown
    assert json.loads(shown) == values | {"b": "?"}
