"""One line per event where no terminal is, and the words of the last line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pkgs.jobqueue.screen.screen import Lines, choose_screen, events_after, farewell, summary
from pkgs.jobqueue.state.records import Completed
from pkgs.jobqueue.vocabulary import RunKey
from tests.builders.engines import engine_in, pretend_run, set_state

TABLE = "id,command\na,true\nb,true\n"


def test_every_event_is_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        screen = Lines()
        engine.commit(events=[engine.say("starting", "one")])
        screen.show(engine)
        engine.commit(events=[engine.say("completed", "two"), engine.say("failed", "three")])
        screen.show(engine)
        screen.show(engine)
    words = [line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()]
    assert words == ["starting   one", "completed  two", "failed     three"]


def test_events_that_scrolled_away_do_not_repeat_the_rest(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        first = engine.say("x", "first")
        engine.events.append(first)
        engine.events.extend(engine.say("x", str(number)) for number in range(500))
        assert len(events_after(engine, first)) == engine.events.maxlen


def test_notices_are_printed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        screen = Lines()
        engine.desk.notices.append("mind the gap")
        screen.show(engine)
        screen.show(engine)
    assert capsys.readouterr().out.count("mind the gap") == 1


def test_a_line_that_cannot_be_written_does_not_end_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with engine_in(tmp_path, TABLE) as engine:
        monkeypatch.setattr("builtins.print", full)
        engine.commit(events=[engine.say("starting", "one")])
        screen = Lines()
        screen.show(engine)
        assert screen._last is not None


def test_the_summary_counts_rows_by_status(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        assert summary(engine) == "2 open"
        set_state(engine, RunKey("a"), Completed())
        assert summary(engine) == "1 completed, 1 open"


def test_the_farewell_says_what_goes_on_without_the_manager(tmp_path: Path) -> None:
    with engine_in(tmp_path, TABLE) as engine:
        assert farewell(engine) == "2 open"
        pretend_run(engine, RunKey("a"))
        assert farewell(engine) == "1 open, 1 running; 1 run goes on without the manager"
        pretend_run(engine, RunKey("b"))
        assert farewell(engine).endswith("2 runs go on without the manager")


def test_an_empty_table_is_said_in_words(tmp_path: Path) -> None:
    with engine_in(tmp_path, "id,command\n") as engine:
        assert summary(engine) == "no jobs"


def test_without_a_terminal_there_are_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with engine_in(tmp_path, TABLE) as engine, choose_screen(engine, plain=False) as screen:
        assert isinstance(screen, Lines)
