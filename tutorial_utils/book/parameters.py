"""The parameters of the notebooks: everything that refuses a wrong one before anything runs.

A notebook declares its parameters in the cell tagged ``parameters``; ``profiles.yml`` beside it
holds the type, range or choices of each name, for all notebooks at once. Papermill itself only
warns about a name that a notebook does not declare, and takes any value.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import yaml

from tutorial_utils.book.notebooks import read_parameters
from tutorial_utils.errors import InputError, suggest

TYPES = {
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "choice": "a name",
    "path": "a path",
}


def read_declarations(folder: Path) -> dict:
    """Read ``profiles.yml`` of a folder: the keys parameters, notebooks and profiles.

    Raises:
        InputError: when the file is missing or broken, or a profile sets what is not allowed.
    """
    path = folder / "profiles.yml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        declarations = {key: content[key] or {} for key in ("parameters", "notebooks", "profiles")}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a file of declared parameters ({reason})") from error
    for profile, sections in declarations["profiles"].items():
        for values in (sections or {}).values():
            for name, value in values.items():
                if name not in declarations["parameters"]:
                    raise InputError(f"{path}: profile {profile} sets the undeclared {name!r}")
                check_value(name, value, declarations["parameters"][name])
    return declarations


def parse_value(name: str, text: str, spec: dict) -> object:
    """Turn the text of ``-p name text`` into the value that the notebook gets.

    >>> parse_value("n_bits", "4", {"type": "int", "min": 2, "max": 8})
    4
    >>> parse_value("n_bits", "9", {"type": "int", "min": 2, "max": 8})
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: n_bits=9: expected a whole number from 2 to 8
    """
    if spec.get("nullable") and text.lower() in ("", "none", "null"):
        return None
    if spec["type"] == "path":
        return str(Path(text).expanduser().resolve())  # the kernel runs in another folder
    value = _convert(text, spec["type"])
    check_value(name, value, spec)
    return value


def _convert(text: str, kind: str) -> object:
    """The value that a text means, or the text itself, which check_value then refuses."""
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    for convert in {"int": (int,), "number": (int, float)}.get(kind, ()):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def check_value(name: str, value: object, spec: dict) -> None:
    """Refuse a value of the wrong type, out of range, or that is no choice.

    Args:
        name: for the message.
        value: of a default, a profile or the command line.
        spec: the entry of the parameter in ``profiles.yml``.
    """
    kind = spec.get("type")
    if kind not in TYPES:
        raise InputError(f"profiles.yml: {name} has the type {kind!r}{suggest(str(kind), TYPES)}")
    if value is None and spec.get("nullable"):
        return
    if kind == "choice":
        if value not in spec["choices"]:
            raise InputError(
                f"{name}={value}: no such choice{suggest(str(value), spec['choices'])}"
            )
    elif kind == "bool":
        if not isinstance(value, bool):
            raise InputError(f"{name}={value!r}: expected true or false")
    elif kind == "path":
        if not isinstance(value, str):
            raise InputError(f"{name}={value!r}: expected a path{_or_none(spec)}")
    elif not _in_range(value, spec):
        raise InputError(f"{name}={value}: expected {TYPES[kind]}{_range(spec)}{_or_none(spec)}")


def _in_range(value: object, spec: dict) -> bool:
    number = int if spec["type"] == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, number) or not math.isfinite(value):
        return False
    return spec.get("min", -math.inf) <= value <= spec.get("max", math.inf)


def _range(spec: dict) -> str:
    if "min" in spec and "max" in spec:
        return f" from {spec['min']} to {spec['max']}"
    return f" of at least {spec['min']}" if "min" in spec else ""


def _or_none(spec: dict) -> str:
    return ", or none" if spec.get("nullable") else ""


def plan(
    notebooks: list[Path], pairs: Iterable[tuple[str, str]], profile: str, declarations: dict
) -> dict[Path, dict[str, object]]:
    """Decide which notebook gets which parameters. A value from ``pairs`` beats the profile's.

    Args:
        notebooks: those to run.
        pairs: name and text of each ``-p``.
        profile: a profile of ``profiles.yml``, or "default".
        declarations: from `read_declarations`.

    Returns:
        for each notebook the values that replace its defaults.

    Raises:
        InputError: for an unknown profile; for a parameter that none of the notebooks declares,
            has the wrong type, is out of range, is no choice or is given twice.
    """
    profiles = declarations["profiles"]
    if profile not in {"default", *profiles}:
        raise InputError(f"no profile {profile!r}{suggest(profile, {'default', *profiles})}")
    declared = {path: read_parameters(path) for path in notebooks}
    given = _parse_pairs(pairs, set().union(*declared.values()), declarations["parameters"])
    sections = profiles.get(profile) or {}
    planned = {}
    for path, defaults in declared.items():
        values = sections.get("all", {}) | sections.get(path.stem, {}) | given
        planned[path] = {name: value for name, value in values.items() if name in defaults}
    return planned


def _parse_pairs(
    pairs: Iterable[tuple[str, str]], declared: set[str], specs: dict
) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, text in pairs:
        if name not in declared:
            raise InputError(f"no notebook here has a parameter {name!r}{suggest(name, declared)}")
        if name not in specs:
            raise InputError(f"parameter {name!r} has no entry in profiles.yml")
        if name in given:
            raise InputError(f"parameter {name!r} is given twice")
        given[name] = parse_value(name, text, specs[name])
    return given
