"""A client of Access Worldpay's tokens, written with the requests library. The only URL that it knows is the base.

Usage: client.py DEV_JSON ACCOUNTS_JSON    (of an instance that was started with --tcp)

ACCOUNTS_JSON has the credentials of two more merchants: "live", which does business, and "suspended". Where the vendor's
OpenAPI files are at hand (a directory named in PANVAULT_CONTRACTS), every answer is held against their schemas.
"""

import itertools
import json
import os
import re
import sys
import urllib.parse
import uuid

import requests

import schemas

TOKENS = "application/vnd.worldpay.tokens-v3.hal+json"
VERIFIED = "application/vnd.worldpay.verified-tokens-v3.hal+json"
CARD = "4444333322221111"
ADDRESS = {"address1": "221B Baker Street", "address2": "Marylebone", "address3": "Westminster", "postalCode": "NW1 6XE",
           "city": "London", "state": "Greater London", "countryCode": "GB"}


# ids of requests, the same in every run
NAMES = (str(uuid.uuid5(uuid.NAMESPACE_URL, str(count))) for count in itertools.count())


def expect(condition, said):
    if not condition:
        raise AssertionError(said)


def equal(found, expected, said=""):
    expect(found == expected, f"{found!r} is not {expected!r} {said}")


class Account:
    """A credential. Follows links; checks what holds of every answer."""

    documents = None

    def __init__(self, username, password):
        self.session = requests.Session()
        self.session.headers.pop("Accept")
        self.session.auth = (username, password) if username else None

    def call(self, method, url, status, body=None, media=TOKENS, **headers):
        own, data = next(NAMES), None
        sent = {"Accept": media, "WP-CorrelationId": own}
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["Content-Type"] = media
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        sent = {name: value for name, value in sent.items() if value is not None}
        answer = self.session.request(method, url, data=data, headers=sent, timeout=30, allow_redirects=False)
        said = f"{method} {url}: {answer.status_code} {answer.text}"
        equal(answer.status_code, status, said)
        equal(answer.headers["WP-CorrelationId"], own, said)
        content = answer.json() if answer.content else None
        if status == 204:
            equal(content, None, said)
        if status >= 400 and status != 409:
            expect(list(content)[:2] == ["errorName", "message"], said)
            expect(all(isinstance(content[name], str) and content[name] for name in list(content)[:2]), said)
            for fault in content.get("validationErrors", []):
                equal(list(fault), ["errorName", "message", "jsonPath"], said)
                expect(fault["jsonPath"].startswith("$"), said)
        if "masked=false" not in sent.get("Accept", ""):
            expect(CARD not in answer.text, said)
        if self.documents:
            self.documents.check(method.lower(), urllib.parse.urlsplit(url).path, status, content)
        return Answer(answer, content)

    def get(self, url, status=200, **more):
        return self.call("GET", url, status, **more)

    def put(self, url, body=None, status=204, **more):
        return self.call("PUT", url, status, body, **more)

    def post(self, url, body, status=201, **more):
        return self.call("POST", url, status, body, **more)

    def delete(self, url, status=204, **more):
        return self.call("DELETE", url, status, **more)


class Answer:
    def __init__(self, answer, content):
        self.headers, self.content = answer.headers, content

    def __getitem__(self, name):
        return self.content[name]

    def link(self, rel):
        expect(rel in self.content["_links"], f"no link {rel} in {self.content}")
        return self.content["_links"][rel]["href"]

    def refused(self, name):
        equal(self.content["errorName"], name, self.content)


def card(number=CARD, **changes):
    instrument = {"type": "card/front", "cardHolderName": "Sherlock Holmes", "cardNumber": number,
                  "cardExpiryDate": {"month": 5, "year": 2035}, "billingAddress": ADDRESS}
    instrument.update(changes)
    return {"description": "Test Token Description", "paymentInstrument": instrument, "merchant": {"entity": "default"}}


