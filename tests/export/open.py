"""Opens a file that `panvault export` wrote: open.py KEY.pem FILE. The cards come out as lines of JSON."""
import base64
import hashlib
import json
import sys

from jwcrypto import jwe, jwk

key = jwk.JWK.from_pem(open(sys.argv[1], "rb").read())
*chunks, last = open(sys.argv[2], "rb").read().splitlines(keepends=True)
manifest = json.loads(last)
digest = hashlib.sha256(b"".join(chunks)).digest()
assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == manifest["chunks_sha256"], "not the manifest's chunks"
cards = 0
for number, chunk in enumerate(chunks, 1):
    sealed = jwe.JWE()
    sealed.deserialize(chunk.decode().strip(), key)
    header = json.loads(sealed.objects["protected"])
    assert header["export"] == manifest["export"] and header["chunk"] == number, "a chunk is missing or moved"
    assert header["last"] == (number == manifest["chunks"]), "the end is missing"
    cards += sealed.payload.count(b"\n")
    sys.stdout.buffer.write(sealed.payload)
assert cards == manifest["cards"], "cards are missing"
