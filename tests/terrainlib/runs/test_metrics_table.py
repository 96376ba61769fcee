"""The table of epochs survives torn lines, repeated epochs and a full disk."""

from pathlib import Path

import pytest

from terrainlib import files
from terrainlib.errors import StorageError
from terrainlib.model.learning.reports import StepProgress
from terrainlib.runs.folder import read_metrics
from terrainlib.runs.training import metrics
from terrainlib.runs.training.metrics import MetricsTable, StepsTable, read_rows


def row(epoch: int, loss: float = 0.5, water: float | None = 0.25) -> dict[str, object]:
    return {"epoch": epoch, "loss": loss, "iou_Water": water}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def test_rows_are_appended_below_one_header(table: Path) -> None:
    writer = MetricsTable(table)
    assert writer.append(row(1))
    assert writer.append(row(2, loss=1 / 3))
    assert table.read_text() == "epoch,loss,iou_Water\n1,0.5,0.25\n2,0.333333,0.25\n"


def test_a_class_that_does_not_occur_leaves_an_empty_cell(table: Path) -> None:
    MetricsTable(table).append(row(1, water=None))
    frame = read_metrics(table.parent)
    assert frame["iou_Water"].isna().all()
    assert frame["epoch"].tolist() == [1]


def test_a_torn_last_line_is_not_read_and_not_continued(table: Path) -> None:
    writer = MetricsTable(table)
    writer.append(row(1))
    writer.append(row(2))
    with table.open("ab") as file:
        file.write(b"3,0.4")
    assert [r["epoch"] for r in read_rows(table)] == ["1", "2"]
    MetricsTable(table).append(row(3, loss=0.4))
    assert table.read_text().endswith("2,0.5,0.25\n3,0.4,0.25\n")


def test_epochs_that_are_trained_again_replace_their_rows(table: Path) -> None:
    writer = MetricsTable(table)
    for epoch in (1, 2, 3, 4):
        writer.append(row(epoch, loss=float(epoch)))
    MetricsTable(table).append(row(3, loss=0.25))
    assert read_metrics(table.parent)["epoch"].tolist() == [1, 2, 3]
    assert read_metrics(table.parent)["loss"].tolist() == [1.0, 2.0, 0.25]


def test_names_with_commas_and_quotes_stay_one_column(table: Path) -> None:
    writer = MetricsTable(table)
    for epoch in (1, 2):
        assert writer.append({"epoch": epoch, 'iou_Rock, "bare"': 0.5})
    frame = read_metrics(table.parent)
    assert list(frame.columns) == ["epoch", 'iou_Rock, "bare"']
    assert len(frame) == 2


def test_rows_that_a_full_disk_refuses_wait_for_the_next_epoch(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = MetricsTable(table)
    writer.append(row(1))

    def refuse(_path: Path, _data: bytes) -> None:
        raise StorageError("No space left on the disk.")

    with monkeypatch.context() as patch:
        patch.setattr(files, "append_bytes", refuse)
        assert not writer.append(row(2))
    assert read_metrics(table.parent)["epoch"].tolist() == [1]
    assert writer.append(row(3))
    assert read_metrics(table.parent)["epoch"].tolist() == [1, 2, 3]


def test_other_columns_start_a_table_that_fits_them(table: Path) -> None:
    MetricsTable(table).append({"epoch": 1, "loss": 0.5})
    MetricsTable(table).append(row(2))
    frame = read_metrics(table.parent)
    assert list(frame.columns) == ["epoch", "loss", "iou_Water"]
    assert frame["loss"].tolist() == [0.5, 0.5]


def test_no_table_and_a_table_of_rubbish_read_as_no_epochs(table: Path) -> None:
    assert read_metrics(table.parent).empty
    table.write_bytes(b"\x00\xff\nnot,a\ntable\n")
    assert read_metrics(table.parent).empty


def at_step(step: int, epoch: int = 1) -> StepProgress:
    return StepProgress(epoch, step, 9, None, 1.0, None, step / 2, float(step), 0.5)


def test_steps_are_few_rows_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_STEP_ROWS", 3)
    table = StepsTable(tmp_path / "steps.csv")
    for step in range(1, 9):
        table.add(at_step(step))
    table.write()

    rows = read_rows(tmp_path / "steps.csv")
    assert [(row["step"], row["loss"]) for row in rows] == [
        ("4", "2.5"),
        ("8", "6.5"),
    ]


def test_steps_of_epochs_that_are_trained_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    table = StepsTable(path)
    for epoch in (1, 2):
        table.add(at_step(3, epoch))
    table.write()

    again = StepsTable(path, 1)
    again.add(at_step(4, 2))
    again.write()

    assert [(r["epoch"], r["step"]) for r in read_rows(path)] == [
        ("1", "3"),
        ("2", "4"),
    ]


def test_a_full_disk_keeps_the_steps_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = StepsTable(tmp_path / "steps.csv")
    with monkeypatch.context() as full:

        def refuse(path: Path, _data: bytes) -> None:
            raise StorageError("the disk is full.", file=path.name)

        full.setattr(files, "write_bytes", refuse)
        table.add(at_step(1))
    table.write()

    assert len(read_rows(tmp_path / "steps.csv")) == 1
