"""The gallery: computed once, kept, taken up again, thrown away when outdated."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from terrainlib import files
from terrainlib.data.dataset import open_dataset, read_pair
from terrainlib.data.palette import KAGGLE_CLASSES, colorize
from terrainlib.errors import ConfigError, InputError, StoppedError
from terrainlib.mask.rasters.png import index_png
from terrainlib.mask.scores import gallery as module
from terrainlib.mask.scores import scoring
from terrainlib.mask.scores.evaluation import evaluate
from terrainlib.mask.scores.gallery import (
    PredictionStore,
    error_map,
    error_picture,
    open_gallery,
    open_store,
)
from tests.damaged_records import VALUES, places, with_field


@pytest.fixture
def model(color_model, tmp_path):
    """Return a model with a file in a run folder, whose content is its own business."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    (run / "model.keras").write_bytes(b"first")
    return color_model(path=run / "model.keras")


def unable(model):
    """Return the model without a network: whoever predicts with it fails."""
    return replace(model, network=None)


def stored(folder):
    found = (path.name for path in folder.rglob("*.png"))
    return sorted(name for name in found if not name.endswith(".sure.png"))


def test_predictions_and_scores_are_those_of_the_evaluation(painted, model):
    gallery = open_gallery(model, painted, split="all")
    expected = evaluate(model, painted)
    assert gallery.ids == painted.ids
    assert (gallery.evaluation.confusions == expected.confusions).all()
    assert (gallery.evaluation.boundary_f1 == expected.boundary_f1).all()
    error = expected.scores.overall["ece"]
    assert gallery.evaluation.scores.overall["ece"] == pytest.approx(error)
    truth = read_pair(painted, painted.pair("0003")).mask
    assert (gallery.row("0003").truth == truth).all()
    wrong = gallery.row("0003").errors
    assert wrong.sum() == 30
    assert (wrong.reshape(-1)[:30] == 1).all()
    assert ((gallery.prediction("0003") != truth) == (wrong == 1)).all()


def test_predictions_lie_in_the_run_folder_and_are_used_again(painted, model):
    open_gallery(model, painted, split="all")
    assert stored(model.path.parent / "predictions") == [
        f"000{n}.png" for n in range(5)
    ]
    again = open_gallery(unable(model), painted, split="all")
    assert again.evaluation.scores.overall["pixel_accuracy"] > 0.9
    assert again.evaluation.reliability.counts.sum() == 5 * 32 * 32
    assert again.evaluation.scores.overall["ece"] > 0
    assert again.prediction("0000").shape == (32, 32)


def test_a_model_of_colours_is_kept_without_confidence(painted, color_model, tmp_path):
    model = color_model("notebook", path=tmp_path / "colours.keras")
    model.path.write_bytes(b"weights")
    assert open_gallery(model, painted, split="all").evaluation.reliability is None
    again = open_gallery(unable(model), painted, split="all").evaluation
    assert again.reliability is None
    assert np.isnan(again.scores.overall["ece"])


def test_predictions_of_other_models_lie_in_the_cache(painted, color_model, tmp_path):
    path = tmp_path / "models" / "mine.keras"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    open_gallery(color_model(path=path), painted, split="all")
    assert len(stored(files.cache_dir() / "predictions")) == 5
    assert stored(path.parent) == []


def test_models_without_a_file_are_told_apart_by_their_weights(painted, random_models):
    fast, best = random_models["fast"], random_models["best"]
    places = {open_store(model, painted).folder.name for model in (fast, best)}
    assert len(places) == 2
    assert open_store(fast, painted).folder.name in places


def test_the_default_part_is_the_validation_part(painted, color_model):
    split = {"train": list(painted.ids[:3]), "validation": list(painted.ids[3:])}
    assert open_gallery(color_model(split=split), painted).ids == painted.ids[3:]


