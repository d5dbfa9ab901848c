"""A client of Hyperswitch's vault API, version 2, with the standard library alone.

Usage: client.py DEV_JSON    (of an instance that was started with --tcp)

Where the OpenAPI documents are at hand (a directory named in PANVAULT_CONTRACTS), every request that succeeds and its answer
are held against the schemas of both generations.
"""

import http.client
import json
import os
import sys

import schemas


def equal(found, expected, said=""):
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r} {said}")


class Shop:
    def __init__(self, dev, documents):
        self.host = dev["tcp"]
        self.own = dev["hyperswitch"]
        self.documents = documents

    def call(self, method, path, body=None, status=200, newer=True, guest=None):
        key = self.own["api_key"]
        headers = {"Content-Type": "application/json", "X-Profile-Id": self.own["profile_id"]}
        headers.update({"Authorization": f"api-key={key}"} if newer else {"api-key": key})
        if guest:
            headers = {**headers, "Authorization": guest}
            headers.pop("api-key", None)
        connection = http.client.HTTPConnection(self.host, timeout=30)
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        said = f"{method} {path}: {answer.status} {content}"
        equal(answer.status, status, said)
        equal(answer.headers["Content-Type"], "application/json", said)
        if status >= 400:
            equal(set(content), {"error"}, said)
        elif self.documents:
            self.documents.check(method.lower(), path.partition("?")[0], body, content)
        return content


ADDRESS = {"line1": "1467", "line2": "Harrison Street", "line3": "Harrison Street", "city": "San Fransico",
           "state": "California", "zip": "94122", "country": "US", "first_name": "joseph", "last_name": "Doe"}


def method(customer, **more):
    card = {"card_number": "4111111145551142", "card_exp_month": "10", "card_exp_year": "35",
            "card_holder_name": "John Doe", "nick_name": "John Doe", "card_issuing_country": "AF", "card_network": "Visa",
            "card_issuer": "Bank", "card_type": "credit", "card_cvc": "242"}
    card.update(more.pop("card", {}))
    return {"payment_method_type": "card", "payment_method_subtype": "credit", "metadata": {}, "customer_id": customer,
            "payment_method_data": {"card": card},
            "billing": {"address": ADDRESS, "phone": {"number": "9123456789", "country_code": "+1"},
                        "email": "abc@gmail.com"}, **more}


def walk(shop, prefix, newer):
    call = lambda verb, path, body=None, status=200: shop.call(verb, prefix + path, body, status, newer)
    customer = call("POST", "/customers", {
        "merchant_reference_id": f"python{prefix}{newer}", "name": "John Doe", "email": "guest@example.com", "phone": "999999999",
        "phone_country_code": "+65", "description": "First customer", "default_billing_address": ADDRESS,
        "default_shipping_address": ADDRESS, "metadata": {"udf1": "value1"}, "tax_registration_id": "123456789",
        "document_details": {"document_type": "cpf", "document_number": "12345678911"}})["id"]
    call("GET", f"/customers/{customer}")
    call("PUT", f"/customers/{customer}", {"name": "Jane Doe", "email": "jane@example.com"})
    call("GET", "/customers/list")

    storage = {"storage_type": "persistent"} if newer else {}
    made = call("POST", "/payment-methods", method(customer, **storage))
    equal(made["card_cvc_token_storage"]["is_stored"], True)
    again = call("POST", "/payment-methods", method(customer, **storage))
    equal(again["id"], made["id"])
    network = call("POST", "/payment-methods", method(
        customer, card={"card_exp_month": "11"}, network_tokenization={"enable": "Enable"}, **storage))
    equal(network["network_token"]["payment_method_data"]["card_network"], "Visa")
    if not newer:
        asked = {"tokenization_type": "single_use", "connector_id": shop.own["connector_id"]}
        call("POST", "/payment-methods", method(customer, card={"card_exp_month": "12"}, psp_tokenization=asked))
    for each in (made, network):
        call("GET", f"/payment-methods/{each['id']}")
        raw = call("GET", f"/payment-methods/{each['id']}?fetch_raw_detail=true")
        equal("4111111145551142" in json.dumps(raw), True)
    verb = "PUT" if newer else "PATCH"
    card = {"card_holder_name": "joseph", "nick_name": "some_name11"}
    update = {"payment_method_data": {"card": {**card, "card_cvc": "737"} if newer else card},
              "connector_token_details": {"token": "pm_9UhMqBMEOooRIvJFFdeW", "connector_token_request_reference_id": "r"}}
    updated = call(verb, f"/payment-methods/{made['id']}/update-saved-payment-method", update)
    equal(updated["connector_tokens"][0]["token"], "pm_9UhMqBMEOooRIvJFFdeW")
    saved = call("GET", f"/customers/{customer}/saved-payment-methods")["customer_payment_methods"]
    equal({each["id"] for each in saved} >= {made["id"], network["id"]}, True)
    if newer:
        shop.call("POST", f"/v1/{customer}/payment-methods/{made['id']}/default")
        call("GET", f"/customers/reference/python{prefix}{newer}".replace(f"python{prefix}", "python" + prefix.replace("/", "%2F")))
        call("POST", "/payment-methods", method(customer, storage_type="volatile"))
    intent = call("POST", "/payment-methods/create-intent", {"customer_id": customer, "metadata": {}, "billing": None})["id"]
    call("POST", f"/payment-methods/{intent}/confirm-intent", {
        "payment_method_type": "card", "payment_method_subtype": "credit",
        "payment_method_data": method(customer, card={"card_exp_year": "36"})["payment_method_data"]})
    browse(shop, prefix, newer, customer)
    equal(call("DELETE", f"/payment-methods/{made['id']}"), {"id": made["id"]})
    call("DELETE", f"/payment-methods/{made['id']}", status=400)
    call("DELETE", f"/customers/{customer}")


