"""The live view in a real browser: its pixels, its keyboard, its word to Python."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from terrainlib.data.palette import KAGGLE_CLASSES, color_table, nearest_class
from terrainlib.mask.sharpen import sharpen
from tests.browser.conftest import Server, serve, wait_for_run
from tests.browser.live_view_app import class_mask, soft_mask

pytestmark = pytest.mark.browser

APP = Path(__file__).with_name("live_view_app.py")
AMOUNTS = [0.35, 1.0, 3.0]
READ_PIXELS = """
canvas => {
  const {width, height} = canvas;
  const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
  return [height, width, Array.from(data)];
}
"""
SET_SLIDER = """
(input, value) => {
  input.value = value;
  input.dispatchEvent(new Event("input", {bubbles: true}));
}
"""


@pytest.fixture(scope="module")
def live_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(APP, tmp_path_factory.mktemp("live")) as server:
        yield server


@pytest.fixture
def view(live_app: Server, page: Page) -> Page:
    page.goto(live_app.url)
    wait_for_run(page)
    page.locator(".view[data-drawn]").wait_for()
    return page


def drawn(page: Page, **settings: object) -> np.ndarray:
    """Return the mask canvas once it is drawn with these settings."""
    wanted = " && ".join(f"d.{k} === {json.dumps(v)}" for k, v in settings.items())
    page.locator(".view").evaluate(
        f"""view => new Promise(done => {{
            const look = () => {{
                const d = JSON.parse(view.dataset.drawn);
                ({wanted or "true"}) ? done() : requestAnimationFrame(look);
            }};
            look();
        }})"""
    )
    return pixels_of(page, "mask")


def pixels_of(page: Page, canvas: str) -> np.ndarray:
    height, width, values = page.locator(f"canvas.{canvas}").evaluate(READ_PIXELS)
    pixels = np.array(values, np.uint8).reshape(height, width, 4)
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3]


def slide(page: Page, label: str, value: float) -> None:
    page.get_by_label(label, exact=True).evaluate(SET_SLIDER, value)


def furthest(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def test_the_laplacian_draws_what_the_library_computes(view: Page):
    for amount in AMOUNTS:
        slide(view, "Sharpening", amount)
        pixels = drawn(view, amount=amount)

        assert furthest(pixels, sharpen(soft_mask(), amount)) <= 1


def test_the_unsharp_mask_draws_what_the_library_computes(view: Page):
    view.get_by_label("Unsharp mask").check()
    for radius, amount in ((0.5, 1.0), (3.7, 0.35), (3.7, 3.0)):
        slide(view, "Radius", radius)
        slide(view, "Sharpening", amount)
        pixels = drawn(view, amount=amount, radius=radius)

        expected = sharpen(soft_mask(), amount, method="unsharp", radius=radius)
        assert furthest(pixels, expected) <= 1


def test_snapping_draws_the_nearest_class_of_every_pixel(view: Page):
    slide(view, "Sharpening", 1)
    plain = drawn(view, amount=1)
    view.get_by_label("Snap to classes").check()

    snapped = drawn(view, snap=True)

    index, _ = nearest_class(plain, KAGGLE_CLASSES)
    np.testing.assert_array_equal(snapped, color_table(KAGGLE_CLASSES)[index])


def test_arrow_keys_move_the_slider_the_picture_and_then_python(view: Page):
    slider = view.get_by_label("Sharpening", exact=True)
    slider.focus()
    for _ in range(20):
        slider.press("ArrowRight")

    assert furthest(drawn(view, amount=1), sharpen(soft_mask(), 1.0)) <= 1
    expect(slider).to_have_attribute("aria-valuetext", "1.00")
    expect(view.get_by_test_id("stJson")).to_contain_text('"amount":1')


def test_dragging_redraws_before_the_mouse_is_let_go(view: Page):
    box = view.get_by_label("Sharpening", exact=True).bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    view.mouse.move(box["x"] + 8, middle)
    view.mouse.down()
    view.mouse.move(box["x"] + box["width"] - 1, middle, steps=5)

    pixels = drawn(view, amount=3)

    assert furthest(pixels, sharpen(soft_mask(), 3.0)) <= 1
    expect(view.get_by_test_id("stJson")).to_contain_text('"amount":0')
    view.mouse.up()
    expect(view.get_by_test_id("stJson")).to_contain_text('"amount":3')


def test_the_divider_moves_by_keyboard_and_by_mouse(view: Page):
    divider = view.get_by_role("slider", name="Divider between image and mask")
    divider.focus()
    divider.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    divider.press("End")
    expect(divider).to_have_attribute("aria-valuenow", "100")

    box = view.locator(".area").bounding_box()
    assert box
    view.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    expect(divider).to_have_attribute("aria-valuenow", "25")


def test_reset_brings_every_setting_back_but_the_picture_that_is_shown(view: Page):
    view.get_by_label("Unsharp mask").check()
    slide(view, "Sharpening", 2)
    view.get_by_label("Snap to classes").check()
    drawn(view, amount=2, snap=True)

    view.get_by_role("button", name="Reset").click()

    pixels = drawn(view, amount=0, snap=False)
    np.testing.assert_array_equal(pixels, soft_mask())

    slide(view, "Opacity of the mask", 0.4)
    view.get_by_label("Confidence", exact=True).check()
    drawn(view, shown="confidence", opacity=0.4)
    view.get_by_role("button", name="Reset").click()
    drawn(view, shown="confidence", opacity=0.6)


def test_zoom_by_buttons_keys_and_wheel_pan_and_fit(view: Page):
    area = view.locator(".area")
    level = view.locator(".level")
    view.get_by_role("button", name="Zoom in").click()
    expect(level).to_have_text("150 %")
    area.focus()
    area.press("+")
    expect(level).to_have_text("225 %")

    before = view.locator("canvas.mask").evaluate("canvas => canvas.style.transform")
    area.press("ArrowRight")
    after = view.locator("canvas.mask").evaluate("canvas => canvas.style.transform")
    assert before != after
    image = view.locator("canvas.image").evaluate("canvas => canvas.style.transform")
    assert image == after

    view.get_by_role("button", name="Fit the whole picture").click()
    expect(level).to_have_text("100 %")

    box = area.bounding_box()
    assert box
    view.mouse.move(box["x"] + 50, box["y"] + 50)
    view.mouse.wheel(0, -200)  # without Ctrl it scrolls
    expect(level).to_have_text("100 %")
    view.keyboard.down("Control")
    view.mouse.wheel(0, -200)
    view.keyboard.up("Control")
    expect(level).to_have_text("272 %")


def test_every_control_has_a_name_and_opacity_leaves_the_pixels_alone(view: Page):
    for control in view.locator(".view input").all():
        assert control.evaluate("input => input.labels.length") == 1
    for button in view.locator(".view button").all():
        assert button.inner_text() or button.get_attribute("aria-label")

    before = drawn(view)
    slide(view, "Opacity of the mask", 0.4)

    expect(view.locator(".after")).to_have_css("opacity", "0.4")
    np.testing.assert_array_equal(drawn(view, opacity=0.4), before)


def test_class_mask_and_confidence_are_shown_as_they_are_and_the_mask_again(view: Page):
    slide(view, "Sharpening", 2)
    expected = {"classes": class_mask(0), "confidence": soft_mask()[:, ::-1]}
    for shown, picture in expected.items():
        view.get_by_label(shown.capitalize(), exact=True).check()
        drawn(view, shown=shown)

        np.testing.assert_array_equal(pixels_of(view, "other"), picture)
        expect(view.locator("canvas.mask")).to_be_hidden()
        expect(view.locator(".tag.right")).to_have_text(shown.capitalize())
        expect(view.get_by_label("Sharpening", exact=True)).to_be_hidden()
        expect(view.get_by_test_id("stJson")).to_contain_text(f'"shown":"{shown}"')
    expect(view.get_by_text("less than 20 % apart")).to_be_visible()

    view.get_by_label("Mask", exact=True).check()
    slide(view, "Sharpening", 1.5)
    pixels = drawn(view, shown="mask", amount=1.5)
    assert furthest(pixels, sharpen(soft_mask(), 1.5)) <= 1
    expect(view.locator("canvas.other")).to_be_hidden()


def test_the_view_turns_to_a_new_class_mask_and_keeps_the_zoom(view: Page):
    view.get_by_role("button", name="Zoom in").click()

    view.get_by_role("button", name="Clean").click()

    drawn(view, shown="classes")
    np.testing.assert_array_equal(pixels_of(view, "other"), class_mask(1))
    expect(view.get_by_label("Classes", exact=True)).to_be_checked()
    expect(view.locator(".level")).to_have_text("150 %")
    expect(view.get_by_test_id("stJson")).to_contain_text('"shown":"classes"')
