"""Reading ahead and finishing behind: order, bounds, and failures that are told."""

import threading

import pytest

from terrainlib.mask.tiles.background import Reader, Writer


def test_items_read_ahead_come_in_their_order():
    ahead = Reader(iter(range(50)), 3)
    assert list(ahead) == list(range(50))
    ahead.close()


def test_no_more_items_are_read_ahead_than_may_wait():
    taken, enough = [], threading.Event()

    def items():
        for number in range(100):
            taken.append(number)
            if number == 3:
                enough.set()
            yield number

    ahead = Reader(items(), 2)
    assert next(iter(ahead)) == 0
    assert enough.wait(10)  # one is given, two wait, one is in the hand
    ahead.close()
    assert taken == [0, 1, 2, 3]


def test_a_failure_while_reading_ahead_is_raised_after_what_was_read():
    def items():
        yield 1
        raise ValueError("torn tape")

    ahead = Reader(items(), 2)
    read = []
    given = iter(ahead)
    read.append(next(given))
    with pytest.raises(ValueError, match="torn tape"):
        next(given)
    ahead.close()
    assert read == [1]


def test_items_are_finished_behind_in_their_order():
    done = []
    with Writer(done.append, 2) as behind:
        for number in range(50):
            behind.put(number)
    assert done == list(range(50))


def test_a_failure_behind_is_raised_to_the_giver():
    def fail(number: int) -> None:
        raise ValueError(f"cannot take {number}")

    def give() -> None:
        with Writer(fail, 1) as behind:
            for number in range(50):
                behind.put(number)

    with pytest.raises(ValueError, match="cannot take 0"):
        give()


def test_a_failure_behind_is_raised_at_the_end_as_well():
    def fail(number: int) -> None:
        raise ValueError(f"cannot take {number}")

    def give() -> None:
        with Writer(fail, 1) as behind:
            behind.put(7)

    with pytest.raises(ValueError, match="cannot take 7"):
        give()


def test_after_an_error_of_the_giver_what_was_given_is_done():
    done = []

    def give() -> None:
        with Writer(done.append, 5) as behind:
            for number in range(5):
                behind.put(number)
            raise KeyError("giver")

    with pytest.raises(KeyError, match="giver"):
        give()
    assert done == list(range(5))


def test_of_two_failures_the_givers_is_raised():
    def fail(number: int) -> None:
        raise ValueError(f"cannot take {number}")

    def give() -> None:
        with Writer(fail, 5) as behind:
            behind.put(0)
            raise KeyError("giver")

    with pytest.raises(KeyError, match="giver"):
        give()
