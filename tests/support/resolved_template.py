"""The template with its parameters, conditions and functions resolved, without a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.local.template import load_template, resolve
from tests.support.paths import TEMPLATE

WRITTEN = load_template(TEMPLATE)
PSEUDO = {
    "AWS::StackName": "stack",
    "AWS::AccountId": "111122223333",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
NOTHING = "AWS::NoValue"


class Template:
    """The resources that a deployment of template.yaml with these parameters would have."""

    def __init__(self, **parameters: str) -> None:
        defaults = {name: str(each["Default"]) for name, each in WRITTEN["Parameters"].items()}
        self.values = {**defaults, **parameters, **PSEUDO}
        self.resources: dict[str, dict[str, Any]] = {
            name: self._resolved(each)
            for name, each in WRITTEN["Resources"].items()
            if "Condition" not in each or self._holds(each["Condition"])
        }
        self.globals = self._resolved(WRITTEN["Globals"]["Function"])
        self.outputs = {name: self._resolved(each["Value"]) for name, each in WRITTEN["Outputs"].items()}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The properties of all resources of this type, by logical name."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == kind}

    def environment(self) -> dict[str, str]:
        return dict(self.globals["Environment"]["Variables"])

    def _resolved(self, node: Any) -> Any:
        return resolve(self._chosen(node), {**self.values, NOTHING: NOTHING}, self._refer)

    def _refer(self, name: str, attribute: str | None) -> str:
        resource = WRITTEN["Resources"].get(name)
        assert resource is not None, f"{name} is no resource"
        assert "Condition" not in resource or self._holds(resource["Condition"]), (
            f"{name} is referred to where it is not made"
        )
        return f"{name}.{attribute}" if attribute else name

    def _chosen(self, node: Any) -> Any:
        """The node with each Fn::If decided, and without entries that are AWS::NoValue."""
        if isinstance(node, list):
            return [each for each in map(self._chosen, node) if each != {"Ref": NOTHING}]
        if not isinstance(node, dict):
            return node
        if "Fn::If" in node:
            condition, then, otherwise = node["Fn::If"]
            return self._chosen(then if self._holds(condition) else otherwise)
        chosen = {name: self._chosen(each) for name, each in node.items()}
        return {name: each for name, each in chosen.items() if each != {"Ref": NOTHING}}

    def _holds(self, condition: str | Mapping[str, Any]) -> bool:
        if isinstance(condition, str):
            return self._holds(WRITTEN["Conditions"][condition])
        ((function, of),) = condition.items()
        match function:
            case "Condition":
                return self._holds(of)
            case "Fn::Equals":
                one, other = (str(resolve(each, self.values, self._refer)) for each in of)
                return one == other
            case "Fn::Not":
                return not self._holds(of[0])
            case "Fn::And":
                return all(map(self._holds, of))
        raise AssertionError(function)


def statements(template: Template) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each statement of a policy, with the name of the role or policy resource that has it."""
    for name, role in template.of("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for each in policy["PolicyDocument"]["Statement"]:
                yield name, each
    for name, policy in template.of("AWS::IAM::Policy").items():
        for each in policy["PolicyDocument"]["Statement"]:
            yield name, each


def listed(value: str | list[str]) -> list[str]:
    """The value as a list: a policy may give one value or several."""
    return [value] if isinstance(value, str) else value
