"""An error of the library becomes one sentence; anything else stays loud."""

from streamlit.testing.v1 import AppTest

from tests.conftest import PAGE_TIMEOUT_S


def _library_error():
    import streamlit as st

    from terrainlib.errors import ImageError
    from terrainlib.ui.errors import errors_shown

    with errors_shown("Not read") as outcome:
        raise ImageError("it is *cut off*. Upload it again.", file="a_b.png")
    st.write("failed" if outcome.failed else "fine")


def _no_memory():
    import streamlit as st

    from terrainlib.ui.errors import errors_shown

    with errors_shown():
        raise MemoryError
    st.write("went on")


def _other_error():
    from terrainlib.ui.errors import errors_shown

    with errors_shown():
        raise ZeroDivisionError


def _no_error():
    import streamlit as st

    from terrainlib.ui.errors import errors_shown

    with errors_shown() as outcome:
        st.write("done")
    st.write("failed" if outcome.failed else "fine")


def test_a_lack_of_memory_is_a_sentence_too():
    page = AppTest.from_function(_no_memory, default_timeout=PAGE_TIMEOUT_S).run()

    [error] = page.error
    assert "not enough memory" in error.value
    assert [text.value for text in page.markdown] == ["went on"]


def test_the_sentence_is_shown_escaped_and_the_page_goes_on():
    page = AppTest.from_function(_library_error, default_timeout=PAGE_TIMEOUT_S).run()

    [error] = page.error
    assert error.value == r"a\_b\.png\: it is \*cut off\*\. Upload it again\."
    assert page.markdown[-1].value == "failed"
    assert not page.exception


def test_errors_that_are_not_the_librarys_are_not_swallowed():
    page = AppTest.from_function(_other_error, default_timeout=PAGE_TIMEOUT_S).run()

    assert len(page.exception) == 1
    assert not page.error


def test_without_an_error_nothing_is_shown():
    page = AppTest.from_function(_no_error, default_timeout=PAGE_TIMEOUT_S).run()

    assert not page.error
    assert page.markdown[-1].value == "fine"
