"""What a refused model file must leave as it was, and what its sentence must be."""

import resource
import socket
import time
from pathlib import Path

import keras
import pytest

from terrainlib.errors import ModelFileError
from terrainlib.model.modelfile import install_model, load_model

MAX_CPU_SECONDS = 2.0
MAX_EXTRA_MB = 100


class Canary:
    """A file and a port that a hostile model names, and the settings of Keras."""

    def __init__(self, folder: Path) -> None:
        self.victim = folder / "victim.txt"
        self.victim.write_text("untouched")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setblocking(False)
        port = self.server.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/weights.h5"
        self.settings = (keras.config.floatx(), keras.config.max_epochs())

    def check(self) -> None:
        assert self.victim.read_text() == "untouched"
        assert (keras.config.floatx(), keras.config.max_epochs()) == self.settings
        with pytest.raises(BlockingIOError):
            self.server.accept()

    def close(self) -> None:
        self.server.close()


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def refused(data: bytes, name: str, folder: Path) -> str:
    """Put a file through every door; return the one sentence that they all give."""
    path = folder / name
    path.write_bytes(data)
    before = sorted(item.name for item in folder.iterdir())
    peak, start = peak_mb(), time.process_time()
    with pytest.raises(ModelFileError) as loaded:
        load_model(path)
    assert time.process_time() - start < MAX_CPU_SECONDS
    assert peak_mb() - peak < MAX_EXTRA_MB
    with pytest.raises(ModelFileError) as installed:
        install_model(data, name)
    sentence = str(loaded.value)
    assert str(installed.value) == sentence
    assert sentence.startswith(f"{name}: ")
    assert "\n" not in sentence
    assert len(sentence) < 400
    assert str(folder) not in sentence
    assert sorted(item.name for item in folder.iterdir()) == before
    return sentence
