"""What ``qengine warmup`` compiles of the broker, and what a run says that has to wait for it."""

from __future__ import annotations

import threading

from qengine_broker_sim import entries, progress
from qengine_broker_sim.warmup import _LONGEST


def test_what_it_asks_for_first_exists_and_everything_is_asked_for():
    names = entries.everything()
    assert set(_LONGEST) <= set(names)
    for make in names.values():
        assert make()


def test_what_takes_longer_than_a_moment_is_said_once_with_how_to_do_it_ahead(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_PATIENCE", 0.01)
    monkeypatch.setattr(progress, "_told", [])
    for part in ("one", "two"):
        with progress.making(part):
            threading.Event().wait(0.3)
    with progress.making("quick"):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert "qengine warmup" in lines[0]
    assert [line.split()[-1] for line in lines[1:]] == ["one", "two"]
