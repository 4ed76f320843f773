"""template.yaml as far as the local stack needs it: its definitions, with the values that a deployment fills in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from penstock.domain.errors import Misconfigured

Reference = Callable[[str, str | None], str]
"""A function that resolves a reference: from the logical name of a resource, and an attribute or None, to the value."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. Its intrinsic functions are in their long form, such as {"Fn::Sub": "…"}."""

    parameters: Mapping[str, str]
    """The default of each parameter that has one."""
    resources: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any]


def read_template(path: Path) -> Template:
    """Read the parts of a template that the local stack uses.

    Raises:
        Misconfigured: the file does not exist, or is not a template.
    """
    read = load_template(path)
    return Template(
        parameters={
            name: str(each["Default"]) for name, each in read.get("Parameters", {}).items() if "Default" in each
        },
        resources=read["Resources"],
        outputs={name: each["Value"] for name, each in read.get("Outputs", {}).items()},
    )


def load_template(path: Path) -> dict[str, Any]:
    """The whole content of a template, with its intrinsic functions in their long form.

    Raises:
        Misconfigured: the file does not exist, or is not a template.
    """
    try:
        read = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - derived from SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(why=f"{path} cannot be read as a template: {error}") from error
    if not isinstance(read, dict) or not isinstance(read.get("Resources"), dict):
        raise Misconfigured(why=f"{path} has no Resources.")
    return read


def resolve(node: Any, values: Mapping[str, str], reference: Reference) -> Any:
    """Part of a template, with its intrinsic functions evaluated.

    Args:
        values: the values of parameters and pseudo parameters.
        reference: resolves every other name.

    Raises:
        Misconfigured: the template uses an intrinsic function that is not known here.
    """

    def value_of(name: str) -> str:
        resource, _, attribute = name.partition(".")
        return values[name] if name in values else reference(resource, attribute or None)

    functions: Mapping[str, Callable[[Any], str]] = {
        "Ref": value_of,
        "Fn::GetAtt": lambda name: value_of(name if isinstance(name, str) else ".".join(name)),
        "Fn::Sub": lambda text: re.sub(r"\$\{([^!}][^}]*)\}", lambda match: value_of(match[1]), text),
        "Fn::Join": lambda parts: parts[0].join(evaluated(parts[1])),
    }

    def evaluated(node: Any) -> Any:
        if isinstance(node, list):
            return [evaluated(each) for each in node]
        if not isinstance(node, dict):
            return node
        function = next((name for name in node if name == "Ref" or str(name).startswith("Fn::")), None)
        if function is None:
            return {name: evaluated(each) for name, each in node.items()}
        if function not in functions or (function == "Fn::Sub" and not isinstance(node[function], str)):
            raise Misconfigured(why=f"The local stack cannot evaluate {function} in {node!r}.")
        return functions[function](node[function])

    return evaluated(node)


class _Loader(yaml.SafeLoader):
    """A YAML loader that knows CloudFormation's short forms: it reads `!Sub x` as {"Fn::Sub": x}."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(cast("yaml.MappingNode", node), deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)
