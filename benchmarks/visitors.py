"""What the server takes in memory and time while many people use it at once.

Run from the project's folder: `python -m benchmarks.visitors`; half an hour. The app
runs on 127.0.0.1 alone; no browser is needed, each visitor is a session of its own that
speaks to the server as a page does. Visitors upload an image each, all at once, and
make its mask, while another one opens page after page. Others paint on an image each.
Then one visitor uploads large images one after the other. At the end all leave. Memory
is that of the server and of the processes that it has started.
"""

import argparse
import itertools
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets import Subprotocol
from websockets.sync.client import connect

from benchmarks._worker import stop_in_order
from terrainlib.data.labels.strokefile import StrokeFile, image_digest
from terrainlib.data.labels.strokes import Operation, Stroke, done
from terrainlib.data.palette import KAGGLE_CLASSES
from terrainlib.ui.labels.work import with_some_classes
from tests.browser.conftest import ROOT, free_port, serve

PATIENCE_S = 600
_PAGES = ("", "Dataset_Preview", "Models", "Training")
_BOUNDARY = "a-boundary"
_PAINTED_PX = 2048
_EACH_S = 0.25
_ALONE_S = 20.0


class Visitor:
    """A session with the app.

    Args:
        port: Where the app is.
        address: What stands behind the question mark of the address.
    """

    def __init__(self, port: int, address: str = "") -> None:
        self._port = port
        self._address = address
        self._page = ""
        self._states: dict[str, WidgetState] = {}
        self._widgets: dict[str, str] = {}
        self._session = ""
        stream = f"ws://127.0.0.1:{port}/_stcore/stream"
        self._opened = ExitStack()
        opening = connect(
            stream, subprotocols=[Subprotocol("streamlit")], max_size=None, proxy=None
        )
        self._line = self._opened.enter_context(opening)
        self.said: list[str] = []

    def open(self, page: str) -> float:
        """Open a page; return the seconds until it is drawn."""
        self._page, self._states = page, {}
        return self._run()

    def upload(self, data: bytes, name: str) -> float:
        """Give a file to the box of the page; return the seconds until it is drawn."""
        asked = BackMsg()
        asked.file_urls_request.request_id = "1"
        asked.file_urls_request.file_names.append(name)
        asked.file_urls_request.session_id = self._session
        self._line.send(asked.SerializeToString())
        answer = self._until("file_urls_response").file_urls_response.file_urls[0]
        start = time.perf_counter()
        self._put(answer.upload_url, data)
        state = WidgetState(id=self._widgets["file_uploader"])
        state.file_uploader_state_value.uploaded_file_info.add(
            name=name, size=len(data), file_id=answer.file_id, file_urls=answer
        )
        self._states[state.id] = state
        self._run()
        return time.perf_counter() - start

    def press(self, label: str) -> float:
        """Press a button; return the seconds until the page is drawn."""
        state = WidgetState(id=self._widgets[label], trigger_value=True)
        return self._run(state)

    def leave(self) -> None:
        """Close the page."""
        self._opened.close()

    def _run(self, *pressed: WidgetState) -> float:
        start = time.perf_counter()
        wanted = BackMsg()
        wanted.rerun_script.page_name = self._page
        wanted.rerun_script.query_string = self._address
        wanted.rerun_script.widget_states.widgets.extend(
            [*self._states.values(), *pressed]
        )
        self._line.send(wanted.SerializeToString())
        self.said = []
        finished = self._until("script_finished").script_finished
        while finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            finished = self._until("script_finished").script_finished
        return time.perf_counter() - start

    def _until(self, kind: str) -> ForwardMsg:
        while True:
            seen: ForwardMsg = ForwardMsg.FromString(
                self._line.recv(PATIENCE_S, decode=False)
            )
            self._session = seen.new_session.initialize.session_id or self._session
            self._note(seen)
            if seen.WhichOneof("type") == kind:
                return seen

    def _note(self, seen: ForwardMsg) -> None:
        element = seen.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "file_uploader":
            self._widgets["file_uploader"] = element.file_uploader.id
        elif kind == "button":
            self._widgets[element.button.label] = element.button.id
        elif kind == "alert":
            self.said.append(element.alert.body)
        elif kind == "progress":
            self.said.append(element.progress.text)

    def _put(self, path: str, data: bytes) -> None:
        line = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        line.request("GET", "/_stcore/health")
        cookie = line.getresponse()
        cookie.read()
        token = cookie.headers["set-cookie"].partition("=")[2].partition(";")[0]
        disposition = 'form-data; name="file"; filename="image"'
        head = f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        body = head + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
            "Cookie": f"_streamlit_xsrf={token}",
            "X-Xsrftoken": token,
        }
        line.request("PUT", path, body, headers)
        answer = line.getresponse()
        answer.read()
        line.close()
        if answer.status != 204:
            raise RuntimeError(f"an upload was answered {answer.status}")


