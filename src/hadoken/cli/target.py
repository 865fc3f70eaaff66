"""MODULE:APP: from what was typed to the app, or to a sentence that says what was found instead."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Final

import click

from hadoken.app import App, Handlers
from hadoken.errors import ConfigurationError, HadokenError

_PACKAGE: Final = str(Path(__file__).resolve().parents[1])


class BrokenModule(ConfigurationError):
    """The user's module raised while it was imported; the text is its traceback, without frames of ours."""


def load(target: str) -> App:
    """Import MODULE and take APP from it; the current folder can be imported from, as with `python -m`.

    Args:
        target: such as "shop.billing:app"; the part behind the colon may have dots.

    Raises:
        UsageError: it has not this form.
        ConfigurationError: there is no such module or attribute, or it is no app.
        BrokenModule: the module itself failed.
    """
    module_name, attribute = _split(target)
    _search_here()
    return _app_of(_import(module_name), attribute)


def _split(target: str) -> tuple[str, str]:
    module, colon, attribute = target.partition(":")
    if module.endswith(".py") or "/" in module:
        meant = module.removesuffix(".py").strip("./").replace("/", ".")
        raise click.UsageError(f"{target} is a path; name the module: {meant}:{attribute or 'app'}")
    if not colon or not module or not attribute:
        raise click.UsageError(f"{target!r} is not MODULE:APP; such as {module or 'shop.billing'}:{attribute or 'app'}")
    return module, attribute


def _search_here() -> None:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}.") and not _user_frames(error):
            raise _no_module(name, error.name) from error
        raise BrokenModule(_told(name, error)) from error
    except (Exception, SystemExit) as error:
        raise BrokenModule(_told(name, error)) from error


def _no_module(name: str, missing: str) -> ConfigurationError:
    parent, _, last = missing.rpartition(".")
    near = difflib.get_close_matches(last, _modules_in(parent), n=1)
    within = f" in {parent}" if parent else ""
    hint = f"did you mean {'.'.join(filter(None, [parent, near[0]]))}?" if near else f"the folder is {Path.cwd()}"
    asked = "" if missing == name else f", which {name} is in"
    return ConfigurationError(f"there is no module {last}{within}{asked}", hint=hint)


def _modules_in(package: str) -> list[str]:
    """Names of the modules beside the one that is missing: in its package, else in the current folder."""
    path: Iterable[str] = getattr(sys.modules.get(package), "__path__", ()) if package else [str(Path.cwd())]
    return [each.name for each in pkgutil.iter_modules(list(path))]


def _app_of(module: ModuleType, path: str) -> App:
    value: object = module
    for step in path.split("."):
        if not hasattr(value, step):
            raise ConfigurationError(f"{module.__name__} has no attribute {path}", hint=_other_apps(module, path))
        value = getattr(value, step)
    if isinstance(value, App):
        return value
    found = f"{module.__name__}:{path} is {_described(value)}, not a hadoken.App"
    if isinstance(value, Handlers):
        raise ConfigurationError(found, hint="take it into an app with app.include(...)")
    raise ConfigurationError(found, hint=_other_apps(module, path))


def _other_apps(module: ModuleType, path: str) -> str:
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    near = difflib.get_close_matches(path, apps, n=1) or apps[:1]
    if near:
        return f"did you mean {module.__name__}:{near[0]}?"
    return 'that module has no app; make one with app = hadoken.App("name")'


def _described(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    kind = type(value).__qualname__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _user_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames that are neither the import system's nor ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return [each for each in frames if not each.filename.startswith(("<frozen importlib", f"{_PACKAGE}/"))
            and each.filename != importlib.__file__]  # fmt: skip


def _told(name: str, error: BaseException) -> str:
    """What the user's module did, with its own frames only."""
    if isinstance(error, SystemExit):
        return f"module {name} ended the program while it was imported: SystemExit({error.code!r})"
    lines = traceback.format_list(_user_frames(error))
    words = traceback.format_exception_only(error)
    blame = "" if isinstance(error, HadokenError) else f"module {name} could not be imported\n"
    head = "Traceback (most recent call last):\n" if lines else ""
    return f"{blame}{head}{''.join(lines)}{''.join(words)}".rstrip("\n")
