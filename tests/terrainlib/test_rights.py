"""Who may do what: every right is tried in every mode, in the function that does it."""

import io
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import psutil
import pytest

from terrainlib import files, places, rights
from terrainlib.data import fetch
from terrainlib.data.choices import Choices, save_choices
from terrainlib.data.dataset import Dataset, open_dataset
from terrainlib.data.imagery import read_image
from terrainlib.data.labels.patches import make_patches
from terrainlib.data.palette import KAGGLE_CLASSES, ClassList, save_class_list
from terrainlib.data.parallel import ordered_map
from terrainlib.data.sample import EMBEDDED_MODELS
from terrainlib.data.scene import open_scene
from terrainlib.errors import (
    ConfigError,
    DatasetError,
    ImageError,
    ModelFileError,
    RightsError,
    RunError,
)
from terrainlib.model.config import TrainingConfig
from terrainlib.model.modelfile import install_model, read_record
from terrainlib.model.reading.writer import rename_classes
from terrainlib.rights import NOBODY, OWNER, RULES, Actor, Right, person, visitor
from terrainlib.runs import launcher, models
from terrainlib.runs.folder import create_job, create_run, create_search, list_runs
from terrainlib.runs.jobs.cluster import connected
from terrainlib.runs.jobs.config import JobConfig, input_images
from terrainlib.runs.others import Thing, delete_of_other, list_others
from terrainlib.runs.process import child_environment, write_process
from terrainlib.runs.searches.config import SearchConfig
from terrainlib.runs.slot import RUN_SLOT
from terrainlib.runs.status import RUN, RunStatus, read_status, write_status
from terrainlib.runs.training.budget import give_minutes, shortage
from terrainlib.runs.training.config import RunConfig
from tests.imagefiles import encode, pattern, write
from tests.synthetic import write_kaggle_dataset

ADA = person("a", "Ada@maps.example")
BO = person("b", "Bo")
ADMIN = person("c", "Cy", administrator=True)
VISITOR = visitor("v")
WHO: dict[str, tuple[rights.Mode, Actor]] = {
    "own": ("own", OWNER),
    "administrator": ("team", ADMIN),
    "member": ("team", ADA),
    "stranger": ("team", NOBODY),
    "visitor": ("demo", VISITOR),
}


@dataclass(frozen=True)
class Scene:
    """What there is when somebody tries something: the same things in every place."""

    sample: Path
    home: Path
    actor: Actor

    @property
    def own(self) -> Path:
        return self.home / (self.actor.folder or "people/none")

    @property
    def others(self) -> Path:
        return self.home / BO.folder

    @property
    def machine(self) -> Path:
        return self.home.parent / f"{self.home.name} imagery"

    @property
    def place(self) -> Path:
        """The folder that this actor's things lie in."""
        return self.home if self.actor == OWNER else self.own

    def run(self, home: Path, *, active: bool = False) -> Path:
        """Return a new training in a home, at work or stopped."""
        with rights.acting(OWNER):
            path = create_run(self.training(), path=home / "runs" / "one")
            state: Any = "running" if active else "stopped"
            write_status(path, replace(read_status(path, RUN), state=state))
            if active:
                write_process(path)
        return path

    def training(self, minutes: float = 1.0) -> RunConfig:
        network = {"image_size": 32, "filters": (4, 8), "classes": 7}
        training = TrainingConfig.preset("fast", network=network, minutes=minutes)
        return RunConfig("First", str(self.sample), training)

    def data(self, home: Path) -> Path:
        """Return a new data set in a home."""
        return write_kaggle_dataset(home / "datasets" / "data")

    def image(self, home: Path) -> Path:
        (home / "datasets").mkdir(parents=True, exist_ok=True)
        return write(home / "datasets", "one.png", encode(pattern(40, 56)))

    def model(self, home: Path) -> Path:
        path = home / "models" / "m.keras"
        path.parent.mkdir(parents=True)
        path.write_bytes(EMBEDDED_MODELS["default"].read_bytes())
        return path


