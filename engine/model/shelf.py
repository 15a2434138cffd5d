"""Loaded and altered models: each made once and shared, the longest unused given up beyond so many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from weakref import WeakValueDictionary

from engine.core.limits import bytes_from
from engine.model.victim import Victim

MOST_VARIABLE = "LAB_MOST_MODEL_BYTES"
MOST_BYTES = 4e9


def weight(victims: Iterable[Victim]) -> int:
    """The bytes of the models' parameters and buffers; what several share counts once."""
    modules = [victim.module for victim in victims]
    tensors = {id(each): each for m in modules for each in (*m.parameters(), *m.buffers())}
    return sum(each.nbytes for each in tensors.values())


class Shelf:
    """At most LAB_MOST_MODEL_BYTES (4 GB) of models, and always the one that was made last.

    Making one model keeps nobody from another, nor from one that stands here already.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Victim] = OrderedDict()
        self._making: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()

    def find(self, key: Hashable) -> Victim | None:
        """The model of that key if it is here."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def get(self, key: Hashable, make: Callable[[], Victim]) -> Victim:
        """The model of that key, made unless it is here; those who ask meanwhile wait for it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            victim = self.find(key)
            if victim is None:
                victim = make()
                self._put(key, victim)
        return victim

    def clear(self) -> None:
        """Give up all of them; their memory goes when their last user lets go."""
        with self._lock:
            self._kept.clear()

    def _put(self, key: Hashable, victim: Victim) -> None:
        most = bytes_from(MOST_VARIABLE, MOST_BYTES)
        with self._lock:
            self._kept[key] = victim
            while len(self._kept) > 1 and weight(self._kept.values()) > most:
                self._kept.popitem(last=False)


SHELF = Shelf()