@dataclass
class Watch:
    """What is seen of the server from outside, all the time.

    Attributes:
        port: Where it is.
        pid: Its process.
        peak_mb: The most memory since the last look.
        health: Seconds until `/_stcore/health` answered, since the last look.
    """

    port: int
    pid: int
    peak_mb: float = 0.0
    health: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def memory_mb(self) -> float:
        """Return the memory of the server and its processes."""
        server = psutil.Process(self.pid)
        total = 0
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total / 1e6

    def run(self) -> None:
        """Look until it is ended."""
        while not self.ended.wait(_EACH_S):
            self.peak_mb = max(self.peak_mb, self.memory_mb())
            start = time.perf_counter()
            with suppress(OSError):
                line = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
                line.request("GET", "/_stcore/health")
                line.getresponse().read()
                line.close()
            self.health.append(time.perf_counter() - start)

    def line(self, name: str, seconds: list[float], pages: list[float]) -> str:
        """Return what was seen since the last look, and begin anew."""
        health, self.health = self.health or [0.0], []
        peak, self.peak_mb = self.peak_mb, 0.0
        page = (
            f"{statistics.median(pages):8.2f}{max(pages):8.2f}" if pages else " " * 16
        )
        took = f"{min(seconds):8.1f}{max(seconds):8.1f}"
        return f"{name:<28}{took}{page}{max(health):8.2f}{peak:8.0f}"


@contextmanager
def paging(port: int) -> Iterator[list[float]]:
    """Open page after page in a session of its own while the block lasts."""
    seconds: list[float] = []
    ended = threading.Event()

    def visit() -> None:
        visitor = Visitor(port)
        for page in itertools.cycle(_PAGES):
            if ended.wait(_EACH_S):
                break
            seconds.append(visitor.open(page))
        visitor.leave()

    thread = threading.Thread(target=visit)
    thread.start()
    yield seconds
    ended.set()
    thread.join()


