"""Commands as processes: side by side, every failure told, stopped by a signal."""

import os
import signal

import pytest

from mmjax.experiments import processes
from mmjax.experiments.processes import Command, run_all


class Scripts:
    """Replaces `mmjax` by small Python programs, and keeps how each ended."""

    def __init__(self, monkeypatch, tmp_path):
        self.folder, self.outcomes, self.running = tmp_path, {}, 0
        start = processes.subprocess.Popen

        def popen(argv, **options):
            self.running += 1
            return start([argv[0], "-c", argv[3]], **options)

        monkeypatch.setattr(processes.subprocess, "Popen", popen)

    def ended(self, command, outcome):
        self.outcomes[command.name] = outcome
        return not outcome.reason

    def run(self, *programs, at_once=1, stop=str):
        commands = [Command(f"c{i}", (text,), self.folder / f"c{i}" / "log.txt") for i, text in enumerate(programs)]
        run_all(commands, at_once, self.ended, stop)
        return [self.outcomes.get(c.name, None) for c in commands]


@pytest.fixture
def scripts(monkeypatch, tmp_path):
    return Scripts(monkeypatch, tmp_path)


def test_results_and_reasons(scripts):
    programs = (
        "print('hello'); print('{\"step\": 3}')",
        "import sys; print('mmjax: the disk is full'); print('  to do: make room'); sys.exit(2)",
        "raise RuntimeError('no')",
        "import os; os.kill(os.getpid(), 9)",
        "pass",
    )
    good, told, raised, killed, silent = scripts.run(*programs, at_once=3)
    assert good.result == {"step": 3} and good.reason == "" and good.seconds > 0
    assert told.result is None and told.reason == "mmjax: the disk is full\n      to do: make room"
    assert raised.reason == "RuntimeError: no"
    assert killed.reason == "killed by signal 9"
    assert silent.result is None and silent.reason == "exit status 0"


def test_only_what_this_attempt_said_counts(scripts):
    assert scripts.run("print('{\"step\": 3}')")[0].result == {"step": 3}
    assert scripts.run("import sys; sys.exit(1)")[0].reason == "exit status 1"
    assert (scripts.folder / "c0" / "log.txt").read_text() == '{"step": 3}\n'


def test_two_at_once_meet_and_one_at_a_time_do_not(scripts):
    """Either waits for the other's file for a while."""
    folder = str(scripts.folder)
    meet = (
        "import time, pathlib; f = pathlib.Path({0!r}); (f / 'here{1}').touch(); n = 0\n"
        "while not (f / 'here{2}').exists() and n < {3}: time.sleep(0.01); n += 1\n"
        "print('{{\"met\": %d}}' % (f / 'here{2}').exists())"
    )
    found = scripts.run(meet.format(folder, 1, 2, 2000), meet.format(folder, 2, 1, 2000), at_once=2)
    assert [o.result["met"] for o in found] == [1, 1]
    found = scripts.run(meet.format(folder, 3, 4, 20), meet.format(folder, 4, 3, 20))
    assert [o.result["met"] for o in found] == [0, 1]


def test_a_stop_lets_what_runs_save_and_starts_nothing_more(scripts):
    saves = (
        f"import signal, sys, time, pathlib; f = pathlib.Path({str(scripts.folder)!r})\n"
        'signal.signal(signal.SIGTERM, lambda *_: (print(\'{"stopped": "SIGTERM"}\'), sys.exit(0)))\n'
        "(f / 'ready').touch(); time.sleep(60)"
    )
    asked = lambda: signal.SIGTERM.name if (scripts.folder / "ready").exists() else ""  # noqa: E731
    first, second = scripts.run(saves, "print('{}')", stop=asked)
    assert first.result == {"stopped": "SIGTERM"} and second is None and scripts.running == 1


def test_what_is_needed_comes_first_and_its_failure_keeps_others_back(scripts):
    """`late` starts only after `first`, though a place is free; `lost` and what needs it never start."""
    done = str(scripts.folder / "done")
    programs = {
        "first": (f"import time, pathlib; time.sleep(0.3); pathlib.Path({done!r}).touch(); print('{{}}')", ()),
        "late": (f"import pathlib; print('{{\"after\": %d}}' % pathlib.Path({done!r}).exists())", ("first",)),
        "bad": ("import sys; sys.exit(1)", ()),
        "lost": ("print('{}')", ("bad", "first")),
        "lost_too": ("print('{}')", ("lost",)),
        "elsewhere": ("print('{\"ran\": 1}')", ("a run that is finished already",)),
    }
    commands = [
        Command(name, (text,), scripts.folder / name / "log.txt", needs) for name, (text, needs) in programs.items()
    ]
    run_all(commands, 3, scripts.ended)
    outcomes = scripts.outcomes
    assert outcomes["late"].result == {"after": 1} and outcomes["elsewhere"].result == {"ran": 1}
    assert (outcomes["lost"].reason, outcomes["lost_too"].reason) == ("it needs bad", "it needs lost")
    assert scripts.running == 4


def test_an_exception_leaves_no_process_behind(scripts):
    def interrupt():
        if (scripts.folder / "ready").exists() and (scripts.folder / "ready").read_text():
            raise KeyboardInterrupt
        return ""

    program = "import os, time, pathlib; pathlib.Path({!r}, 'ready').write_text(str(os.getpid())); time.sleep(60)"
    with pytest.raises(KeyboardInterrupt):
        scripts.run(program.format(str(scripts.folder)), stop=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((scripts.folder / "ready").read_text()), 0)