def test_stopped_work_goes_on_where_it_ended(painted, model, monkeypatch):
    monkeypatch.setattr(scoring, "_CHUNK_PAIRS", 2)
    with pytest.raises(StoppedError, match="stopped after 2 of 5 images"):
        open_gallery(model, painted, split="all", should_stop=lambda: True)
    assert len(stored(model.path.parent)) == 2
    seen = []
    open_gallery(
        model, painted, split="all", progress=lambda *numbers: seen.append(numbers)
    )
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_a_larger_part_computes_only_what_is_missing(painted, color_model, monkeypatch):
    split = {"train": list(painted.ids[:3]), "validation": list(painted.ids[3:])}
    model, asked = color_model(split=split), []
    score_pairs = module.score_pairs

    def watched(model, dataset, pairs, **options):
        asked.append([pair.id for pair in pairs])
        return score_pairs(model, dataset, pairs, **options)

    monkeypatch.setattr(module, "score_pairs", watched)
    open_gallery(model, painted, split="validation")
    open_gallery(model, painted, split="all")
    assert asked == [list(painted.ids[3:]), list(painted.ids[:3])]


def test_a_changed_model_file_throws_the_predictions_away(painted, model):
    open_gallery(model, painted, split="all")
    model.path.write_bytes(b"second")
    store = open_store(model, painted)
    assert store.read_counts("0000") is None
    assert stored(model.path.parent) == []


def test_changed_data_throws_the_predictions_away(painted, model):
    open_gallery(model, painted, split="all")
    mask = np.zeros((32, 32), np.uint8)
    PillowImage.fromarray(colorize(mask, KAGGLE_CLASSES)).save(painted.pairs[0].mask)
    changed = open_dataset(painted.folder)
    assert open_store(model, changed).read_counts("0001") is None
    assert stored(model.path.parent) == []
    gallery = open_gallery(model, changed, split="all")
    assert (gallery.row("0000").truth == 0).all()


def test_two_data_sets_do_not_throw_each_other_away(painted, model, tmp_path):
    from tests.mask_models import paint_dataset

    other = paint_dataset(tmp_path / "other", pairs=2)
    open_gallery(model, painted, split="all")
    open_gallery(model, other, split="all")
    assert open_gallery(unable(model), painted, split="all").ids == painted.ids
    assert len(stored(model.path.parent)) == 7


@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_a_damaged_prediction_is_computed_again(painted, model, damage):
    open_gallery(model, painted, split="all")
    (path,) = model.path.parent.rglob("0001.png")
    if damage is None:
        PillowImage.new("L", (32, 32)).save(path)  # a PNG, but without counts
    else:
        path.write_bytes(damage)
    gallery = open_gallery(model, painted, split="all")
    assert gallery.evaluation.confusions[1].trace() == 1024 - 10


def test_a_prediction_removed_meanwhile_says_so(painted, model):
    gallery = open_gallery(model, painted, split="all")
    (path,) = model.path.parent.rglob("0001.png")
    path.unlink()
    with pytest.raises(InputError, match="prediction of 0001 is gone from the disk"):
        gallery.prediction("0001")


def test_a_file_that_went_bad_is_left_out_and_named(painted, model):
    painted.pairs[2].image.write_bytes(b"no picture")
    gallery = open_gallery(model, painted, split="all")
    assert "0002" not in gallery.ids
    assert gallery.evaluation.skipped[0].file == "0002_t.png"
    with pytest.raises(InputError, match="no image '0002' among the 4"):
        gallery.prediction("0002")


def test_the_order_is_worst_or_best_first(painted, model):
    gallery = open_gallery(model, painted, split="all")
    worst = gallery.order("worst")
    mious = dict(zip(gallery.ids, gallery.evaluation.image_mious, strict=True))
    assert [mious[i] for i in worst] == sorted(mious.values())
    assert worst[-1] == gallery.order("best")[0] == "0000"
    with pytest.raises(ConfigError, match="one of worst, best, not 'any'"):
        gallery.order("any")
    water = dict(zip(gallery.ids, gallery.evaluation.image_values(0), strict=True))
    known = [water[i] for i in gallery.order("worst", of_class=0)]
    assert known[: np.isfinite(known).sum()] == sorted(filter(np.isfinite, known))