def walk(base, shop, detokenizer):
    """Discovery to deletion, by links alone."""
    entry = Account(None, None).get(base)
    tokens = shop.get(entry.link("service:tokens")).link("tokens:tokens")

    body = {**card(), "namespace": "python-shop"}
    made = shop.post(tokens, body)
    href = made.link("tokens:token")
    equal(made["tokenPaymentInstrument"], {"type": "card/tokenized", "href": href})
    equal(made.headers["Location"], href)
    equal(made["paymentInstrument"]["cardNumber"], "4444********1111")
    again = shop.post(tokens, body, 200)
    equal(again.content, made.content)
    equal(again.headers["Location"], href)

    # a conflict, looked at and taken over
    other = {**card(cardHolderName="Mycroft Holmes", cardExpiryDate={"month": 6, "year": 2036}),
             "namespace": body["namespace"]}
    conflict = shop.post(tokens, other, 409)
    equal(conflict.headers["Location"], href)
    equal(conflict["conflicts"]["paymentInstrument"],
          {"cardHolderName": "Mycroft Holmes", "cardExpiryDate": {"month": 6, "year": 2036}})
    link = conflict.link("tokens:conflicts")
    equal(shop.get(link)["conflicts"], conflict["conflicts"])
    shop.put(link)
    shop.get(link, 404).refused("resourceNotFound")
    equal(shop.get(href)["paymentInstrument"]["cardHolderName"], "Mycroft Holmes")

    # a conflict, member by member
    conflict = shop.get(shop.post(tokens, body, 409).link("tokens:conflicts"))
    for member, value in conflict["conflicts"]["paymentInstrument"].items():
        shop.put(conflict.link(f"tokens:{member}"), value)
    equal(shop.post(tokens, body, 200).content, made.content)

    # everything that can be changed
    changes = {"tokens:description": ("description", "new description"),
               "tokens:schemeTransactionReference": ("schemeTransactionReference", "000000000000020005060720116005060"),
               "tokens:cardHolderName": ("cardHolderName", "new name"),
               "tokens:cardExpiryDate": ("cardExpiryDate", {"month": 1, "year": 2050}),
               "tokens:billingAddress": ("billingAddress", {**ADDRESS, "city": "Leeds"})}
    for rel, (_, value) in changes.items():
        shop.put(made.link(rel), value)
    now = shop.get(href)
    for name, value in changes.values():
        equal(now.content.get(name, now["paymentInstrument"].get(name)), value)

    # found again
    for query in ({"namespace": body["namespace"]}, {"tokenId": made["tokenId"], "namespace": body["namespace"]}):
        found = shop.get(f"{tokens}?{urllib.parse.urlencode(query)}")
        equal(found["_embedded"]["tokens"], [now.content])
    shop.get(f"{tokens}?tokenId={made['tokenId']}", 404).refused("resourceNotFound")

    # in the clear, for those who may
    clear = f"{TOKENS}; masked=false"
    shown = detokenizer.get(href, Accept=clear)
    equal((shown["paymentInstrument"]["type"], shown["paymentInstrument"]["cardNumber"]), ("card/front", CARD))
    found = detokenizer.get(f"{tokens}?namespace={body['namespace']}", Accept=clear)
    equal([one["paymentInstrument"]["cardNumber"] for one in found["_embedded"]["tokens"]], [CARD])
    shop.get(href, 403, Accept=clear).refused("accessDenied")
    detokenizer.get(href, 403).refused("accessDenied")

    # verified, found by links as well
    service = shop.get(entry.link("service:verifiedTokens"), media=VERIFIED)
    plain = {**card("4000000000001000", type="card/plain", cvc="123"), "verificationCurrency": "GBP"}
    made_verified = shop.post(service.link("verifiedTokens:cardOnFile"), plain, media=VERIFIED)
    equal(made_verified["_embedded"]["verification"]["outcome"], "verified")
    token = made_verified["_embedded"]["token"]
    equal(shop.get(token["_links"]["tokens:token"]["href"]).content, token)
    shop.delete(token["_links"]["tokens:token"]["href"])

    shop.delete(href, Accept=None)
    shop.delete(href, 404).refused("resourceNotFound")
    shop.get(href, 404).refused("resourceNotFound")
    again = shop.post(tokens, body)
    expect(again.link("tokens:token") != href, "a deleted token came back")
    return entry, tokens


