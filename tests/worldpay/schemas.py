"""The vendor's OpenAPI 3.0 files as validators of answers."""

import datetime
import os
import re

FILES = ["worldpay-tokens.openapi.yaml", "worldpay-verified-tokens.openapi.yaml"]
METHODS = ["get", "put", "post", "delete"]


def load(directory):
    """All files of the directory, or (None, why not)."""
    try:
        import jsonschema
        import yaml
    except ImportError as error:
        return None, f"needs the Python library {error.name}"
    missing = [name for name in FILES if not os.path.exists(os.path.join(directory, name))]
    if missing:
        return None, f"no {', '.join(missing)} here; name their directory in PANVAULT_CONTRACTS"
    # strings as they are: the files have dates that are meant as text
    documents = []
    for name in FILES:
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            documents.append(yaml.load(file, Loader=yaml.BaseLoader))
    return Schemas(documents, jsonschema), None


class Schemas:
    def __init__(self, documents, jsonschema):
        self.operations, self.seen, self.checked = {}, set(), 0
        checker = jsonschema.FormatChecker(formats=())
        checker.checks("date-time", raises=ValueError)(is_date_time)
        for document in documents:
            for path, item in document["paths"].items():
                for method in set(item) & set(METHODS):
                    for status, response in item[method]["responses"].items():
                        contents = list(response.get("content", {}).values())
                        schema = contents[0].get("schema") if contents else None
                        validator = None
                        if schema is not None:
                            schema = converted(resolved(schema, document, ()))
                            # the dialect of JSON schema that OpenAPI 3.0 is made of
                            jsonschema.Draft4Validator.check_schema(schema)
                            validator = jsonschema.Draft4Validator(schema, format_checker=checker)
                        self.operations[method, path, int(status)] = (validator, bool(contents))

    def path(self, method, place):
        """The documented path that a path is an instance of; plain segments go first."""
        own = place.split("/")
        fitting = []
        for other, path, _ in self.operations:
            parts = path.split("/")
            if other == method and len(parts) == len(own):
                if all(part == got or part.startswith("{") for part, got in zip(parts, own)):
                    fitting.append((path.count("{"), path))
        return min(fitting)[1] if fitting else None

    def check(self, method, place, status, body):
        """Holds an answer against the schema of its operation and status, where there is one."""
        if place == "/tokens" and method == "get":
            # the query is in no file of ours: each token is held against the schema of one
            for token in body.get("_embedded", {}).get("tokens", []):
                self.check("get", "/tokens/x", 200, token)
            return
        path = self.path(method, place)
        key = method, path, status
        if key not in self.operations:
            return
        self.seen.add(key)
        validator, has_body = self.operations[key]
        if not has_body:
            if body is not None:
                raise AssertionError(f"{key}: a body where none is documented: {body}")
            return
        if validator is None:
            return
        faults = [f"{list(fault.absolute_path)}: {fault.message}" for fault in validator.iter_errors(body)]
        if faults:
            raise AssertionError(f"{key}: {body} does not fit the vendor's schema: {faults}")
        self.checked += 1

    def unseen(self):
        return sorted(set(self.operations) - self.seen)


def resolved(schema, document, above):
    """The schema with what it refers to in the place of the reference."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in above:
                raise ValueError(f"{reference} refers to itself")
            target = document
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]
            return resolved(target, document, (*above, reference))
        return {name: resolved(value, document, above) for name, value in schema.items()}
    if isinstance(schema, list):
        return [resolved(value, document, above) for value in schema]
    return schema


def converted(schema):
    """JSON schema from OpenAPI's: only what it constrains, `nullable` as a type, the file's `bool` as the boolean it means."""
    if not isinstance(schema, dict):
        return {}
    out = {}
    for name, value in schema.items():
        if name == "properties":
            out[name] = {key: converted(inner) for key, inner in value.items()}
        elif name in ("items", "not"):
            out[name] = converted(value)
        elif name in ("allOf", "anyOf", "oneOf"):
            out[name] = [converted(inner) for inner in value]
        elif name == "additionalProperties":
            out[name] = converted(value) if isinstance(value, dict) else value == "true"
        elif name in ("minLength", "maxLength", "minItems", "maxItems"):
            out[name] = int(value)
        elif name in ("minimum", "maximum"):
            out[name] = float(value)
        elif name in ("required", "enum", "pattern", "format"):
            out[name] = value
        elif name == "type":
            out[name] = "boolean" if value == "bool" else value
        elif name not in ("description", "example", "title", "discriminator", "nullable", "default", "readOnly"):
            raise ValueError(f"a word of schemas that is not known here: {name}")
    if schema.get("nullable") == "true" and "type" in out:
        out["type"] = [out["type"], "null"]
    return out


def is_date_time(value):
    if not isinstance(value, str):
        return True
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value):
        return False
    datetime.datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S")
    return True
