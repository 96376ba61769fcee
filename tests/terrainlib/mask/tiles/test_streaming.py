"""Scenes of any size: what comes in bands is what one pass gives."""

import threading
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest

from terrainlib.data.formats.heights import heights_of
from terrainlib.data.imagery import Image
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.data.scene import Scene, scene_of
from terrainlib.errors import ConfigError, ImageError, InputError
from terrainlib.mask.prediction import predict_image
from terrainlib.mask.tiles import finishing, streaming
from terrainlib.mask.tiles.bands import Band, Plane
from terrainlib.mask.tiles.feeding import geometry_of
from terrainlib.mask.tiles.result import Prediction
from terrainlib.mask.tiles.streaming import (
    StreamOptions,
    StreamReport,
    grid_of,
    memory_bytes,
    predict_scene,
)
from terrainlib.model.modelfile import TerrainModel

PRESETS = ["fast", "notebook", "best"]
SIZES = [(1, 1), (90, 60), (128, 128), (701, 1303), (1500, 130)]


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
    assert (report.tiles > 1) == (max(size) > 512)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("size", "scale"), [((1203, 603), 0.25), ((313, 331), 1.7), ((9, 400), 3)]
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


def test_a_model_without_scale_sees_the_whole_scene_as_it_sees_an_image(color_model):
    model, image = color_model("notebook", scale=None), noise(211, 90, gap=True)
    _, kept = stream(model, image, "soft", "weights", "margin")
    assert_the_same(kept, predict_image(model, image))


@pytest.mark.parametrize("scale", [0.5, 1, 1.7])
def test_heights_come_by_window_and_relief_has_no_seams(color_model, scale):
    from terrainlib.mask.tiles import streaming
    from terrainlib.mask.tiles.feeding import Feed, prepare
    from terrainlib.model.tiling import exact_grid

    model, image = color_model(height=True), noise(300, 80, gap=True)
    rng = np.random.default_rng(5)
    metres = np.cumsum(rng.normal(0, 30, (300, 80)), axis=0).astype(np.float32)
    metres[100:140, 20:60] = np.nan
    whole = prepare(model, image, height=metres, scale=scale).pixels
    feed = Feed(model, scene_of(image), heights_of(metres), scale)
    grid = exact_grid(
        feed.geometry.padded, receptive_field=16, multiple=8, tile_size=64
    )
    rows = streaming.SceneRows(feed, grid)
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
    report, kept = stream(random_models["fast"], image, "weights", tile_size=256)
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
    stream(random_models["fast"], noise(600, 900), tile_size=256)
    assert len(shapes) > 3
    assert len(set(shapes)) == 1
    assert shapes[0][0] > 1


def test_progress_ends_with_all_tiles(random_models):
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


def test_stopping_keeps_the_finished_rows(random_models, monkeypatch):
    from terrainlib.mask.tiles import tilepass

    monkeypatch.setattr(tilepass, "BATCH_PX", 1)  # tile by tile
    model, image = random_models["fast"], noise(1500, 400)
    _, full = stream(model, image, tile_size=256)
    asked = []

    def after_seven() -> bool:
        asked.append(True)
        return len(asked) > 7

    report, kept = stream(model, image, should_stop=after_seven, tile_size=256)
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
        bands = 3
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
        bands = 3
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


def test_a_scale_out_of_bounds_is_refused(color_model):
    with pytest.raises(ConfigError, match=r"scale must be 0\.001 to 16"):
        stream(color_model(), noise(8, 8), scale=0)


def test_memory_does_not_grow_with_the_height(color_model):
    def taken(height):
        geometry = geometry_of(model, (height, 20_000), None)
        grid = grid_of(model, geometry, wants=(), name="tall.tif")
        return len(grid), memory_bytes(model, geometry, grid, ())

    model = color_model()
    (few, low), (many, high) = taken(20_000), taken(200_000)
    assert high < low * 1.05
    assert many > 9 * few
    assert high < 1.2 * 2**30


@pytest.mark.parametrize("scale", [0.1, 0.25, 1])
def test_wide_images_get_lower_tiles_and_stay_below_a_limit(color_model, scale):
    model, wants = color_model(receptive_field=54), ("soft", "weights", "margin")
    geometry = geometry_of(model, (20_000, 20_000), scale)
    grid = grid_of(model, geometry, wants=wants, name="wide.tif")
    assert memory_bytes(model, geometry, grid, wants) < 1.25 * 2**30


def test_an_image_too_wide_for_memory_is_refused(color_model, monkeypatch):
    monkeypatch.setattr(streaming, "MAX_BUFFER_BYTES", 10**7)
    model = color_model()
    geometry = geometry_of(model, (3000, 90_000), None)
    with pytest.raises(InputError, match=r"long\.tif: 90000 px are too wide"):
        grid_of(model, geometry, wants=(), name="long.tif")


def test_missing_and_unfitting_heights_are_refused(color_model):
    model = color_model(height=True)
    with pytest.raises(InputError, match=r"noise\.tif: this model needs the heights"):
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
