"""The model card on the page."""

from streamlit.testing.v1 import AppTest

from terrainlib.model.card import card_markdown, model_card
from terrainlib.model.config import UNetConfig
from terrainlib.model.record import ModelRecord
from tests.conftest import PAGE_TIMEOUT_S

RECORD = ModelRecord(
    config=UNetConfig.preset("fast", classes=2).to_dict(),
    classes=[
        {"name": "Water", "color": [0, 0, 255]},
        {"name": "Land", "color": [90, 90, 0]},
    ],
    name="coast",
    scale=1.0,
    split={"leak": "random: may leak", "method": "random"},
    scores={"miou": 0.6, "iou": {"Water": 0.9, "Land": 0.3}},
    pixel_classifier={"miou": 0.5, "iou": {"Water": 0.8, "Land": 0.2}},
    notes=["Ask *before* use."],
    training={"epochs": 3, "network": UNetConfig.preset("fast", classes=2).to_dict()},
)


def _script(record: "ModelRecord") -> None:
    from terrainlib.ui.models.cards import show_card

    show_card(record, {"Water": (0, 0, 255)}, "coast")


def show(record: ModelRecord) -> AppTest:
    page = AppTest.from_function(
        _script, default_timeout=PAGE_TIMEOUT_S, kwargs={"record": record}
    ).run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def test_the_card_shows_scores_limits_notes_facts_and_command() -> None:
    page = show(RECORD)

    seen = texts(page)
    assert "| mIoU | 0.600 | 0.500 | +0.100 |" in seen
    assert "| Class | IoU | Precision | Recall |" in seen
    assert "| Land | 0.300 (+0.100) | – | – |" in seen
    for limit in model_card(RECORD).limits:
        assert limit in seen
    assert "Ask *before* use." in seen
    assert "Split: random: may leak." in seen
    assert page.code[0].value == model_card(RECORD).command
    (chart,) = page.get("vega_lite_chart")
    assert "Land 0.300 (+0.100)" in chart.proto.alt
    assert [item.label for item in page.get("download_button")] == ["Card as Markdown"]
    assert "# Model card: coast" in card_markdown(RECORD)


def test_a_bare_model_has_a_card_without_scores_and_command() -> None:
    bare = ModelRecord(config=RECORD.config, classes=RECORD.classes)

    page = show(bare)

    assert not page.get("vega_lite_chart")
    assert not page.code
    assert "no scores are stored" in texts(page)