def documented(entry, tokens, shop, live, suspended):
    """Each status that the vendor documents, so that each schema is met."""
    made = shop.post(tokens, card("4000000000002701"))
    href = made.link("tokens:token")
    equal(made["paymentInstrument"]["brand"], "VISA")
    shop.post(tokens, card("4000000000002701"), 200)
    shop.post(tokens, card("4000000000002701", cardHolderName="Mycroft"), 409)
    wrong = card(cardExpiryDate={"month": 13, "year": 2035}, billingAddress={**ADDRESS, "address2": CARD})
    faults = shop.post(tokens, {**wrong, "description": ""}, 400)["validationErrors"]
    equal(sorted(fault["errorName"] for fault in faults),
          ["billingAddressMightContainCardNumber", "fieldHasInvalidValue", "stringIsTooShort"])
    shop.post(tokens, b"{", 400).refused("bodyIsNotJson")
    shop.post(tokens, b"", 400).refused("bodyIsEmpty")
    shop.post(tokens, card("7777777777777771"), 422).refused("unrecognizedCardBrand")
    for number in range(16):
        shop.post(tokens, {**card(numbered(number)), "namespace": "python-full"})
    shop.post(tokens, {**card(numbered(16)), "namespace": "python-full"}, 403).refused("tooManyTokensForNamespace")
    suspended.post(tokens, card(), 500).refused("tokenizationNotEnabled")
    suspended.get(href, 500).refused("tokenizationNotEnabled")
    Account(None, None).get(href, 401).refused("unauthorized")
    shop.get(made.link("tokens:description"), 405).refused("methodNotAllowed")
    shop.delete(made.link("tokens:description"), 405).refused("methodNotAllowed")
    shop.get(f"{href}A", 404).refused("resourceNotFound")
    for count in range(50):
        shop.put(made.link("tokens:description"), f"new {count}")
    shop.put(made.link("tokens:cardHolderName"), "one more", 429).refused("maximumUpdatesExceeded")

    network = f"{tokens}/network"
    plain = card("4000000000001000")
    provisioned = shop.post(network, plain, 200)
    number = provisioned["tokenPaymentInstrument"]["tokenNumber"]
    expect(re.fullmatch(r"\d{13,19}", number) and number != "4000000000001000", number)
    shown = shop.get(provisioned.link("tokens:networkTokenLookup"))
    cryptogram = shop.post(shown.link("tokens:networkTokenCryptogram"), {"tokenNumber": number}, 200)
    expect(cryptogram["cryptogramDetails"]["cryptogram"], cryptogram.content)
    refused = shop.post(network, card(numbered(200), cardExpiryDate={"month": 3, "year": 2038}), 200)
    expect(refused["provisioningErrors"] and "tokenPaymentInstrument" not in refused.content, refused.content)
    shop.get(refused.link("tokens:networkTokenLookup"))
    pending = shop.post(network, card(numbered(201), cardExpiryDate={"month": 4, "year": 2038}), 200)
    expect("tokenPaymentInstrument" not in pending.content, pending.content)
    equal(shop.get(pending.link("tokens:networkTokenLookup"))["tokenPaymentInstrument"]["status"], "Active")
    tokenized = {"paymentInstrument": {"type": "card/tokenized", "href": href}, "merchant": {"entity": "default"}}
    shop.post(network, tokenized, 200)
    shop.post(network, card("4000000000001001"), 400).refused("bodyDoesNotMatchSchema")
    Account(None, None).post(network, plain, 401).refused("unauthorized")
    live.post(network, plain, 403).refused("nptConfigurationError")
    suspended.post(network, plain, 500).refused("tokenizationNotEnabled")
    shop.delete(f"{network}/x", 400).refused("fieldHasInvalidValue")
    live.delete(f"{network}/{number}", 403).refused("nptConfigurationError")
    shop.delete(f"{network}/{number}", 406, Accept="application/json").refused("headerHasInvalidValue")
    shop.delete(f"{network}/{number}")
    shop.delete(f"{network}/{number}", 404).refused("networkProviderError")

    service = shop.get(entry.link("service:verifiedTokens"), media=VERIFIED)
    for at, kind in enumerate(("cardOnFile", "oneTime")):
        url = service.link(f"verifiedTokens:{kind}")
        own = {**card(numbered(100 + at), type="card/plain", cvc="123"), "verificationCurrency": "GBP"}
        shop.post(url, own, 201, media=VERIFIED)
        shop.post(url, own, 200, media=VERIFIED)
        own["paymentInstrument"]["cardHolderName"] = "Mycroft"
        expect("conflicts" in shop.post(url, own, 409, media=VERIFIED)["_embedded"]["token"], "no conflicts")
        own["paymentInstrument"]["cardExpiryDate"] = {"month": 5, "year": 2039}
        said = shop.post(url, own, 206, media=VERIFIED)["_embedded"]["verification"]
        equal(said["outcome"], "not verified")
        expect(said["code"] and said["description"], said)


def numbered(count):
    """A Visa number, with its check digit."""
    body = f"400053{count:09}"
    doubled = [int(digit) * (2 - at % 2) for at, digit in enumerate(reversed(body))]
    return f"{body}{-sum(digit // 10 + digit % 10 for digit in doubled) % 10}"


def main():
    dev, accounts = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:3])
    Account.documents, reason = schemas.load(os.environ.get("PANVAULT_CONTRACTS", ""))
    login = dev["worldpay"]
    shop = Account(login["username"], login["password"])
    detokenizer = Account(login["detokenize_username"], login["detokenize_password"])
    live, suspended = (Account(**accounts[name]) for name in ("live", "suspended"))
    entry, tokens = walk(f"http://{dev['tcp']}/", shop, detokenizer)
    documented(entry, tokens, shop, live, suspended)
    if reason:
        print(f"schemas: not checked: {reason}")
    else:
        # no provider is there to fail, and what a POST to the right place may lack is a fault of its body
        unmet = {("/tokens/network/{id}", 500), ("/tokens/network/{id}", 503), ("/tokens/network", 404)}
        unseen = [key for key in Account.documents.unseen() if key[1:] not in unmet]
        equal(unseen, [], "documented answers that were not met")
        print(f"schemas: {Account.documents.checked} answers fit the vendor's")
    print("all steps done")


main()
