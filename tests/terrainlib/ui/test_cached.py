"""Stores keep what was used last, within their limit."""

from terrainlib.ui.cached import BoundedStore


def test_what_was_put_comes_back_until_the_limit_is_reached():
    store = BoundedStore(max_bytes=100)
    store.put("a", "A", 40)
    store.put("b", "B", 40)

    assert store.get("a") == "A"
    assert store.get("b") == "B"
    assert store.get("c") is None


def test_the_value_not_used_for_longest_goes_first():
    store = BoundedStore(max_bytes=100)
    store.put("a", "A", 40)
    store.put("b", "B", 40)
    store.get("a")
    store.put("c", "C", 40)

    assert store.get("b") is None
    assert store.get("a") == "A"
    assert store.get("c") == "C"


def test_a_value_larger_than_the_limit_is_kept_alone():
    store = BoundedStore(max_bytes=100)
    store.put("a", "A", 40)
    store.put("b", "B", 400)

    assert store.get("a") is None
    assert store.get("b") == "B"


def test_putting_a_key_again_replaces_its_value_and_size():
    store = BoundedStore(max_bytes=100)
    store.put("a", "old", 90)
    store.put("a", "new", 10)
    store.put("b", "B", 90)

    assert store.get("a") == "new"
    assert store.get("b") == "B"
