"""A merchant of the gateway: drives the public API over REST and name-value pairs with the requests library.

Usage: client.py DEV_JSON    (of an instance that was started with --tcp)
"""

import json
import sys
import urllib.parse

import requests

MASTERCARD = "5123450000000008"
VISA = "4508750015741019"


class Merchant:
    def __init__(self, base, entry):
        self.id, self.password = entry["merchant"], entry["password"]
        self.repository = entry["repository"]
        self.rest = f"{base}/api/rest/version/70/merchant/{self.id}"
        self.nvp_url = f"{base}/api/nvp/version/70"
        self.session = requests.Session()
        self.session.auth = (f"merchant.{self.id}", self.password)

    def call(self, method, path, status, body=None, **query):
        answer = self.session.request(method, f"{self.rest}/{path}", json=body, params=query, timeout=30)
        expect(answer.headers["Content-Type"].startswith("application/json"), answer.headers)
        expect(answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def nvp(self, operation, status, fields):
        login = {"merchant": self.id, "apiUsername": f"merchant.{self.id}", "apiPassword": self.password}
        answer = requests.post(self.nvp_url, data={"apiOperation": operation, **login, **fields}, timeout=30)
        expect(answer.status_code == status, f"{operation}: {answer.status_code} {answer.text}")
        return dict(urllib.parse.parse_qsl(answer.text, strict_parsing=True))


def expect(condition, said):
    if not condition:
        raise AssertionError(said)


def equal(found, expected, said=""):
    expect(found == expected, f"{found!r} is not {expected!r} {said}")


def challenge(shop, token):
    # Some clients send nothing first, and their credential only when they are asked for it.
    url = f"{shop.rest}/token/{token}"
    first = requests.get(url, timeout=30)
    equal(first.status_code, 401)
    expect(first.headers["WWW-Authenticate"].startswith("Basic realm="), first.headers)
    equal(first.json()["error"]["cause"], "INVALID_REQUEST")
    second = requests.get(url, auth=shop.session.auth, timeout=30)
    equal(second.status_code, 200)
    nvp = requests.post(shop.nvp_url, data={"merchant": shop.id, "apiOperation": "RETRIEVE_TOKEN", "token": token},
                        timeout=30)
    equal(nvp.status_code, 401)
    expect(nvp.headers["WWW-Authenticate"].startswith("Basic realm="), nvp.headers)


def card(number, month, year):
    return {"sourceOfFunds": {"type": "CARD", "provided": {"card": {
        "number": number, "expiry": {"month": month, "year": year}}}}}


def rest_tokens(shop):
    made = shop.call("POST", "token", 201, card(MASTERCARD, "5", "31"))
    equal(made["result"], "SUCCESS")
    equal(made["repositoryId"], shop.repository)
    equal(made["sourceOfFunds"]["provided"]["card"]["number"], "512345xxxxxx0008")
    token = made["token"]
    challenge(shop, token)
    update = {"sourceOfFunds": {"token": token, "provided": {"card": {"expiry": {"month": "1", "year": "39"}}}}}
    equal(shop.call("PUT", f"token/{token}", 201, update)["sourceOfFunds"]["provided"]["card"]["expiry"], "0139")
    kept = shop.call("GET", f"token/{token}", 200)
    equal((kept["status"], kept["sourceOfFunds"]["provided"]["card"]["expiry"]), ("VALID", "0139"))
    equal(kept["usage"]["lastUpdated"]["merchantId"], shop.id)

    # Pages, with tokens coming and going in between.
    own = {shop.call("POST", "token", 201, card(VISA, "2", "44"))["token"] for _ in range(9)}
    query = json.dumps({"EQ": ["sourceOfFunds.provided.card.expiry", "0244"]})
    page = shop.call("GET", "tokenSearch", 200, query=query, limit=2)
    seen, pages = [], 1
    while True:
        found = [one["token"] for one in page["page"]["token"]]
        expect(len(found) <= 2, found)
        seen += found
        if pages == 2:
            gone = next(one for one in own if one not in seen)
            shop.call("DELETE", f"token/{gone}", 200)
            own.remove(gone)
            shop.call("POST", "token", 201, card(VISA, "2", "44"))
        if "nextPage" not in page:
            break
        page = shop.call("GET", "tokenSearch", 200, nextPage=page["nextPage"])
        pages += 1
    # nine, less one, and the new one if it stands after the pages that were read
    expect(pages >= 4, f"{pages} pages")
    equal(len(seen), len(set(seen)), "a token twice")
    expect(own <= set(seen), own - set(seen))
    equal(shop.call("DELETE", f"token/{token}", 200), {"result": "SUCCESS"})
    gone = shop.call("GET", f"token/{token}", 400)
    equal((gone["result"], gone["error"]["cause"], gone["error"]["field"]), ("ERROR", "INVALID_REQUEST", "token"))


def rest_payment(shop):
    token = shop.call("POST", "token", 201, card(MASTERCARD, "1", "39"))["token"]
    order = "python/1 é"
    path = "order/" + urllib.parse.quote(order, safe="")
    money = {"amount": 100.00, "currency": "EUR"}
    authorize = {"apiOperation": "AUTHORIZE", "order": money, "billing": {},
                 "sourceOfFunds": {"token": token, "provided": {"card": {"securityCode": "100"}}}}
    first = shop.call("PUT", f"{path}/transaction/1", 201, authorize)
    equal((first["result"], first["response"]["gatewayCode"]), ("SUCCESS", "APPROVED"))
    equal(first["order"]["totalAuthorizedAmount"], 100)
    equal(first["sourceOfFunds"]["provided"]["card"]["expiry"], {"month": "1", "year": "39"})
    equal(shop.call("PUT", f"{path}/transaction/1", 201, authorize), first, "the same again")
    capture = {"apiOperation": "CAPTURE", "transaction": {"amount": "60.00", "currency": "EUR"},
               "sourceOfFunds": {"provided": {"card": {}}}}
    equal(shop.call("PUT", f"{path}/transaction/2", 201, capture)["order"]["status"], "PARTIALLY_CAPTURED")
    refund = {"apiOperation": "REFUND", "transaction": {"amount": 10.5, "currency": "EUR"}}
    equal(shop.call("PUT", f"{path}/transaction/3", 201, refund)["order"]["totalRefundedAmount"], 10.5)
    too_much = {"apiOperation": "REFUND", "transaction": {"amount": 1000, "currency": "EUR"}}
    equal(shop.call("PUT", f"{path}/transaction/4", 400, too_much)["error"]["field"], "transaction.amount")
    whole = shop.call("GET", path, 200)
    equal((whole["id"], whole["status"], whole["totalCapturedAmount"]), (order, "PARTIALLY_REFUNDED", 60))
    equal([one["transaction"]["type"] for one in whole["transaction"]], ["AUTHORIZATION", "CAPTURE", "REFUND"])
    equal(shop.call("GET", f"{path}/transaction/2", 200)["transaction"]["type"], "CAPTURE")
    declined = {"apiOperation": "PAY", "order": money, "sourceOfFunds": {"token": token, "provided": {"card": {
        "expiry": {"month": "5", "year": "39"}}}}}
    no = shop.call("PUT", "order/python-2/transaction/1", 201, declined)
    equal((no["result"], no["response"]["gatewayCode"]), ("FAILURE", "DECLINED"))


def nvp_tokens(shop):
    number, expiry = "sourceOfFunds.provided.card.number", "sourceOfFunds.provided.card.expiry"
    fields = {"sourceOfFunds.type": "CARD", number: VISA, f"{expiry}.month": "3", f"{expiry}.year": "45"}
    tokens = {shop.nvp("TOKENIZE", 201, fields)["token"] for _ in range(5)}
    equal(len(tokens), 5)
    token = min(tokens)
    update = {"token": token, "sourceOfFunds.token": token, f"{expiry}.month": "4", f"{expiry}.year": "45"}
    equal(shop.nvp("TOKENIZE", 201, update)[expiry], "0445")
    kept = shop.nvp("RETRIEVE_TOKEN", 200, {"token": token})
    equal((kept["result"], kept[expiry], kept[number]), ("SUCCESS", "0445", "450875xxxxxx1019"))
    by = {"OR": [{"EQ": [expiry, "0345"]}, {"EQ": [expiry, "0445"]}]}
    page = shop.nvp("SEARCH_TOKENS", 200, {"query": json.dumps(by), "limit": "2"})
    seen, pages = [], 1
    while True:
        seen += [page[name] for name in sorted(page) if name.startswith("page.token[") and name.endswith("].token")]
        if "nextPage" not in page:
            break
        page = shop.nvp("SEARCH_TOKENS", 200, {"nextPage": page["nextPage"]})
        pages += 1
    equal(sorted(seen), sorted(tokens))
    expect(pages >= 3, f"{pages} pages")
    equal(shop.nvp("DELETE_TOKEN", 200, {"token": token}), {"result": "SUCCESS"})
    gone = shop.nvp("RETRIEVE_TOKEN", 400, {"token": token})
    equal((gone["result"], gone["error.field"], gone["error.validationType"]), ("ERROR", "token", "INVALID"))
    return max(tokens)


def nvp_payment(shop, token):
    ids = {"order.id": "python nvp", "transaction.id": "1"}
    opened = {**ids, "order.amount": "20.00", "order.currency": "USD", "sourceOfFunds.token": token}
    first = shop.nvp("AUTHORIZE", 201, opened)
    equal((first["result"], first["order.status"]), ("SUCCESS", "AUTHORIZED"))
    equal(shop.nvp("AUTHORIZE", 201, opened), first, "the same again")
    money = {"transaction.amount": "20.00", "transaction.currency": "USD"}
    equal(shop.nvp("CAPTURE", 201, {**ids, **money, "transaction.id": "2"})["order.status"], "CAPTURED")
    equal(shop.nvp("REFUND", 201, {**ids, **money, "transaction.id": "3"})["order.status"], "REFUNDED")
    whole = shop.nvp("RETRIEVE_ORDER", 200, {"order.id": ids["order.id"]})
    equal((whole["status"], whole["transaction[2].transaction.type"]), ("REFUNDED", "REFUND"))


def main():
    dev = json.load(open(sys.argv[1]))
    base = f"http://{dev['tcp']}"
    shops = {(one["management"], one["generation"]): Merchant(base, one) for one in dev["mastercard"]}
    shop = shops["UNIQUE_TOKEN", "RANDOM_WITH_LUHN"]
    equal(requests.get(f"{base}/api/rest/version/70/information", timeout=30).json(), {"status": "OPERATING"})
    rest_tokens(shop)
    rest_payment(shop)
    token = nvp_tokens(shop)
    nvp_payment(shop, token)
    # The merchant's own names, and one token for a card.
    supplied = shops["UNIQUE_TOKEN", "MERCHANT_PROVIDED"]
    equal(supplied.call("PUT", "token/python1", 201, card(MASTERCARD, "5", "31"))["token"], "python1")
    unique = shops["UNIQUE_ACCOUNT_IDENTIFIER", "RANDOM_WITH_LUHN"]
    twice = [unique.call("POST", "token", 201, card(MASTERCARD, "5", "31"))["token"] for _ in range(2)]
    equal(twice[0], twice[1])
    print("all steps done")


main()
