"""Scenes of any size: what comes in bands is what one pass gives."""

import threading
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from terrainlib.data.imagery import Image
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.scene import Scene, heights_of, scene_of
from terrainlib.errors import ConfigError, ImageError, InputError
from terrainlib.mask.prediction import Prediction, predict_image
from terrainlib.mask.tiles import finishing
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.mask.tiles.streaming import StreamOptions, StreamReport, predict_scene
from terrainlib.model.modelfile import TerrainModel
from tests.mask_models import with_record

PRESETS = ["fast", "notebook", "best"]
SIZES = [(1, 1), (90, 60), (128, 128), (700, 1300), (1023, 2049), (3000, 500)]


class Kept:
    """A sink that keeps everything, and checks the order."""

    def __init__(self, *wants: Plane) -> None:
        self.wants: Collection[Plane] = wants
        self.bands: list[Band] = []

    def write(self, band: Band) -> None:
        assert band.rows.start == (self.bands[-1].rows.stop if self.bands else 0)
        assert len(band.classes) == band.rows.stop - band.rows.start > 0
        self.bands.append(band)

    def plane(self, name: str) -> np.ndarray:
        return np.concatenate([getattr(band, name) for band in self.bands])


def noise(height: int, width: int, *, gap: bool = False) -> Image:
    rng = np.random.default_rng(0)
    rgb = rng.random((height, width, 3), dtype=np.float32)
    if gap:
        rgb[height // 3 : height // 2, width // 5 : width // 2] = np.nan
        rgb[:, -1] = np.nan
    return Image.from_array(rgb, name="noise.tif")


def stream(
    model: TerrainModel, image: Image | Scene, *wants: Plane, **options: Any
) -> tuple[StreamReport, Kept]:
    kept = Kept(*wants)
    scene = scene_of(image) if isinstance(image, Image) else image
    report = predict_scene(model, scene, kept, options=StreamOptions(**options))
    return report, kept


def assert_the_same(kept: Kept, expected: Prediction) -> None:
    """Compare bands with a prediction: within a step, and classes where decided."""
    probabilities = expected.probabilities
    best = np.sort(probabilities, axis=-1)
    decided = best[..., -1] - best[..., -2] > 2e-4
    classes = kept.plane("classes")
    assert classes.shape == expected.classes.shape
    assert (classes == expected.classes)[decided].all()
    assert ((classes == 255) == (expected.classes == 255)).all()
    weights = kept.plane("weights") - 255 * probabilities * expected.valid[..., None]
    assert np.abs(weights).max() < 1
    soft = kept.plane("soft") - 255 * expected.soft
    assert np.abs(soft).max() < 0.51
    margin = 255 * (best[..., -1] - best[..., -2]) * expected.valid
    below = margin - kept.plane("margin")
    assert -0.05 < below.min() <= below.max() < 1.05


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_the_bands_are_what_one_pass_gives(random_models, preset, size):
    model, image = random_models[preset], noise(*size)
    report, kept = stream(model, image, "soft", "weights", "margin", tile_size=512)
    assert_the_same(kept, predict_image(model, image, tiling="whole"))
    assert report.rows == size[0]
    assert not report.stopped
    assert (report.seams is not None) == (max(size) > 512)
    if report.seams is not None:
        assert report.seams.windows >= 1
        assert report.seams.largest_difference < 1e-4


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("size", "scale"), [((2123, 1203), 0.25), ((313, 331), 1.7), ((9, 400), 3)]
)
def test_the_bands_are_what_one_pass_gives_at_every_scale(
    random_models, preset, size, scale
):
    model, image = random_models[preset], noise(*size, gap=True)
    options = {"tile_size": 256, "scale": scale}
    report, kept = stream(model, image, "soft", "weights", "margin", **options)
    assert_the_same(kept, predict_image(model, image, tiling="whole", scale=scale))
    assert report.no_data == np.count_nonzero(~image.valid)
    assert report.counts.sum() + report.no_data == size[0] * size[1]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(("size", "scale"), [((1300, 700), 1), ((1123, 603), 0.5)])
def test_blended_bands_are_what_blending_in_memory_gives(
    random_models, preset, size, scale
):
    model, image = random_models[preset], noise(*size)
    options = {"tiling": "blend", "tile_size": 256, "scale": scale}
    report, kept = stream(model, image, "soft", "weights", "margin", **options)
    assert_the_same(kept, predict_image(model, image, **options))
    assert report.seams is not None
    assert 1e-6 < report.seams.largest_difference < 0.05


@pytest.mark.parametrize("tiling", ["exact", "blend"])
def test_a_model_without_scale_sees_the_whole_scene_as_it_sees_an_image(
    color_model, tiling
):
    model, image = color_model("notebook", scale=None), noise(211, 90, gap=True)
    _, kept = stream(model, image, "soft", "weights", "margin", tiling=tiling)
    assert_the_same(kept, predict_image(model, image))


