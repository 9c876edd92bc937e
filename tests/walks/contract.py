"""Every answer that a client gets, held against the OpenAPI document of the service that gave it."""

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator


class Contract:
    """What one service's document says of answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.checked: set[str] = set()

    def check(self, response: httpx.Response) -> None:
        """For `event_hooks`: raises when the answer is not as documented."""
        response.read()
        request = response.request
        operation = self._operation(request.method.lower(), request.url.path)
        name = f"{operation['operationId']}: {response.status_code}"
        answers = operation["responses"]
        status = str(response.status_code)
        answer = answers.get(status) or answers.get(status[0] + "XX")
        assert answer, f"{name} is not documented"
        content = self._resolved(answer).get("content")
        if content is None:
            assert not response.content, f"{name} has a body"
            return
        media_type = response.headers["content-type"].split(";")[0]
        described = content.get(media_type, content.get("*/*"))
        assert described is not None, f"{name} has the media type {media_type}, not one of {list(content)}"
        schema = described.get("schema", {})
        if media_type.endswith(("/json", "+json")) and schema:
            self._validate(name, schema, response.json())
        for line in lines(media_type, response.text) if "contentSchema" in schema else []:
            self._validate(name, schema["contentSchema"]["items"], line)
        self.checked.add(operation["operationId"])

    def _validate(self, name: str, schema: dict[str, Any], value: Any) -> None:
        # References are into the document, so that it must be at hand under its own pointers.
        root = {"allOf": [schema], "components": self.document["components"]}
        faults = Draft202012Validator(root).iter_errors(value)
        told = [f"{fault.json_path}: {fault.message[-300:]}" for fault in faults]
        assert not told, f"{name}: {told[:3]} of {json.dumps(value)[:1000]}"

    def _operation(self, method: str, path: str) -> Any:
        # A path without parameters goes before those with, as the router has it.
        for template in sorted(self.document["paths"], key=lambda template: template.count("{")):
            pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
            if method in self.document["paths"][template] and re.fullmatch(pattern, path):
                return self.document["paths"][template][method]
        raise AssertionError(f"{method} {path} is not documented")

    def _resolved(self, thing: Any) -> Any:
        if "$ref" not in thing:
            return thing
        found: Any = self.document
        for part in thing["$ref"].split("/")[1:]:
            found = found[part]
        return found


def lines(media_type: str, text: str) -> list[Any]:
    """What a stream of lines or events holds."""
    if media_type == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines()]
    return [{"event": event, "data": data} for event, data in events(text)]


def events(text: str) -> list[tuple[str, Any]]:
    """Name and data of each server-sent event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found
