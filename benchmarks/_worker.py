"""A process of its own for each thing that is measured, spoken to in lines of JSON.

Thread pools, settings that hold for a whole process and what a library leaves in memory
then disturb no other measurement. What a worker prints goes to a file, which is shown
where it fails.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

_SHOWN_CHARACTERS = 3000


class WorkerError(RuntimeError):
    """A worker ended before it gave its answer; the text is what it printed last."""


def stop_in_order() -> None:
    """Let the signal to end do what Ctrl-C does, so that no worker is left behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Worker:
    """A Python module running in another process, seen from here.

    Args:
        module: Name of the module, run as `python -m`; it answers through `Channel`.
        options: What it is told at its start, plain JSON.
        environment: Variables to set beside this process' own.
    """

    def __init__(
        self,
        module: str,
        options: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives as long as the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **(environment or {})},
            start_new_session=True,  # Ctrl-C reaches the parent alone, which decides
        )
        self.tell(options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe, as asked for
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def hear(self) -> dict[str, Any]:
        """Wait for one message.

        Raises:
            WorkerError: If the worker has ended instead.
        """
        assert self._process.stdout is not None  # noqa: S101 - a pipe, as asked for
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        message: dict[str, Any] = json.loads(line)
        return message

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield messages up to the one that has `done`.

        Raises:
            WorkerError: If the worker ends without it.
        """
        while True:
            message = self.hear()
            yield message
            if "done" in message:
                return

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):  # what was not read any more
                    pipe.close()
        self._log.close()

    def _ended(self) -> WorkerError:
        code = self._process.wait()
        self._log.seek(0)
        text = self._log.read()[-_SHOWN_CHARACTERS:]
        return WorkerError(f"it ended with code {code}.\n{text}")


class Channel:
    """The worker's end: messages in and out; everything printed goes to the log.

    Attributes:
        options: What the worker was told at its start.
    """

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.options: dict[str, Any] = json.loads(sys.stdin.readline())

    def tell(self, **message: Any) -> None:
        """Send one message."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def requests(self) -> Iterator[dict[str, Any]]:
        """Yield what the parent asks, until it goes away."""
        for line in sys.stdin:
            yield json.loads(line)
