"""Fault scripts in files and requests: JSON or TOML, read strictly, because a misspelt rule is one that never fires.

A script is a list of rules, or an object `{"seed": 7, "rules": [...]}`; in TOML `seed = 7` and `[[rules]]`. The fields
of a rule are those of `faults.Rule`.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec

from hadoken.errors import ConfigurationError
from hadoken.local.rules import Rule, check, stranger

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from hadoken.local.faults import Faults

_FIELDS: Final = msgspec.structs.fields(Rule)
_NAMES: Final = tuple(field.encode_name for field in _FIELDS)


class Script(NamedTuple):
    """What a script says."""

    rules: tuple[Rule, ...]
    seed: int


def load(path: Path) -> Script:
    """Read a script from a file: TOML where its name ends so, else JSON.

    Raises:
        ConfigurationError: it cannot be read, or holds what no script has.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the fault script {path} cannot be read: {error.strerror}") from error
    if path.suffix != ".toml":
        return read(data, str(path))
    try:
        found = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: this is no TOML: {error}") from error
    return understood(found, str(path))


def read(data: bytes, where: str) -> Script:
    """Read a script from JSON.

    Args:
        data: UTF-8.
        where: it comes from, for error messages.

    Raises:
        ConfigurationError: it is no JSON, or holds what no script has.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: this is no JSON: {error}", hint="a file whose name ends in .toml is read as TOML"
        ) from error
    return understood(found, where)


def understood(found: object, where: str) -> Script:
    """Make rules of what a file or a request held.

    Args:
        found: as decoded, of dicts and lists.
        where: it comes from, for error messages.

    Raises:
        ConfigurationError: it holds what no script has.
    """
    whole: dict[str, Any] = {"rules": found} if isinstance(found, list) else _mapping(found, where)
    _refuse_strangers(whole, ("seed", "rules"), where)
    seed, rules = whole.get("seed", 0), whole.get("rules", [])
    if type(seed) is not int:
        raise ConfigurationError(f"{where}: seed is {seed!r}; it is a whole number")
    if not isinstance(rules, list):
        raise ConfigurationError(f"{where}: rules is {rules!r}; it is a list")
    listed = cast("list[object]", rules)
    return Script(tuple(_rule(one, f"{where}: rule {number}") for number, one in enumerate(listed, 1)), seed)


def described(faults: Faults) -> dict[str, object]:
    """A script at work as a script, each rule with how many calls it `matched` and on how many it `fired`."""
    rules = [{**msgspec.to_builtins(one.rule), "matched": one.matched, "fired": one.fired} for one in faults.standing]
    return {"seed": faults.seed, "rules": rules}


def _rule(found: object, where: str) -> Rule:
    fields = _mapping(found, where)
    _refuse_strangers(fields, _NAMES, where)
    try:
        rule = msgspec.convert(fields, Rule)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    check(rule, where)
    return rule


def _mapping(found: object, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ConfigurationError(f"{where}: {found!r} is no object with named fields")
    return cast("dict[str, Any]", found)


def _refuse_strangers(found: dict[str, Any], known: Collection[str], where: str) -> None:
    for name in found:
        if name not in known:
            raise stranger("field", name, known, where)
