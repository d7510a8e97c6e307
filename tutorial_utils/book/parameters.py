"""The parameters of the notebooks: everything that refuses a wrong one before anything runs.

A notebook declares its parameters in the cell tagged ``parameters``; ``profiles.yml`` beside it
holds a JSON schema for each name, for all notebooks at once. Papermill itself only warns about a
name that a notebook does not declare, and takes any value.
"""

import ast
import math
from collections.abc import Iterable
from pathlib import Path

import yaml
from jsonschema import Draft4Validator, SchemaError  # in later drafts 4.0 is an integer

from tutorial_utils.book.notebooks import read_parameters
from tutorial_utils.errors import InputError, check_choice, suggest

_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "a text",
    "array": "a list of numbers",
    "null": "none",
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
        for schema in declarations["parameters"].values():
            Draft4Validator.check_schema(schema)
    except (OSError, yaml.YAMLError, KeyError, TypeError, SchemaError) as error:
        reason = " ".join(getattr(error, "message", str(error)).split())
        raise InputError(f"{path}: not a file of declared parameters ({reason})") from error
    for profile, sections in declarations["profiles"].items():
        for values in (sections or {}).values():
            for name, value in values.items():
                check_choice(f"{path}, profile {profile}", name, declarations["parameters"])
                check_value(name, value, declarations["parameters"][name])
    return declarations


def parse_value(name: str, text: str, schema: dict) -> object:
    """Turn the text of ``-p name text`` into the value that the notebook gets.

    >>> parse_value("n_bits", "4", {"type": "integer", "minimum": 2, "maximum": 8})
    4
    >>> parse_value("n_bits", "9", {"type": "integer", "minimum": 2, "maximum": 8})
    Traceback (most recent call last):
    tutorial_utils.errors.InputError: n_bits=9: expected a whole number of at least 2 and at most 8
    """
    try:
        value = ast.literal_eval(text.capitalize() or "None")  # true and none, too
    except (ValueError, SyntaxError):
        value = text
    if isinstance(value, tuple):  # 0.5, 0.5, 0.5
        value = list(value)
    if value is not None and schema.get("format") == "path":
        return str(Path(text).expanduser().resolve())  # the kernel runs in another folder
    check_value(name, value, schema)
    return value


def check_value(name: str, value: object, schema: dict) -> None:
    """Refuse a value that its schema does not allow, and NaN and infinity, which JSON has not.

    Args:
        name: for the message.
        value: of a default, a profile or the command line.
        schema: the entry of the parameter in ``profiles.yml``.
    """
    if "enum" in schema:
        return check_choice(name, value, schema["enum"])
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (finite and Draft4Validator(schema).is_valid(value)):
        raise InputError(f"{name}={value!r}: expected {_expected(schema)}")


def _expected(schema: dict) -> str:
    """What a schema allows, in words."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = _WORDS | ({"string": "a path"} if schema.get("format") == "path" else {})
    first, *others = (words[kind] for kind in kinds)
    limits = {"minimum": "at least", "maximum": "at most"}
    bounds = [f"{word} {schema[key]}" for key, word in limits.items() if key in schema]
    return ", or ".join([" of ".join([first, *filter(None, [" and ".join(bounds)])]), *others])


def plan(
    notebooks: list[Path], pairs: Iterable[tuple[str, str]], profile: str, declarations: dict
) -> dict[Path, dict[str, object]]:
    """Decide which notebook gets which parameters, other than its defaults.

    Args:
        notebooks: those to run.
        pairs: name and text of each ``-p``. They beat the profile.
        profile: a name in ``profiles.yml``, or "default".
        declarations: from `read_declarations`.

    Returns:
        for each notebook the values that differ from its defaults.

    Raises:
        InputError: for an unknown profile; for a parameter that none of the notebooks declares,
            that its schema does not allow, or that is given twice.
    """
    profiles = declarations["profiles"]
    check_choice("profile", profile, ("default", *profiles))
    declared = {path: read_parameters(path) for path in notebooks}
    given = _parse_pairs(pairs, set().union(*declared.values()), declarations["parameters"])
    sections = profiles.get(profile) or {}
    planned = {}
    for path, defaults in declared.items():
        values = sections.get("all", {}) | sections.get(path.stem, {}) | given
        planned[path] = {
            name: value
            for name, value in values.items()
            if name in defaults and value != defaults[name]
        }
    return planned


def _parse_pairs(
    pairs: Iterable[tuple[str, str]], declared: set[str], schemas: dict
) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, text in pairs:
        if name not in declared:
            raise InputError(f"no notebook here has a parameter {name!r}{suggest(name, declared)}")
        if name not in schemas:
            raise InputError(f"parameter {name!r} has no entry in profiles.yml")
        if name in given:
            raise InputError(f"parameter {name!r} is given twice")
        given[name] = parse_value(name, text, schemas[name])
    return given
