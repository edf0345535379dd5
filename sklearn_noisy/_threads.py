"""A lock for what all threads of a process share."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """A lock that its thread may take again, and may lend to other threads.

    In the child of a fork, it is held by the thread that forked, if that thread held
    it, and otherwise by nobody: other threads do not exist there.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._of_thread = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    @property
    def depth(self) -> int:
        """How many times this thread has taken the lock; 0 if it does not hold it."""
        return getattr(self._of_thread, "depth", 0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; wait for it if another thread does."""
        # A generator: it releases the lock also if an interrupt prevents the block.
        with self._lock:
            self._of_thread.depth = self.depth + 1
            try:
                yield
            finally:
                self._of_thread.depth = self.depth - 1

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Release the lock completely, and take it back at the end.

        A thread must not hold the lock while it waits for threads that may need it.
        """
        depth = self.depth
        self._of_thread.depth = 0
        for _ in range(depth):
            self._lock.release()
        try:
            yield
        finally:
            self._take(depth)

    def _take(self, depth: int) -> None:
        interrupt: KeyboardInterrupt | None = None
        while self.depth < depth:
            # The callers release it, so an interrupt must not leave it with others.
            try:
                self._lock.acquire()
                self._of_thread.depth = self.depth + 1
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _renew(self) -> None:
        self._lock, depth = threading.RLock(), self.depth
        self._of_thread.depth = 0
        self._take(depth)


#: For ``warnings.catch_warnings``, which replaces the filters of the whole process.
WARNING_FILTERS = Turn()