@pytest.mark.parametrize("scale", [0.5, 1, 1.7])
def test_heights_come_by_window_and_relief_has_no_seams(color_model, scale):
    from terrainlib.mask.tiles import scenerows
    from terrainlib.mask.tiles.feeding import Feed
    from terrainlib.mask.tiles.preparation import prepare
    from terrainlib.mask.tiles.tiling import exact_grid

    model, image = color_model(height=True), noise(300, 80, gap=True)
    rng = np.random.default_rng(5)
    metres = np.cumsum(rng.normal(0, 30, (300, 80)), axis=0).astype(np.float32)
    metres[100:140, 20:60] = np.nan
    whole = prepare(model, image, height=metres, scale=scale).pixels
    feed = Feed(model, scene_of(image), heights_of(metres), scale)
    grid = exact_grid(
        feed.geometry.padded, receptive_field=16, multiple=8, tile_size=64
    )
    rows = scenerows.SceneRows(feed, grid, 8)
    for span in grid.rows:
        rows.advance(span)
        part = slice(span.start, span.stop)
        found = rows.pixels(part, slice(0, grid.size[1]))
        assert np.abs(found - whole[part]).max() < 1e-5
    rows.close()
    assert whole[..., 3].max() > 0.1
    report, _ = stream(model, image, heights=heights_of(metres), scale=scale)
    assert report.rows == 300


def test_reading_in_other_strips_changes_nothing(random_models, monkeypatch):
    from terrainlib.mask.tiles import feeding

    model, image = random_models["fast"], noise(401, 300, gap=True)
    options = {"tile_size": 256, "scale": 0.7}
    _, large = stream(model, image, "weights", **options)
    monkeypatch.setattr(feeding, "PIXELS_AT_ONCE", 2000)
    monkeypatch.setattr(finishing, "_PIXELS_AT_ONCE", 3000)
    monkeypatch.setattr(finishing, "BAND_PX", 5000)
    _, small = stream(model, image, "weights", **options)
    assert len(small.bands) > len(large.bands)
    change = small.plane("weights").astype(int) - large.plane("weights")
    assert np.abs(change).max() <= 1  # where a rounding falls the other way


def test_only_what_is_wanted_is_computed_and_several_sinks_get_the_same(random_models):
    first, second = Kept(), Kept("margin")
    scene = scene_of(noise(40, 50))
    predict_scene(random_models["fast"], scene, [first, second])
    assert (first.plane("classes") == second.plane("classes")).all()
    assert first.bands[0].margin is not None
    assert first.bands[0].soft is None
    assert first.bands[0].weights is None


def test_the_report_counts_the_pixels(random_models):
    model, image = random_models["best"], noise(300, 200, gap=True)
    report, kept = stream(model, image, "margin")
    classes = kept.plane("classes")
    known = classes != 255
    expected = [np.count_nonzero(classes == n) for n in range(len(KAGGLE_CLASSES))]
    assert report.counts.tolist() == expected
    assert report.no_data == np.count_nonzero(~known)
    unsure = np.count_nonzero(known & (kept.plane("margin") < 51))
    assert 0 < report.unsure == unsure
    assert 0 < report.network_seconds < report.seconds
    assert report.megapixels_per_second == pytest.approx(0.06 / report.seconds)


def test_parts_without_data_are_not_given_to_the_network(random_models, monkeypatch):
    from terrainlib.mask.tiles import tilepass

    image = noise(1200, 300)
    image.valid[:900] = False
    image.rgb[:900] = 0
    batches = []
    run = tilepass.run_network

    def watched(network, batch):
        batches.append(len(batch))
        return run(network, batch)

    monkeypatch.setattr(tilepass, "run_network", watched)
    options = {"tile_size": 256, "certificate": False}
    report, kept = stream(random_models["fast"], image, "weights", **options)
    monkeypatch.undo()
    assert 0 < len(batches) < report.tiles / 2
    assert report.no_data == 900 * 300
    whole = predict_image(random_models["fast"], image, tiling="whole")
    assert (kept.plane("classes") == whole.classes).mean() > 0.9999
    assert (kept.plane("weights")[:900] == 0).all()


def test_batches_have_one_shape(random_models, monkeypatch):
    from terrainlib.mask.tiles import tilepass

    shapes = []
    run = tilepass.run_network

    def watched(network, batch):
        shapes.append(batch.shape)
        return run(network, batch)

    monkeypatch.setattr(tilepass, "run_network", watched)
    monkeypatch.setattr(tilepass, "BATCH_PX", 3 * 256**2)
    for tiling in ("exact", "blend"):
        shapes.clear()
        stream(random_models["fast"], noise(600, 900), tiling=tiling, tile_size=256)
        assert len(shapes) > 3
        assert len(set(shapes)) == 1
        assert shapes[0][0] > 1


