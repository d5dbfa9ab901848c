"""A Hyperswitch router's side of the locker: JWE over JWS by jwcrypto, which has no code in common with the daemon.

Reads one JSON object a line and answers each with one line. Started with socket, tenant, locker's public key and the
client's private key, all but the first two PEM files.
"""

import base64
import http.client
import json
import socket
import sys

from jwcrypto import jwe, jwk, jws
from jwcrypto.common import json_encode

SOCKET, TENANT, LOCKER, CLIENT = sys.argv[1:5]


def pem(path):
    with open(path, "rb") as file:
        return jwk.JWK.from_pem(file.read())


locker, client = pem(LOCKER), pem(CLIENT)


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def signed(payload, key, header):
    token = jws.JWS(payload)
    token.add_signature(key, protected=json_encode(header))
    header, payload, signature = token.serialize(compact=True).split(".")
    return {"header": header, "payload": payload, "signature": signature}


def encrypted(text, header):
    token = jwe.JWE(text, protected=json_encode(header), recipient=locker)
    header, key, iv, payload, tag = token.serialize(compact=True).split(".")
    return {"header": header, "iv": iv, "encryptedPayload": payload, "tag": tag, "encryptedKey": key}


def flipped(text):
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[len(raw) // 2] ^= 1
    return base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()


def opened(body, key):
    """What an answer says, and how it was encrypted; both signature and tag are checked."""
    outer = json.loads(body)
    assert set(outer) == {"header", "iv", "encryptedPayload", "tag", "encryptedKey"}, outer.keys()
    token = jwe.JWE()
    parts = [outer[name] for name in ("header", "encryptedKey", "iv", "encryptedPayload", "tag")]
    token.deserialize(".".join(parts), key=key)
    inner = json.loads(token.payload)
    assert set(inner) == {"header", "payload", "signature"}, inner.keys()
    signature = jws.JWS()
    signature.deserialize(".".join(inner[name] for name in ("header", "payload", "signature")))
    signature.verify(locker, alg="RS256")
    assert signature.jose_header == {"alg": "RS256"}, signature.jose_header
    header = json.loads(token.objects["protected"])
    return signature.payload.decode(), header


last = None


def answer(asked):
    global last
    key = pem(asked["key"]) if "key" in asked else client
    if asked.get("again"):
        body = last
    else:
        inner = signed(asked["body"].encode(), key, asked.get("jws", {"alg": "RS256", "kid": "any"}))
        for name in asked.get("flip_inside", []):
            inner[name] = flipped(inner[name])
        outer = encrypted(
            json.dumps(asked.get("inside", inner)).encode(),
            asked.get("jwe", {"enc": "A256GCM", "typ": "JWT", "alg": "RSA-OAEP-256"}),
        )
        for name in asked.get("flip", []):
            outer[name] = flipped(outer[name])
        body = json.dumps(outer)
    last = body
    connection = Connection("vault")
    connection.request(
        "POST", asked["path"], body, {"Content-Type": "application/json", "x-tenant-id": asked.get("tenant", TENANT)}
    )
    response = connection.getresponse()
    text = response.read().decode()
    said = {"status": response.status, "type": response.getheader("content-type")}
    try:
        said["body"], said["header"] = opened(text, key)
    except (AssertionError, ValueError, KeyError):
        said["plain"] = text
    return said


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
