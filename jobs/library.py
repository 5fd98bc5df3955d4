"""Verbs in Lua as functions of a Redis server, which compiles them once and runs one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

_MISSING = "Function not found"


class Library:
    """The verbs of a Lua file in this folder, on a server; it is sent there once it turns out to be missing.

    Its name tells this version from others: while they are exchanged, processes of two share one server.

    Args:
        redis: the server, Redis 7 or newer, or Valkey.
        file: the file's name. It ends with a call of ``publish``; see ``library.lua``.
        begins: the verbs that a server without free memory refuses.
        looks: those that write nothing.
        prelude: more Lua to put in front.
    """

    def __init__(
        self, redis: Redis, file: str, *, begins: Iterable[str], looks: Iterable[str] = (), prelude: str = ""
    ) -> None:
        frame, verbs = (_source(name) for name in ("library.lua", file))
        source = f"{prelude}\n{frame}\n{verbs}"
        self._redis = redis
        self._name = f"wan_{sha256(source.encode()).hexdigest()[:16]}"
        self._source = f"#!lua name={self._name}\nlocal LIBRARY = '{self._name}'\n{source}"
        self._ways = dict.fromkeys(begins, f"{self._name}_begin")
        self._ways |= dict.fromkeys(looks, f"{self._name}_look")
        self._other_way = f"{self._name}_go_on"

    def call(self, verb: str, prefix: str, now: int | None, *args: str | int | bytes) -> list[Any]:
        """What a verb answers.

        Args:
            verb: its name.
            prefix: what the names of all keys begin with.
            now: Unix milliseconds, or None for the server's own clock.
            args: the verb's arguments.

        Raises:
            RedisError: as the client has it.
        """
        way = self._ways.get(verb, self._other_way)
        told = (prefix, "" if now is None else now, verb, *args)
        try:
            return self._call(way, *told)
        except ResponseError as error:
            if _MISSING not in str(error):
                raise
        self._redis.function_load(self._source, replace=True)
        return self._call(way, *told)

    def _call(self, way: str, *told: str | int | bytes) -> list[Any]:
        answer: Any = self._redis.fcall(way, 1, *told)
        return list(answer)


def _source(file: str) -> str:
    return files("jobs").joinpath(file).read_text(encoding="utf-8")