def test_the_images_with_most_of_a_mistake_come_first(painted, model):
    gallery = open_gallery(model, painted, split="all")
    counts = gallery.evaluation.confusions
    truth, taken_for = np.argwhere(
        np.triu(counts.sum(0), 1) + np.tril(counts.sum(0), -1)
    )[0]
    pixels = dict(zip(gallery.ids, counts[:, truth, taken_for], strict=True))
    found = gallery.mistakes(truth, taken_for, 2)
    assert found
    assert [pixels[i] for i in found] == sorted(pixels.values(), reverse=True)[
        : len(found)
    ]
    assert all(pixels[i] for i in found)


def test_how_sure_the_model_was_is_kept_coarsely(painted, model):
    gallery = open_gallery(model, painted, split="all")
    margins = gallery.margins("0001")
    assert margins.shape == gallery.prediction("0001").shape
    assert not (margins % 17).any()


def test_a_row_holds_all_pixels_and_scores_of_an_image(painted, model):
    row = open_gallery(model, painted, split="all").row("0002")
    assert row.rgb.shape == (32, 32, 3)
    assert row.pixel_accuracy == pytest.approx(1 - 20 / 1024)
    assert row.errors.sum() == 20
    assert row.prediction.shape == row.truth.shape == (32, 32)


def test_unusual_ids_are_kept_under_names_of_their_own(painted, model):
    store = open_store(model, painted)
    found = next(iter(scoring.score_pairs(model, painted, painted.pairs[:1])))[0]
    names = ["a b", "../up", "x" * 200, "é", ".hidden", "a", "A b"]
    for name in names:
        store.write(replace(found, score=replace(found.score, id=name)))
    assert all(store.read_counts(name) is not None for name in names)
    assert len(stored(store.folder)) == len(names)
    assert stored(store.folder) == stored(model.path.parent)


def test_an_error_map_tells_right_wrong_and_not_scored():
    truth = np.array([[0, 1, 255, 2]], np.uint8)
    errors = error_map(truth, np.array([[0, 2, 1, 255]], np.uint8))
    assert errors.tolist() == [[0, 1, 255, 255]]
    colors = error_picture(errors)[0].tolist()
    assert colors[1] == list(module.WRONG_COLOR)
    assert colors[2] == colors[3] == [0, 0, 0]


def test_counts_that_are_nonsense_are_counted_anew(tmp_path):
    two = KAGGLE_CLASSES[:2]
    store = PredictionStore(tmp_path, two)
    bins = [[1] * 15, [0.5] * 15, [1] * 15]
    whole = {"confusion": [[3, 0], [1, 2]], "boundary_f1": 0.5, "reliability": bins}

    def write(text):
        mask = np.zeros((2, 2), np.uint8)
        data = index_png(mask, two, texts={"terrain-counts": text})
        (tmp_path / "a.png").write_bytes(data)

    write(json.dumps(whole))
    assert store.read_counts("a").confusion.sum() == 6
    texts = [
        with_field(whole, at, VALUES[name]).decode()
        for at in [*places(whole)][:12]
        for name in VALUES
        if name != "long"
    ]
    for text in ["", "[", "1", VALUES["deep"], *texts]:
        write(text)
        counted = store.read_counts("a")
        assert counted is None or counted.confusion.min() >= 0


def test_an_index_that_is_nonsense_is_replaced(painted, model):
    store = open_store(model, painted)
    index = store.folder / "index.json"
    whole = json.loads(index.read_text())
    for at in places(whole):
        for name in ("null", "text", "deep", "object"):
            index.write_bytes(with_field(whole, at, VALUES[name]))
            assert open_store(model, painted).folder == store.folder
            assert json.loads(index.read_text()) == whole
    other = store.folder.with_name("other")
    other.mkdir()
    (other / "index.json").write_text(json.dumps({"model": whole["model"]}))
    index.unlink()
    open_store(model, painted)
