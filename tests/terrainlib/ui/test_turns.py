"""The queue of heavy work: one at a time, in the order of asking, with a place."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest

from terrainlib.rights import bound
from terrainlib.ui.studio.masks import PictureFile, make_mask
from terrainlib.ui.turns import PREDICTIONS, Turns, made_in_turn


def in_thread(turns: Turns, name: str, done: list[str]) -> SimpleQueue[int]:
    """Ask for a turn in a thread; return where it tells its place."""
    told: SimpleQueue[int] = SimpleQueue()

    def work() -> None:
        with turns.turn(told.put):
            done.append(name)

    threading.Thread(target=work).start()
    return told


@contextmanager
def busy(turns: Turns) -> Iterator[None]:
    """Let somebody else be at work during the block."""
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        with turns.turn():
            begun.set()
            ended.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    yield
    ended.set()
    thread.join()


def test_the_longest_waiting_is_next_and_each_is_told_how_many_are_before() -> None:
    turns, done = Turns(), []
    with turns.turn():
        first = in_thread(turns, "first", done)
        assert first.get(timeout=30) == 1
        second = in_thread(turns, "second", done)
        assert second.get(timeout=30) == 2
        assert done == []
    with turns.turn():
        assert done == ["first", "second"]


def test_a_long_work_lets_those_who_wait_go_first() -> None:
    turns, done = Turns(), []
    with turns.turn() as give_way:
        give_way()  # nobody is there
        in_thread(turns, "other", done).get(timeout=30)
        give_way()
        assert done == ["other"]


def test_one_who_leaves_while_waiting_is_in_nobodys_way() -> None:
    turns, done = Turns(), []

    def leave(_before: int) -> None:
        raise KeyboardInterrupt

    with busy(turns):
        with pytest.raises(KeyboardInterrupt), turns.turn(leave):
            pytest.fail("it was not its turn")
        next_one = in_thread(turns, "next", done)
        assert next_one.get(timeout=30) == 1
    with turns.turn():
        assert done == ["next"]


def test_a_work_that_has_its_turn_does_not_wait_for_itself() -> None:
    turns, done = Turns(), []

    def ask() -> None:
        with turns.turn(lambda before: pytest.fail(f"{before} before")):
            done.append("part")

    with turns.turn(), ThreadPoolExecutor() as beside:
        ask()
        in_thread(turns, "other", done).get(timeout=30)
        beside.submit(bound(ask)).result(30)
        assert done == ["part", "part"]
    with turns.turn():
        assert done == ["part", "part", "other"]


def test_a_mask_waits_for_its_turn_and_says_its_place() -> None:
    told = []

    def leave(share: float, text: str) -> None:
        told.append((share, text))
        raise KeyboardInterrupt

    picture = PictureFile.on_disk(Path("nowhere.png"))
    with busy(PREDICTIONS), pytest.raises(KeyboardInterrupt):
        make_mask(picture, None, "nothing", progress=leave)
    assert told == [(0.0, "Waiting for other people’s masks: 1 before you")]


def test_a_file_to_download_is_made_in_its_turn() -> None:
    done: list[str] = []
    make = made_in_turn(lambda: str(done).encode())
    with PREDICTIONS.turn():
        in_thread(PREDICTIONS, "before", done).get(timeout=30)
        made: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=lambda: made.put(make())).start()
    assert made.get(timeout=30) == b"['before']"