def test_progress_ends_with_all_tiles_and_windows(random_models):
    seen = []
    report, _ = stream(
        random_models["fast"],
        noise(600, 300),
        tile_size=256,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[0][0] == 0
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (report.tiles, report.tiles)
    assert len({total for _, total in seen}) == 1


@pytest.mark.parametrize("tiling", ["exact", "blend"])
def test_stopping_keeps_the_finished_rows(random_models, monkeypatch, tiling):
    from terrainlib.mask.tiles import tilepass

    monkeypatch.setattr(tilepass, "BATCH_PX", 1)  # tile by tile
    model, image = random_models["fast"], noise(1500, 400)
    options = {"tile_size": 256, "tiling": tiling}
    _, full = stream(model, image, **options)
    asked = []

    def after_seven() -> bool:
        asked.append(True)
        return len(asked) > 7

    report, kept = stream(model, image, should_stop=after_seven, **options)
    assert report.stopped
    assert 0 < report.rows < 1500
    classes = kept.plane("classes")
    assert classes.shape == (1500, 400)
    assert (classes[: report.rows] == full.plane("classes")[: report.rows]).all()
    assert (classes[report.rows :] == 255).all()
    assert report.counts.sum() + report.no_data == report.rows * 400


def test_stopping_before_the_first_tile_gives_a_mask_without_data(random_models):
    report, kept = stream(
        random_models["fast"], noise(40, 50), should_stop=lambda: True
    )
    assert (report.rows, report.stopped) == (0, True)
    assert (kept.plane("classes") == 255).all()


def test_a_certificate_tells_when_the_margin_is_too_small(random_models):
    blind = with_record(random_models["best"], receptive_field=0)
    report, _ = stream(blind, noise(700, 540), tile_size=256)
    assert report.seams is not None
    assert report.seams.largest_difference > 1e-4


@pytest.mark.parametrize("size", [(100, 900), (900, 100), (900, 900)])
@pytest.mark.parametrize("tiling", ["exact", "blend"])
def test_the_certificate_looks_at_borders_in_both_directions(
    random_models, size, tiling
):
    report, _ = stream(
        random_models["fast"], noise(*size), tile_size=256, tiling=tiling
    )
    assert report.seams is not None
    assert report.seams.windows == min(8, report.seams.windows) >= 2


def test_what_a_sink_raises_is_raised_and_ends_the_run(random_models):
    class Full(Kept):
        def write(self, _band: Band) -> None:
            raise OSError("no space left")

    scene = scene_of(noise(900, 300))
    before = threading.active_count()
    with pytest.raises(OSError, match="no space left"):
        predict_scene(
            random_models["fast"], scene, Full(), options=StreamOptions(tile_size=256)
        )
    assert threading.active_count() == before


def test_what_reading_raises_is_raised_and_finished_bands_stay(random_models):
    whole = scene_of(noise(1500, 300))

    class Torn:
        name, height, width = "torn.tif", 1500, 300
        notes: tuple[str, ...] = ()
        georeference = None

        def read(self, window):
            if window[0].stop > 1200:
                raise ImageError("the file is cut off.", file="torn.tif")
            return whole.read(window)

        def overview(self, size: int) -> Image:
            return whole.overview(size)

    kept = Kept()
    before = threading.active_count()
    with pytest.raises(ImageError, match=r"torn\.tif: the file is cut off"):
        predict_scene(
            random_models["fast"],
            Torn(),
            kept,
            options=StreamOptions(tile_size=256),
        )
    assert threading.active_count() == before
    assert kept.bands


def test_rows_are_read_once_and_few_are_held(random_models):
    image = noise(2000, 64)
    rows_read = []

    class Watched:
        name, height, width = "tall.tif", 2000, 64
        notes: tuple[str, ...] = ()
        georeference = None

        def read(self, window):
            rows_read.extend(range(window[0].start, window[0].stop))
            return image.rgb[window], image.valid[window]

        def overview(self, _size: int) -> Image:
            return image

    report, _ = stream(random_models["fast"], Watched(), tile_size=256)
    assert rows_read == list(range(2000))
    assert report.rows == 2000


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"tiling": "whole"}, ConfigError, "must be exact or blend, not 'whole'"),
        ({"scale": 0}, ConfigError, "scale must be 0.001 to 16"),
    ],
)
def test_options_out_of_bounds_are_refused(color_model, options, error, sentence):
    with pytest.raises(error, match=sentence):
        stream(color_model(), noise(8, 8), **options)


def test_missing_and_unfitting_heights_are_refused(color_model):
    model = color_model(height=True)
    with pytest.raises(InputError, match=r"noise\.tif: the model needs the heights"):
        stream(model, noise(20, 30))
    heights = heights_of(np.zeros((30, 20), np.float32))
    with pytest.raises(ImageError, match=r"heights are 30 x 20 and the image is 20 x"):
        stream(model, noise(20, 30), heights=heights)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_output_depends_on_pixels_beyond_the_recorded_field(random_models, preset):
    import tensorflow as tf

    model = random_models[preset]
    field, period = model.record.receptive_field, model.config.size_multiple
    image = tf.constant(noise(512, 2 * period).rgb[None])
    reaches = []
    for pixel in (256, 255 + period):  # the two ends of the coarsest pixel
        with tf.GradientTape() as tape:
            tape.watch(image)
            output = model.network(image, training=False)[0, pixel, period, 0]
        slopes = np.asarray(tape.gradient(output, image))[0].any(axis=(1, 2))
        reaches.append(np.abs(np.flatnonzero(slopes) - pixel).max())
    assert field - period <= max(reaches) <= field
