"""Convert frozen dataclasses to plain data (JSON, TOML) and back, with errors that name the key."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from ablations.errors import ConfigError
from googlenet.validation import nearest, shown

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Convert dataclasses to dicts and tuples to lists, recursively."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def parse_json(text: str | bytes) -> Any:
    """Parse JSON strictly (RFC 8259): no NaN, no Infinity.

    Raises:
        ValueError: if it is invalid, holds a number beyond a float's range, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {shown(text)} is beyond a float's range")
    return number


def from_plain(cls: type[T], data: object, *, where: str) -> T:
    """Build the dataclass `cls` from a mapping such as `to_plain` returns; `where` prefixes every error message.

    Values that are dataclass instances already are kept.

    Raises:
        ConfigError: on an unknown or missing key, a value of the wrong type, or one that the class rejects.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected a table of {cls.__name__}'s keys, found {shown(data)}")
    fields, hints = _fields(cls)
    check_keys(data, known=fields, where=where)
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], where=f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: the key {name!r} is missing; add it")
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


@functools.cache
def _fields(cls: type) -> tuple[dict[str, dataclasses.Field[Any]], dict[str, Any]]:
    """A dataclass's fields and their types by name; cached because resolving type hints dominates the time."""
    return {field.name: field for field in dataclasses.fields(typing.cast(Any, cls))}, typing.get_type_hints(cls)


def check_keys(data: Mapping[Any, Any], *, known: Mapping[str, Any] | tuple[str, ...], where: str) -> None:
    """Raise ConfigError on the first unknown key, suggesting the nearest known one."""
    for key in data:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {shown(key)}; allowed: {', '.join(known)}{nearest(key, known)}")


def _convert(hint: Any, value: Any, *, where: str) -> Any:
    if type(value) is hint:  # the fast path
        return value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where=where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list, found {shown(value)}")
        return tuple(_convert(arguments[0], item, where=f"{where}[{index}]") for index, item in enumerate(value))
    if origin is typing.Literal:
        return value  # the class checks its own choices
    if dataclasses.is_dataclass(hint):
        if isinstance(value, typing.cast(type, hint)):
            return value
        return from_plain(typing.cast(type, hint), value, where=where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError(f"{where}: the number is too large; use one below 1e300") from error
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: expected {hint.__name__}, found {shown(value)}")
    return value
