"""Where the runs of a sweep go: processes of this machine, or the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from types import TracebackType
from typing import Any, Protocol, Self

from pilotdht import __version__
from pilotdht.errors import ConfigError, InvalidArgument, Unreachable
from simulations.results.result import Result
from simulations.sweep.plan import Run
from simulations.sweep.work import Failure, stay_until, worker_version

Work = Callable[[Run], Result | Failure]
"""What is done with a run."""

CONNECT_S = 5.0
"""How long a scheduler may take to answer."""

WORKERS_S = 4.0
"""How long the first worker of a cluster may take to show up."""

COUNT_EVERY_S = 3.0
"""How often the workers of a cluster are counted: they come and go."""

ANSWER_S = 3.0
"""How long a scheduler may take to tell how many there are."""

END_S = 10.0
"""How long processes may take to end when they are told to."""


class Executor(Protocol):
    """Carries out runs; ``with`` opens and closes it, and closing ends what still runs."""

    @property
    def capacity(self) -> int:
        """How many runs may be under way now."""
        ...

    def submit(self, work: Work, run: Run) -> Future[Result | Failure]:
        """Begin a run."""
        ...

    def trouble(self) -> str:
        """Return why nothing can be expected now; empty while all is well."""
        ...

    def __enter__(self) -> Self:
        """Open it."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""
        ...


class LocalProcesses:
    """A process of its own for each run, a few at a time.

    A process that runs out of memory takes nothing but its own run along, and none inherits what an earlier run left.
    """

    def __init__(self, workers: int) -> None:
        """Make it.

        Args:
            workers: processes at a time.
        """
        self._workers = workers
        self._context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks as they happen to be
        self._lifeline, self._held = self._context.Pipe(duplex=False)
        self._pools: dict[Future[Result | Failure], ProcessPoolExecutor] = {}

    @property
    def capacity(self) -> int:
        """How many runs may be under way now."""
        return self._workers

    def submit(self, work: Work, run: Run) -> Future[Result | Failure]:
        """Begin a run in a new process."""
        pool = ProcessPoolExecutor(1, mp_context=self._context, initializer=stay_until, initargs=(self._lifeline,))
        with _born_deaf():
            future = pool.submit(work, run)
        pool.shutdown(wait=False)  # its process ends with the run
        self._pools[future] = pool
        future.add_done_callback(lambda _: self._pools.pop(future, None))
        return future

    def trouble(self) -> str:
        """Return nothing: a process that dies fails its own run."""
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
        wait(list(self._pools), timeout=END_S)
        self._lifeline.close()


class DaskCluster:
    """The workers of a Dask cluster."""

    def __init__(self, address: str) -> None:
        """Make it.

        Args:
            address: ``HOST:PORT`` of the scheduler.

        Raises:
            ConfigError: the package is not installed.
        """
        try:
            self._distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise ConfigError(
                "Dask is not installed here",
                hint=f"{sys.executable} -m pip install 'distributed>=2025'; or use --executor processes",
            ) from error
        for name in sorted(logging.root.manager.loggerDict):
            if name.partition(".")[0] == "distributed":  # what matters is told in our own words
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._address = address
        self._client: Any = None
        self._executor: Any = None
        self._capacity = 1
        self._counted_at = 0.0
        self._trouble = ""

    @property
    def capacity(self) -> int:
        """How many workers there are now: each runs one simulation at a time."""
        if time.monotonic() - self._counted_at > COUNT_EVERY_S:
            self._counted_at = time.monotonic()
            try:
                workers = self._client.sync(self._client.scheduler.ncores, callback_timeout=ANSWER_S)
                self._capacity, self._trouble = max(1, len(workers)), ""
            except Exception as error:  # noqa: BLE001 - the package has many ways to say that nobody answers
                self._trouble = f"the scheduler {self._address} does not answer ({type(error).__name__})"
        return self._capacity

    def submit(self, work: Work, run: Run) -> Future[Result | Failure]:
        """Begin a run on a worker."""
        future: Future[Result | Failure] = self._executor.submit(work, run)
        return future

    def trouble(self) -> str:
        """Return why nothing can be expected now; empty while all is well."""
        if self._client.status != "running":
            return f"the scheduler {self._address} is gone"
        return self._trouble

    def __enter__(self) -> Self:
        try:
            self._client = self._distributed.Client(f"tcp://{self._address}", timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unreachable(
                f"no Dask scheduler answers at {self._address}",
                hint="start one with 'dask scheduler', and workers with 'dask worker HOST:PORT --nthreads 1'",
            ) from error
        try:
            self._greet_workers(self._client)
            self._executor = self._client.get_executor(pure=False)
        except BaseException:
            self._client.close(timeout=1)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close(timeout=2)

    def _greet_workers(self, client: Any) -> None:  # noqa: ANN401 - the package is optional and typed in part
        """Demand that there are workers, and that they run what we run."""
        try:
            client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError as error:
            raise Unreachable(
                f"the Dask scheduler {self._address} has no workers",
                hint=f"in a checkout of the same version: dask worker {self._address} --nthreads 1",
            ) from error
        try:
            versions: dict[str, str] = client.run(worker_version)
        except Exception as error:
            raise InvalidArgument(
                f"a worker of {self._address} cannot load the simulations: {type(error).__name__}: {error}",
                hint="start its workers in a checkout of the same version, so that 'import simulations' works there",
            ) from error
        for worker, version in sorted(versions.items()):
            if version != __version__:
                raise InvalidArgument(
                    f"the worker {worker} has pilotdht {version}, here is {__version__}",
                    hint="start its workers in a checkout of the same version",
                )


def executor_named(name: str, *, workers: int) -> Executor:
    """Return an executor that is not open yet.

    Args:
        name: ``processes``, or ``dask://HOST:PORT``.
        workers: processes at a time.

    Raises:
        InvalidArgument: it is neither.
        ConfigError: a package is missing.
    """
    if name == "processes":
        return LocalProcesses(workers)
    scheme, _, address = name.partition("://")
    host, _, port = address.rpartition(":")
    if scheme != "dask" or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidArgument(f"{name[:80]!r} is no executor", hint="write processes, or dask://HOST:PORT")
    return DaskCluster(address)


@contextlib.contextmanager
def _born_deaf() -> Iterator[None]:
    """Have processes that are started here not hear Ctrl-C from their first instant on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
