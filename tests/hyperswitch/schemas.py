"""The vendor's OpenAPI 3.0 documents as validators of requests and answers."""

import json
import os

FILES = ["hyperswitch-v2-vault.openapi.json", "hyperswitch-v2-vault.2025-11.openapi.json"]

# what every walk must have held against a schema
EXPECTED = {
    "post /customers", "get /customers/{id}", "put /customers/{id}", "delete /customers/{id}", "get /customers/list",
    "post /payment-methods", "get /payment-methods/{id}", "delete /payment-methods/{id}",
    "put /payment-methods/{id}/update-saved-payment-method", "patch /payment-methods/{id}/update-saved-payment-method",
    "post /payment-methods/create-intent", "post /payment-methods/{id}/confirm-intent",
    "post /payment-method-sessions", "get /payment-method-sessions/{id}", "delete /payment-method-sessions/{id}",
    "get /payment-method-sessions/{id}/list-payment-methods", "post /payment-method-sessions/{id}/confirm",
    "put /payment-method-sessions/{id}/update-saved-payment-method",
    "get /payment-methods/token/{payment_method_temporary_token}/details",
    "get /customers/{id}/saved-payment-methods", "post /{customer_id}/payment-methods/{payment_method_id}/default",
}

# What answers otherwise by now: the older document has these answer with the payment method, the newer with the session.
CHANGED = {(1, "post /payment-method-sessions/{id}/confirm"),
           (1, "put /payment-method-sessions/{id}/update-saved-payment-method")}

# Members that the documents call required and not nullable, though the router that they describe says null there (its type
# is an Option): an answer without them is what the schema has in mind.
MAY_BE_NULL = {"network_transaction_id", "raw_payment_method_data", "merchant_reference_id", "card_cvc"}


def load(directory):
    """All documents of the directory, or (None, why not)."""
    try:
        import jsonschema
    except ImportError as error:
        return None, f"needs the Python library {error.name}"
    missing = [name for name in FILES if not os.path.exists(os.path.join(directory, name))]
    if missing:
        return None, f"no {', '.join(missing)} here; name their directory in PANVAULT_CONTRACTS"
    documents = [json.load(open(os.path.join(directory, name), encoding="utf-8")) for name in FILES]
    return Schemas(documents, jsonschema), None


class Schemas:
    def __init__(self, documents, jsonschema):
        self.jsonschema, self.operations = jsonschema, []
        self.seen, self.requests, self.answers = set(), 0, 0
        for number, document in enumerate(documents):
            for path, item in document["paths"].items():
                for method, operation in item.items():
                    if method in ("get", "put", "post", "delete", "patch"):
                        self.operations.append((method, path, operation, document, number))

    def check(self, method, place, request, answer):
        """Holds a request that succeeded and its answer against each document that has the operation. The request must fit
        one of them: members came and went."""
        own = place.split("/")
        fitting, faults = False, []
        for other, path, operation, document, number in self.operations:
            parts = path.split("/")
            if other != method or len(parts) != len(own):
                continue
            if not all(part == got or part.startswith("{") for part, got in zip(parts, own)):
                continue
            if "list" in own and "list" not in parts:
                continue
            schema = self.json(operation.get("requestBody"))
            if schema is not None and request is not None:
                found = self.faults(schema, document, request)
                faults += found
                fitting = fitting or not found
                self.requests += not found
            else:
                fitting = True
            schema = self.json(operation["responses"].get("200"))
            name = method + " " + path.removeprefix("/v1").removeprefix("/v2")
            if schema is not None and (number, name) not in CHANGED:
                found = self.faults(schema, document, answer)
                if found:
                    raise AssertionError(f"{method} {path}: {answer} does not fit document {number}: {found}")
                self.answers += 1
                self.seen.add(name)
        if not fitting and faults:
            raise AssertionError(f"{method} {place}: {request} fits no document: {faults}")

    def json(self, part):
        return (part or {}).get("content", {}).get("application/json", {}).get("schema")

    def faults(self, schema, document, value):
        whole = converted(schema, document, ())
        validator = self.jsonschema.Draft4Validator(whole)
        return [f"{list(fault.absolute_path)}: {fault.message[:300]}" for fault in validator.iter_errors(value)]


def converted(schema, document, above):
    """JSON schema from OpenAPI's: references in their place, `nullable` as a type that may be null."""
    if "$ref" in schema:
        reference = schema["$ref"]
        if above.count(reference) > 1:
            return {}
        target = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]
        return converted(target, document, (*above, reference))
    out = {}
    for name, value in schema.items():
        if name == "properties":
            out[name] = {key: member(key, inner, document, above) for key, inner in value.items()}
        elif name in ("items", "not"):
            out[name] = converted(value, document, above)
        elif name in ("allOf", "anyOf", "oneOf"):
            out[name] = [converted(inner, document, above) for inner in value]
            if name == "allOf" and len(value) > 1:
                # a part that closes the object shuts out what the other parts have: the documents mean all of them
                out[name] = [{key: rule for key, rule in inner.items() if key != "additionalProperties"}
                             for inner in out[name]]
        elif name == "additionalProperties":
            out[name] = converted(value, document, above) if isinstance(value, dict) else value
        elif name in ("type", "enum", "required", "minLength", "maxLength", "minimum", "maximum"):
            out[name] = value
    if schema.get("nullable"):
        return {"anyOf": [{"type": "null"}, out]}
    return out


def member(name, schema, document, above):
    inner = converted(schema, document, above)
    return {"anyOf": [{"type": "null"}, inner]} if name in MAY_BE_NULL else inner