def browse(shop, prefix, newer, customer):
    """What a customer's browser does."""
    storage = {"storage_type": "persistent"} if newer else {}
    session = shop.call("POST", f"{prefix}/payment-method-sessions", {
        "customer_id": customer, "expires_in": 900, "return_url": "https://example.com", **storage}, newer=newer)
    shop.call("GET", f"{prefix}/payment-method-sessions/{session['id']}", newer=newer)
    guest = session["sdk_authorization"] if newer else (
        f"publishable-key={session['publishable_key']},client-secret={session['client_secret']}")
    call = lambda verb, path, body=None: shop.call(
        verb, f"{prefix}/payment-method-sessions/{session['id']}{path}", body, guest=guest)
    card = method(customer, card={"card_exp_year": "37"})["payment_method_data"]["card"]
    done = call("POST", "/confirm", {"payment_method_type": "card", "payment_method_subtype": "credit",
                                     "payment_method_data": {"card": card}})
    token = done["associated_payment_methods"][0]["payment_method_token"]
    equal(token["type"], "payment_method_session_token")
    listed = call("GET", "/list-payment-methods")["customer_payment_methods"]
    equal(token["data"] in [each["payment_method_token"] for each in listed], True)
    if newer:
        shop.call("GET", f"{prefix}/payment-methods/token/{token['data']}/details")
    own = next(each["id"] for each in listed if each["payment_method_token"] == token["data"])
    name = {"payment_method_token": token["data"]} if newer else {"payment_method_id": own}
    call("PUT", "/update-saved-payment-method", {**name, "payment_method_data": {"card": {"card_holder_name": "joseph"}}})
    equal(call("DELETE", "", name)["id"], own)


def main():
    dev = json.load(open(sys.argv[1], encoding="utf-8"))
    documents, reason = schemas.load(os.environ.get("PANVAULT_CONTRACTS", ""))
    if documents is None:
        print(f"schemas: not checked: {reason}")
    shop = Shop(dev, documents)
    for prefix, newer in (("/v2", True), ("/v1", True), ("/v2", False)):
        walk(shop, prefix, newer)
    if documents:
        print(f"schemas: {documents.requests} requests and {documents.answers} answers fit")
        missing = schemas.EXPECTED - documents.seen
        equal(missing, set(), "these were never held against a schema")
    print("all steps done")


main()