@pytest.fixture(params=WHO)
def scene(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    """Let each of them look at the same things; no worker starts."""
    mode, actor = WHO[request.param]
    home, assets = tmp_path / "home", tmp_path / "assets"
    made = Scene(write_kaggle_dataset(assets / "sample"), home, actor)
    model = shutil.copy(EMBEDDED_MODELS["default"], assets)
    monkeypatch.setitem(EMBEDDED_MODELS, "default", Path(model))
    monkeypatch.setenv("TERRAINLIB_HOME", str(home))
    monkeypatch.setenv(rights.MODE_VARIABLE, mode)
    monkeypatch.setenv(places.FOLDERS_VARIABLE, str(made.machine))
    monkeypatch.setattr(places, "ASSETS", assets)
    monkeypatch.setattr(launcher, "SAMPLE_DIR", made.sample)
    monkeypatch.setattr(launcher, "spawn_worker", lambda *_: None)
    monkeypatch.setattr(fetch, "_download", lambda _: str(made.sample))
    return made


def job(image: Path, folder: Path | str = "") -> JobConfig:
    return JobConfig("default", input_images([image]), folder=str(folder))


def opened(scene: Scene) -> Dataset:
    with rights.acting(OWNER):
        return open_dataset(scene.sample)


def delete_model(scene: Scene, home: Path) -> None:
    shared = "" if scene.place == home else "shared/"
    models.delete_model(f"{shared}added/{scene.model(home).name}")


def theirs(scene: Scene) -> Thing:
    """Return a training of Bo's as an administrator finds it."""
    scene.run(scene.others)
    with rights.acting(ADMIN):
        (found,) = list_others()
    return found


def install(scene: Scene) -> None:
    with suppress(ModelFileError):  # it was read, so that it may be added
        install_model(b"no model", "m.keras")


def look_for_cluster() -> None:
    with suppress(ConfigError):  # there is none, but it was looked for
        connected("nowhere").__enter__()


def cut_patches(out: Path) -> None:
    with suppress(DatasetError):  # there is nothing to cut
        make_patches([out / "no.tif"], [out / "no.gpkg"], out)


def zipped(scene: Scene) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for path in scene.sample.iterdir():
            archive.write(path, path.name)
    return memory.getvalue()


CHOICES = Choices(bands=(1, 2, 3))
LISTED = ClassList(KAGGLE_CLASSES, tuple((i,) for i in range(len(KAGGLE_CLASSES))))
Deed = Callable[[Scene], object]
# Every function that starts, stops, deletes or reads a path, by the right it asks for.
DEEDS: dict[Right, dict[str, Deed]] = {
    "predict": {
        "start_job": lambda s: launcher.start_job(job(s.image(s.place))),
        "create_job": lambda s: create_job(job(s.sample / "one.png")),
    },
    "train": {
        "start_run": lambda s: launcher.start_run(s.training()),
        "create_run": lambda s: create_run(s.training()),
        "resume": lambda s: launcher.resume(s.run(s.place)),
        "give_minutes": lambda s: give_minutes(s.run(s.place, active=True), 1),
    },
    "search": {
        "start_search": lambda s: launcher.start_search(opened(s)),
        "create_search": lambda s: create_search(SearchConfig.of(opened(s))),
    },
    "stop": {
        "stop": lambda s: launcher.stop(s.run(s.place, active=True)),
    },
    "delete": {
        "delete": lambda s: launcher.delete(s.run(s.place), RUN),
        "delete_model": lambda s: delete_model(s, s.place),
    },
    "upload an image": {
        "start_job": lambda _: launcher.start_job(
            job(Path("up.png")), {"up.png": encode(pattern(40, 56))}
        ),
    },
    "upload a data set": {
        "unpack_upload": lambda s: fetch.unpack_upload(zipped(s), "a.zip"),
    },
    "upload a model": {"install_model": install},
    "download from Kaggle": {
        "download_kaggle": lambda _: fetch.download_kaggle("a/b"),
    },
    "make default": {"set_default": lambda _: models.set_default("default")},
    "read shared": {
        "open_dataset": lambda s: open_dataset(s.data(s.home)),
        "read_image": lambda s: read_image(s.image(s.home)),
        "read_record": lambda s: read_record(s.model(s.home)),
        "start_job": lambda s: launcher.start_job(job(s.image(s.home))),
        "start_run": lambda s: launcher.start_run(
            replace(s.training(), start_from=str(s.model(s.home)))
        ),
    },
    "change shared": {
        "stop": lambda s: launcher.stop(s.run(s.home, active=True)),
        "resume": lambda s: launcher.resume(s.run(s.home)),
        "delete": lambda s: launcher.delete(s.run(s.home), RUN),
        "delete_model": lambda s: delete_model(s, s.home),
        "rename_classes": lambda s: rename_classes(s.model(s.home), KAGGLE_CLASSES),
        "save_choices": lambda s: save_choices(s.data(s.home), CHOICES),
        "save_class_list": lambda s: save_class_list(
            s.data(s.home) / "classes.json", LISTED
        ),
        "make_patches": lambda s: cut_patches(s.home / "datasets" / "new"),
        "of the app": lambda s: save_choices(s.sample, CHOICES),
    },
    "read folders": {
        "open_dataset": lambda s: open_dataset(s.data(s.machine)),
        "read_image": lambda s: read_image(s.image(s.machine)),
        "read_record": lambda s: read_record(s.model(s.machine)),
        "start_job": lambda s: launcher.start_job(job(s.image(s.machine))),
    },
    "change folders": {
        "start_job": lambda s: launcher.start_job(job(s.image(s.place), s.machine)),
        "create_run": lambda s: create_run(s.training(), path=s.machine / "run"),
        "save_choices": lambda s: save_choices(s.data(s.machine), CHOICES),
        "make_patches": lambda s: cut_patches(s.machine / "new"),
    },
    "other people": {
        "open_dataset": lambda s: open_dataset(s.data(s.others)),
        "read_image": lambda s: read_image(s.image(s.others)),
        "read_record": lambda s: read_record(s.model(s.others)),
        "start_job": lambda s: launcher.start_job(job(s.image(s.others))),
        "stop": lambda s: launcher.stop(s.run(s.others, active=True)),
        "resume": lambda s: launcher.resume(s.run(s.others)),
        "list_others": lambda _: list_others(),
        "delete_of_other": lambda s: delete_of_other(theirs(s)),
        "the owner's cache": lambda s: open_dataset(s.data(s.home / "cache")),
    },
    "use a cluster": {
        "start_job": lambda s: launcher.start_job(
            replace(job(s.image(s.place)), cluster="local:2")
        ),
        "connected": lambda _: look_for_cluster(),
    },
}


@pytest.mark.parametrize(
    ("right", "deed"),
    [
        pytest.param(right, deed, id=f"{right}: {name}")
        for right, deeds in DEEDS.items()
        for name, deed in deeds.items()
    ],
)
def test_a_deed_is_done_for_those_who_have_its_right_and_for_nobody_else(
    scene: Scene, right: Right, deed: Deed
) -> None:
    with rights.acting(scene.actor):
        if scene.actor.role in RULES[right].roles:
            deed(scene)
        else:
            with pytest.raises(RightsError, match=r"not allowed here\. \w"):
                deed(scene)


@pytest.mark.parametrize("scene", ["administrator"], indirect=True)
def test_an_administrator_finds_what_others_have_and_deletes_it(scene: Scene) -> None:
    for home in (scene.home, scene.own, scene.others):
        scene.run(home)
        scene.model(home)
    (scene.others / "runs" / "broken").mkdir()
    (scene.others / "runs" / "broken" / "config.json").write_text("{")
    busy = scene.others / "runs" / "busy"
    (scene.others / "runs" / "one").rename(busy)
    scene.run(scene.others)
    with rights.acting(ADMIN):
        found = list_others()
        owner = Path(BO.folder).name
        assert [(one.owner, one.kind, one.name) for one in found] == [
            (owner, "model", "m"),
            (owner, "training", "broken"),
            (owner, "training", "First"),
            (owner, "training", "First"),
        ]
        write_process(busy)
        write_status(busy, replace(read_status(busy, RUN), state="running"))
        for thing in (found[0], found[1], found[3]):
            delete_of_other(thing)
        with pytest.raises(RunError, match="still running"):
            delete_of_other(found[2])
        assert [one.path for one in list_others()] == [busy]
        assert len(list_runs()) == 2  # their own, and the shared one


def test_every_right_is_tried() -> None:
    assert set(DEEDS) == set(RULES) == set(get_args(Right))


@pytest.mark.parametrize("scene", ["member"], indirect=True)
def test_of_others_work_people_see_how_far_it_is_and_nothing_else(scene: Scene) -> None:
    theirs = scene.run(scene.others, active=True)
    with RUN_SLOT.held(theirs), rights.acting(ADA):
        own = launcher.start_run(scene.training(), wait=True)
        first, second = RUN_SLOT.going()
        assert (first.name, first.readable) == ("somebody else's training", False)
        assert (second.name, second.state) == ("First", "waiting")
        told = "Next in the queue, after somebody else's training (epoch 1)."
        assert RUN_SLOT.queue_text(second) == told
        assert [run.path for run in list_runs()] == [own]
    with rights.acting(ADMIN):
        assert RUN_SLOT.active().name == "First"


@pytest.mark.parametrize("scene", ["member"], indirect=True)
def test_models_are_ones_own_and_those_that_are_shared(scene: Scene) -> None:
    for home in (scene.home, scene.own, scene.others):
        scene.model(home)
    with rights.acting(OWNER):
        models.set_default("added/m.keras")
    with rights.acting(ADA):
        listed = models.list_models()
        ids = {"default", "default-height", "added/m.keras", "shared/added/m.keras"}
        assert {one.id for one in listed} == ids
        assert models.default_id(listed) == "shared/added/m.keras"
        models.set_default("added/m.keras")
        assert models.default_id(listed) == "added/m.keras"
    with rights.acting(BO):
        assert models.default_id(models.list_models()) == "shared/added/m.keras"


@pytest.mark.parametrize("scene", ["visitor"], indirect=True)
def test_a_demo_has_limits(scene: Scene, tmp_path: Path) -> None:
    pixels = np.zeros((4_001, 4_000), np.uint8)
    large = write(scene.sample, "large.png", encode(pixels))
    tiff = write(scene.sample, "large.tif", encode(pixels, "TIFF"))
    wide = TrainingConfig.preset(
        "fast", network={"image_size": 512, "classes": 7}, minutes=1, batch_size=64
    )
    with rights.acting(VISITOR):
        with pytest.raises(RightsError, match="has 51 MB; the limit here is 50 MB"):
            launcher.start_job(job(Path("a.png")), {"a.png": bytes(50_000_001)})
        for path in (large, tiff):
            with pytest.raises(ImageError, match="17 megapixels; the limit is 16 here"):
                open_scene(path).__enter__()
        with pytest.raises(RightsError, match="takes 2 minutes at most here"):
            launcher.start_run(scene.training(minutes=2.5))
        with pytest.raises(RightsError, match=r"the limit is 2 GB here"):
            launcher.start_run(replace(scene.training(), training=wide))
        own = scene.data(scene.own)
        with pytest.raises(RightsError, match="only the sample"):
            launcher.start_run(replace(scene.training(), data=str(own)))
        running = scene.run(scene.own, active=True)
        give_minutes(running, 600)
        assert (running / "minutes.json").read_text().count("2.0") == 1
        busy = RunStatus("running", epochs=9, free_share=0.3)
        assert shortage(busy, 2.0).more == 0  # so no more of them are offered


@pytest.mark.parametrize("scene", ["visitor"], indirect=True)
def test_what_a_visitor_made_goes_an_hour_after_the_visit(scene: Scene) -> None:
    here, left = scene.own, scene.home / visitor("w").folder
    for home in (here, left):
        scene.run(home)
    sleeper = subprocess.Popen(["sleep", "60"])
    write_process(left / "runs" / "one", sleeper.pid)
    hour = time.time() - 3_601
    for home in (here, left):
        os.utime(home, (hour, hour))
    assert launcher.clear_visitors({here.name}) == [left.name]
    assert not psutil.pid_exists(sleeper.pid)
    sleeper.wait()
    assert (here.exists(), left.exists()) == (True, False)
    assert launcher.clear_visitors(()) == []  # who leaves now has an hour from now


def test_a_worker_acts_for_whoever_started_it(
    monkeypatch: pytest.MonkeyPatch, terrainlib_home: Path
) -> None:
    monkeypatch.setenv(rights.MODE_VARIABLE, "team")
    with rights.acting(ADA):
        told = child_environment()
    with pytest.raises(RightsError, match="Log in first"):
        files.home_dir()
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    rights.work_as_told()
    assert rights.actor() == ADA
    assert files.home_dir() == terrainlib_home / ADA.folder
    for wrong in ('{"role": "owner", "folder": "../x"}', "{", '{"role": "king"}'):
        monkeypatch.setenv(rights.ACTOR_VARIABLE, wrong)
        with pytest.raises(ConfigError, match="names nobody"):
            rights.work_as_told()


def test_another_thread_acts_for_nobody_unless_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(rights.MODE_VARIABLE, "team")
    with rights.acting(ADA), ThreadPoolExecutor(1) as pool:
        assert pool.submit(rights.actor).result() == NOBODY
        assert pool.submit(rights.bound(rights.actor)).result() == ADA
        assert [*ordered_map(lambda _: rights.actor(), [1])] == [ADA]


@pytest.mark.parametrize("name", ["../../etc", "", "Ä" * 300, "a/b\0", "con.. "])
def test_the_folder_of_a_person_has_a_safe_name_of_its_own(name: str) -> None:
    folders = {person(f"{name}{number}", name).folder for number in range(2)}
    assert len(folders) == 2
    assert all(re.fullmatch(r"people/[a-z0-9-]{1,41}", one) for one in folders)


def test_an_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rights.MODE_VARIABLE, "Demo ")
    with pytest.raises(ConfigError, match="must be own, team or demo"):
        rights.actor()