def image(side: tuple[int, int], number: int) -> bytes:
    """Return a JPEG that looks like none before."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (side[0] // 16, side[1] // 16, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(small, side[::-1]))[1].tobytes()


def studio(port: int) -> Visitor:
    """Return a visitor before the upload box of the mask studio."""
    visitor = Visitor(port, "image=upload:none")
    visitor.open("Mask_Studio")
    return visitor


def make_masks(port: int, count: int, side: int) -> tuple[list[float], list[Visitor]]:
    """Let visitors upload an image each at once; return the seconds to their masks."""
    visitors = [studio(port) for _ in range(count)]
    files = [image((side, side), time.time_ns() % 2**32) for _ in visitors]

    def one(visitor: Visitor, data: bytes) -> float:
        seconds = visitor.upload(data, "a.jpg")
        with suppress(KeyError):
            seconds += visitor.press("Make the mask")
        return seconds

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, visitors, files)), visitors


def paint(port: int, count: int) -> tuple[list[float], list[Visitor]]:
    """Let visitors paint on an image each at once; return the seconds to each mask."""
    visitors = [Visitor(port, "image=upload:none") for _ in range(count)]
    names = [item.name for item in KAGGLE_CLASSES]

    def one(visitor: Visitor) -> list[float]:
        data = image((_PAINTED_PX, _PAINTED_PX), time.time_ns() % 2**32)
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
            Path(file.name).write_bytes(data)
            strokes = StrokeFile.of(image_digest(Path(file.name)), None)

        def stroke(number: int) -> None:
            at = 200.0 * (number + 1)
            line = ((at, 100.0), (at + 50.0, _PAINTED_PX - 100.0))
            made = Stroke(str(uuid.uuid4()), "line", names[number], line, 20.0)
            deed = Operation(str(uuid.uuid4()), "add", made)
            strokes.change(lambda found: done(with_some_classes(found), [deed]))

        visitor.open("Labels")
        stroke(0)
        stroke(1)
        seconds = [visitor.upload(data, "a.jpg")]
        for number in (2, 3):
            stroke(number)
            seconds.append(visitor.open("Labels"))
        return seconds

    with ThreadPoolExecutor(count) as pool:
        return list(itertools.chain(*pool.map(one, visitors))), visitors


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--side", type=int, default=1024, help="px of their images")
    parser.add_argument("--painters", type=int, default=20)
    parser.add_argument("--uploads", type=int, default=20, help="of 40 megapixels")
    parser.add_argument("--rest", type=float, nargs="+", default=[150, 300], help="s")
    options = parser.parse_args()
    stop_in_order()
    with tempfile.TemporaryDirectory(prefix="terrain-visitors-") as folder:
        home = Path(folder) / "home"
        os.environ["TERRAINLIB_HOME"] = str(home)
        with serve(ROOT / "streamlit_app.py", home, free_port()) as server:
            measure(urlsplit(server.url).port or 0, server.pid, options)


def measure(port: int, pid: int, options: argparse.Namespace) -> None:
    """Measure one server."""
    watch = Watch(port, pid)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    print(f"at start {watch.memory_mb():.0f} MB")
    print(
        f"{'':<28}{'first':>8}{'last s':>8}{'page s':>8}{'most':>8}{'health':>8}"
        f"{'MB':>8}",
        flush=True,
    )
    with paging(port) as pages:
        time.sleep(_ALONE_S)
    print(watch.line("nobody else", [0.0], pages), flush=True)
    everybody: list[Visitor] = []
    for count in options.sessions:
        with paging(port) as pages:
            seconds, visitors = make_masks(port, count, options.side)
        everybody += visitors
        name = f"{count} masks of {options.side} px"
        print(watch.line(name, seconds, pages), flush=True)
    if options.painters:
        with paging(port) as pages:
            seconds, visitors = paint(port, options.painters)
        everybody += visitors
        name = f"{options.painters} paint on {_PAINTED_PX} px"
        print(watch.line(name, seconds, pages), flush=True)
    if options.uploads:
        with paging(port) as pages:
            seconds = []
            for number in range(options.uploads):
                visitor = studio(port)
                everybody.append(visitor)
                seconds.append(visitor.upload(image((5000, 8000), number), "a.jpg"))
        name = f"{options.uploads} uploads of 40 megapixels"
        print(watch.line(name, seconds, pages), flush=True)
    times = psutil.Process(pid).cpu_times()
    for visitor in everybody:
        visitor.leave()
    left = time.monotonic()
    for rest in options.rest:
        time.sleep(max(0.0, left + rest - time.monotonic()))
        print(f"{rest:.0f} s after they left {watch.memory_mb():.0f} MB", flush=True)
    print(f"{times.user + times.system:.0f} s of the processor")
    watch.ended.set()


if __name__ == "__main__":
    main()
