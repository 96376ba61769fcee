"""Zip archives, honest and hostile."""

import copy
import io
import random
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from terrainlib.data import fetch
from terrainlib.data.dataset import open_dataset
from terrainlib.data.fetch import extract_zip
from terrainlib.errors import DatasetError, StorageError
from tests.synthetic import write_folders_dataset, write_kaggle_dataset


def _zip(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return data.getvalue()


def _zip_folder(folder: Path, prefix: str = "") -> bytes:
    return _zip(
        {
            f"{prefix}{path.relative_to(folder).as_posix()}": path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
    )


def _special(kind: int) -> bytes:
    member = zipfile.ZipInfo("0001_t.png")
    member.external_attr = (kind | 0o777) << 16
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr(member, "/etc/hostname")
    return data.getvalue()


def _everything_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_archive_becomes_a_folder_that_opens(tmp_path: Path) -> None:
    data = _zip_folder(write_kaggle_dataset(tmp_path / "made", pairs=3))
    folder = extract_zip(data, tmp_path / "uploads" / "target")
    assert folder == tmp_path / "uploads" / "target"
    assert len(open_dataset(folder).pairs) == 3


@pytest.mark.parametrize("prefix", ["terrain/", "a/b/"])
def test_pairs_wrapped_in_more_folders_are_found(tmp_path: Path, prefix: str) -> None:
    made = write_folders_dataset(tmp_path / "made", pairs=2)
    folder = extract_zip(_zip_folder(made, prefix), tmp_path / "target")
    assert folder == tmp_path / "target" / prefix.rstrip("/")
    assert len(open_dataset(folder).pairs) == 2


def test_an_archive_is_read_from_a_file_too(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    path.write_bytes(_zip_folder(write_kaggle_dataset(tmp_path / "made", pairs=1)))
    assert len(open_dataset(extract_zip(path, tmp_path / "target")).pairs) == 1


def test_a_second_call_keeps_the_folder_of_the_first(tmp_path: Path) -> None:
    data = _zip({"readme.md": b"first"})
    extract_zip(data, tmp_path / "target")
    (tmp_path / "target" / "readme.md").write_text("kept")
    extract_zip(data, tmp_path / "target")
    assert (tmp_path / "target" / "readme.md").read_text() == "kept"


def test_folders_in_the_archive_are_no_doubles_of_their_files(tmp_path: Path) -> None:
    data = _zip({"images/": b"", "images/a.png": b"1"})
    extract_zip(data, tmp_path / "target")
    assert (tmp_path / "target" / "images" / "a.png").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ({"../evil.png": b"1"}, "leads out of the archive"),
        ({"images/../../evil.png": b"1"}, "leads out of the archive"),
        ({"/etc/evil.png": b"1"}, "leads out of the archive"),
        ({"C:/evil.png": b"1"}, "leads out of the archive"),
        ({"..\\evil.png": b"1"}, "leads out of the archive"),
        ({"a.png": b"1", "A.PNG": b"2"}, "the name occurs twice"),
        ({"a": b"1", "a/b.png": b"2"}, "a file is in the place of its folder"),
        ({"a\nb.png": b"1"}, "cannot be used as a file name"),
        ({"x" * 300: b"1"}, "cannot be used as a file name"),
        ({"./a.png": b"1"}, "cannot be used as a file name"),
        ({"a/" * 40 + "b.png": b"1"}, "cannot be used as a file name"),
    ],
)
def test_a_dangerous_member_refuses_the_whole_archive(
    tmp_path: Path, members: dict[str, bytes], sentence: str
) -> None:
    data = _zip({"0001_t.png": b"good", **members})
    with pytest.raises(DatasetError, match=f"(?s){sentence}.*Nothing was imported"):
        extract_zip(data, tmp_path / "home" / "target")
    assert _everything_below(tmp_path) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(DatasetError, match="a link or a device"):
        extract_zip(_special(kind), tmp_path / "target")
    assert _everything_below(tmp_path) == []


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_the_very_same_name_twice_is_refused(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        made.writestr("a.png", "1")
        made.writestr("a.png", "2")
    with pytest.raises(DatasetError, match="occurs twice"):
        extract_zip(data.getvalue(), tmp_path / "target")


def test_too_many_entries_are_refused_by_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_FILES", 3)
    data = _zip({f"{number}.png": b"" for number in range(4)})
    with pytest.raises(DatasetError, match="more than 3 entries"):
        extract_zip(data, tmp_path / "target")


def test_too_much_in_all_is_refused_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_TOTAL_MB", 1)
    data = _zip({"a.png": bytes(800_000), "b.png": bytes(800_000)})
    with pytest.raises(DatasetError, match="unpacks to 2 MB; the limit is 1 MB"):
        extract_zip(data, tmp_path / "target")


def test_one_file_that_is_too_large_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_FILE_MB", 1)
    with pytest.raises(DatasetError, match=r"'a\.png' is not accepted: it has 2 MB"):
        extract_zip(_zip({"a.png": bytes(2_000_000)}), tmp_path / "target")


def test_what_unpacks_to_far_more_than_it_is_is_refused_however_it_is_divided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = {f"{number}.tif": bytes(200_000) for number in range(10)}

    extract_zip(_zip(masks), tmp_path / "few")
    monkeypatch.setattr(fetch, "RATIO_FROM_MB", 1)

    with pytest.raises(DatasetError, match=r"unpacks to 2 MB, \d{3} times its size"):
        extract_zip(_zip(masks), tmp_path / "many")
    noise = {"photo.png": np.random.default_rng(0).bytes(100_000)}
    extract_zip(_zip(masks | noise), tmp_path / "with images")
    assert not (tmp_path / "many").exists()


def test_entries_that_share_their_data_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RATIO_FROM_MB", 1)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("0.png", np.random.default_rng(0).bytes(100_000))
        first = made.infolist()[0]
        for number in range(1, 40):
            member = copy.copy(first)
            member.filename = f"{number}.png"
            made.filelist.append(member)

    with pytest.raises(DatasetError, match=r"unpacks to 4 MB, \d\d times its size"):
        extract_zip(data.getvalue(), tmp_path / "target")


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_bent_archive_is_refused_by_one_sentence(
    tmp_path: Path, method: int, as_file: bool
) -> None:
    good = _zip({"a/1.png": bytes(range(40)) * 3, "b.png": b"2" * 50}, method=method)
    end = good.index(b"PK\x01\x02")
    chance = random.Random(method)
    kinds, sentences, refused = set(), set(), 0
    for number in range(100):
        data = bytearray(good)
        for _ in range(chance.choice([1, 1, 2, 8])):
            first = chance.choice([0, end, end, len(good) - 22])
            place = chance.randrange(first, len(good))
            data[place] = chance.choice([0, 255, data[place] ^ 1 << number % 8])
        path = tmp_path / "bent.zip"
        path.write_bytes(data)
        try:
            extract_zip(path if as_file else bytes(data), tmp_path / "x" / str(number))
        except DatasetError as error:
            sentences.add(str(error))
            kinds.add(type(error.__cause__))
            refused += not (tmp_path / "x" / str(number)).exists()
    assert all(text.isprintable() and len(text) < 300 for text in sentences)
    assert refused > 50
    assert len(kinds) > 2


@pytest.mark.parametrize(
    ("offset", "value", "sentence"),
    [
        (6, b"\x63", "not a complete zip archive"),  # the version it needs
        (8, b"\x20", r"damaged at 'a\.png'"),  # patched data
        (28, b"\0\0\0\0\5", "cannot be used as a file name"),  # a comment in its place
        (42, b"\1", r"damaged at 'a\.png'"),  # where it lies
    ],
)
def test_a_bent_entry_is_refused_by_one_sentence(
    tmp_path: Path, offset: int, value: bytes, sentence: str
) -> None:
    data = bytearray(_zip({"a.png": b"1"}))
    at = data.index(b"PK\x01\x02") + offset
    data[at : at + len(value)] = value
    with pytest.raises(DatasetError, match=sentence):
        extract_zip(bytes(data), tmp_path / "target")


@pytest.mark.parametrize("as_file", [False, True])
def test_an_entry_that_would_lie_before_the_file_is_refused(
    tmp_path: Path, as_file: bool
) -> None:
    data = bytearray(_zip({"a.png": b"1"}))
    at = data.index(b"PK\x05\x06") + 16  # where the list of entries lies
    data[at] += 100
    path = tmp_path / "bent.zip"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"damaged at 'a\.png'"):
        extract_zip(path if as_file else bytes(data), tmp_path / "target")


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive at all", bytes(1000)])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DatasetError, match="not a complete zip archive"):
        extract_zip(data, tmp_path / "target")
    assert _everything_below(tmp_path) == []


def test_an_archive_cut_in_half_is_said_to_be_incomplete(tmp_path: Path) -> None:
    data = _zip({"a.png": bytes(range(256)) * 100})
    with pytest.raises(DatasetError, match="not a complete zip archive"):
        extract_zip(data[: len(data) // 2], tmp_path / "target")


def test_a_flipped_byte_is_found_and_nothing_is_left(tmp_path: Path) -> None:
    data = bytearray(_zip({"a.png": b"A" * 5000}, method=zipfile.ZIP_STORED))
    data[2000] ^= 1
    with pytest.raises(DatasetError, match=r"damaged at 'a\.png'. Nothing was"):
        extract_zip(bytes(data), tmp_path / "home" / "target")
    assert _everything_below(tmp_path / "home") == []


def test_a_member_that_lies_about_its_size_is_found(tmp_path: Path) -> None:
    data = bytearray(_zip({"a.png": bytes(range(256)) * 100}))
    at = data.index(b"PK\x01\x02") + 24  # declared size in the central directory
    data[at : at + 4] = struct.pack("<I", 100)
    with pytest.raises(DatasetError, match=r"damaged at 'a\.png'"):
        extract_zip(bytes(data), tmp_path / "home" / "target")
    assert _everything_below(tmp_path / "home") == []


def test_a_password_is_named_as_the_reason(tmp_path: Path) -> None:
    data = bytearray(_zip({"a.png": b"1"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DatasetError, match="locked with a password"):
        extract_zip(bytes(data), tmp_path / "target")


def test_a_disk_without_enough_space_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "RESERVE_MB", 10**9)
    with pytest.raises(StorageError, match="No space left"):
        extract_zip(_zip({"a.png": b"1"}), tmp_path / "target")
    assert _everything_below(tmp_path) == []


def test_what_systems_leave_in_archives_is_not_unpacked(tmp_path: Path) -> None:
    made = write_folders_dataset(tmp_path / "made", pairs=2, size=16)
    members = {
        f"set/{path.relative_to(made).as_posix()}": path.read_bytes()
        for path in made.rglob("*.png")
    }
    left = ("__MACOSX/set/images/._tile_01.png", "set/.DS_Store", "set/Thumbs.db")
    folder = extract_zip(_zip(members | dict.fromkeys(left, b"x")), tmp_path / "target")
    assert folder == tmp_path / "target" / "set"
    assert len(_everything_below(folder)) == 3 + 6
    dataset = open_dataset(folder)
    assert (dataset.ids, dataset.problems) == (("tile_01", "tile_02"), ())
