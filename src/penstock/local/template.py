"""template.yaml as far as the local stack needs it: its definitions, with the values that a deployment would put in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from penstock.domain.errors import Misconfigured

Reference = Callable[[str, str | None], str]
"""What a resource is referred to by: its logical name, and an attribute or None, give its value."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template as it was written; intrinsic functions stand in it in their long form, such as {"Fn::Sub": "…"}."""

    parameters: Mapping[str, str]
    """Their defaults."""
    resources: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Any]


def read_template(path: Path) -> Template:
    """
    Raises:
        Misconfigured: there is no such file, or it is not YAML.
    """
    read = written(path)
    return Template(
        parameters={
            name: str(each["Default"]) for name, each in read.get("Parameters", {}).items() if "Default" in each
        },
        resources=read["Resources"],
        outputs={name: each["Value"] for name, each in read.get("Outputs", {}).items()},
    )


def written(path: Path) -> dict[str, Any]:
    """All that is written in a template, its functions in their long form.

    Raises:
        Misconfigured: there is no such file, or it is not YAML.
    """
    try:
        read = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - derived from SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise Misconfigured(why=f"{path} cannot be read as a template: {error}") from error
    if not isinstance(read, dict) or not isinstance(read.get("Resources"), dict):
        raise Misconfigured(why=f"{path} has no Resources.")
    return read


def resolve(written: Any, values: Mapping[str, str], reference: Reference) -> Any:
    """What is written, with its intrinsic functions worked out.

    Args:
        values: of parameters and pseudo parameters.
        reference: asked for everything else.

    Raises:
        Misconfigured: a function is not known here.
    """

    def named(name: str) -> str:
        resource, _, attribute = name.partition(".")
        return values[name] if name in values else reference(resource, attribute or None)

    functions: Mapping[str, Callable[[Any], str]] = {
        "Ref": named,
        "Fn::GetAtt": lambda name: named(name if isinstance(name, str) else ".".join(name)),
        "Fn::Sub": lambda text: re.sub(r"\$\{([^!}][^}]*)\}", lambda match: named(match[1]), text),
        "Fn::Join": lambda parts: parts[0].join(worked_out(parts[1])),
    }

    def worked_out(node: Any) -> Any:
        if isinstance(node, list):
            return [worked_out(each) for each in node]
        if not isinstance(node, dict):
            return node
        function = next((name for name in node if name == "Ref" or str(name).startswith("Fn::")), None)
        if function is None:
            return {name: worked_out(each) for name, each in node.items()}
        if function not in functions or (function == "Fn::Sub" and not isinstance(node[function], str)):
            raise Misconfigured(why=f"The local stack cannot work out {function} as written in {node!r}.")
        return functions[function](node[function])

    return worked_out(written)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Sub x` reads as {"Fn::Sub": x}."""


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
