"""Attempts to get in without the right: forged, expired, revoked, foreign tokens and scopes that are too narrow.

Each attempt is a real request or a real WebSocket to a gateway that knows its own token, tokens it has made, and an
issuer's keys. What lets nobody in is 401 or 403; for what belongs to another tenant it is 404.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import subprocess
import threading
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

from asking import Rest
from service import Home, Service, command
from tally import Tally

AT_ONCE = 4
KID = "shared-1"
ISSUER, AUDIENCE = "https://login.example", "team"
REFUSED = {401, 403, 404}


def _b64(data: bytes | dict[str, Any] | str) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signed(secret: bytes, claims: dict[str, Any], **header: Any) -> str:
    head = _b64({"alg": "HS256", "typ": "JWT", "kid": KID, **header}) + "." + _b64(claims)
    return head + "." + _b64(hmac.new(secret, head.encode(), hashlib.sha256).digest())


class Tokens:
    """Good tokens, and bad ones made of them."""

    def __init__(self, home: Home, own: str, secret: bytes) -> None:
        self.own, self.secret, self._home = own, secret, home
        self.claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": time.time() + 3600, "scopes": ["admin"]}
        self.good = _signed(secret, self.claims)
        self.made = self.create("--subject", "ann")
        self.reader = self.create("--subject", "ann", "--scope", "kernels:read")
        self.stranger = self.create("--subject", "bob")
        self.revoked = self.create("--subject", "ann")
        listed = json.loads(self._program("token", "list", "--json"))["items"]
        newest = max(listed, key=lambda item: item["created_at"])
        self._program("token", "revoke", newest["id"])

    def create(self, *arguments: str) -> str:
        return self._program("token", "create", *arguments).split()[0]

    def _program(self, *arguments: str) -> str:
        done = subprocess.run(command(*arguments), env=self._home.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def forged(self, chance: random.Random) -> tuple[str, str]:
        """What is wrong with it, and the token."""
        header, claims, signature = self.good.split(".")
        bad_claims = {
            "expired": {"exp": time.time() - chance.randint(6, 10**8)},
            "no end": {"exp": None},
            "not yet": {"nbf": time.time() + chance.randint(60, 10**8)},
            "another issuer": {"iss": chance.choice(["", None, "https://evil.example", "savepoint", [ISSUER]])},
            "another audience": {"aud": chance.choice(["", None, "other", [], "*"])},
            "the gateway's own subject": {"sub": chance.choice(["local", "", None, 7])},
        }
        flipped = bytearray(base64.urlsafe_b64decode(signature + "=="))
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        kids = ["../../../../dev/null", "/dev/null", "", None, 0, ["shared-1"], {"kid": KID}, "__proto__", "x' OR 1=1 --", f"{KID}\x00"]
        made = self.made.split(".")
        choices = {
            "random": lambda: _b64(chance.randbytes(chance.randint(1, 90))),
            "a part of the gateway's own": lambda: self.own[: chance.randrange(1, len(self.own))],
            "more than the gateway's own": lambda: self.own + chance.choice(["a", ".", self.own]),
            "alg none": lambda: _b64({"alg": chance.choice(["none", "None", "nOnE", "", None]), "kid": KID}) + f".{claims}."
            + chance.choice(["", signature]),
            "a kid that is a place": lambda: _signed(chance.choice([b"", b"\0", self.secret]), self.claims, kid=chance.choice(kids)),
            "a key of its own": lambda: _signed(b"mine" * 8, self.claims, **chance.choice([{}, {"jku": "https://evil.example"}, {"jwk": {}}])),
            "another algorithm": lambda: _b64({"alg": chance.choice(["HS512", "RS256", "ES256", "EdDSA"]), "kid": KID})
            + f".{claims}.{signature}",
            "a bit of the signature": lambda: f"{header}.{claims}.{_b64(bytes(flipped))}",
            "other claims": lambda: f"{header}.{_b64({**self.claims, 'sub': 'local'})}.{signature}",
            "other claims in one made here": lambda: f"{made[0]}.{_b64({'sub': 'local', 'scopes': ['admin']})}.{made[2]}",
            "parts": lambda: chance.choice([f"{self.good}.x", f".{self.good}", f"{header}.{claims}", "..", "a.b.c"]),
            "revoked": lambda: self.revoked,
            **{what: (lambda bad=bad: _signed(self.secret, {**self.claims, **bad})) for what, bad in bad_claims.items()},
        }
        what = chance.choice(list(choices))
        return what, choices[what]()


def run(seed: int, count: int, tally: Tally) -> None:
    home = Home()
    try:
        _run(home, seed, count, tally)
    finally:
        home.clear()


def _run(home: Home, seed: int, count: int, tally: Tally) -> None:
    secret = random.Random(f"{seed}/secret").randbytes(32)
    keys = home.path / "keys.json"
    keys.write_text(json.dumps({"keys": [{"kty": "oct", "kid": KID, "alg": "HS256", "k": _b64(secret)}]}))
    keys.chmod(0o600)
    environment = {"SAVEPOINT_AUTH_JWKS": str(keys), "SAVEPOINT_AUTH_ISSUER": ISSUER, "SAVEPOINT_AUTH_AUDIENCE": AUDIENCE}
    service = Service(home, environment=environment)
    service.start()
    tokens = Tokens(home, service.token, secret)
    kernel_id = Rest(service, tokens.made).start_kernel()
    for name, good in (("the gateway's own", service.token), ("an issuer's", tokens.good), ("one made here", tokens.made)):
        found = Rest(service, good).once("GET", f"/api/kernels/{kernel_id}")
        tally.check(found.status == 200, f"{name} token, which is good, is answered with {found}")
    seen: dict[str, int] = {}
    lock = threading.Lock()

    def attempt(chance: random.Random) -> tuple[str, int]:
        """What was wrong, and the status of the answer."""
        turn = chance.random()
        if turn < 0.1:
            what, token, place = "another tenant's", tokens.stranger, chance.choice(["rest", "socket"])
        elif turn < 0.2:
            what, token, place = "too narrow", tokens.reader, chance.choice(["write", "socket"])
        else:
            (what, token), place = tokens.forged(chance), chance.choice(["rest", "query", "socket", "subprotocol", "write"])
        address = f"127.{chance.randint(1, 254)}.{chance.randint(0, 254)}.{chance.randint(1, 254)}"
        return what, _try(service, token, kernel_id, place, address)

    def thread(number: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        for at in range(count // AT_ONCE):
            what, status = attempt(chance)
            with lock:
                seen[f"{what}: {status}"] = seen.get(f"{what}: {status}", 0) + 1
            tally.check(status in REFUSED, f"thread {number}, attempt {at}: {what}, answered with {status}")

    threads = [threading.Thread(target=thread, args=(number,)) for number in range(AT_ONCE)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    log = service.log()
    for name, good in (("own", service.token), ("issuer's", tokens.good), ("made", tokens.made)):
        tally.check(good not in log, f"the {name} token stands in the log")
    tally.check(service.stop() == 0, "the gateway did not end in order")
    tally.figures["attempts"] = sum(seen.values())
    by_status: dict[str, int] = {}
    for kind, times in seen.items():
        status = kind.rpartition(" ")[2]
        by_status[status] = by_status.get(status, 0) + times
    tally.figures["answers"] = ", ".join(f"{status} {times}" for status, times in sorted(by_status.items()))
    tally.figures["ways"] = len({kind.rpartition(":")[0] for kind in seen})


def _try(service: Service, token: str, kernel_id: str, place: str, address: str) -> int:
    headers, query, path = {"Authorization": f"Bearer {token}"}, "", f"/api/kernels/{kernel_id}"
    quoted = quote(token, safe="")
    # What cannot stand in a header is tried elsewhere.
    if place == "query" or any(ord(each) < 33 or ord(each) > 126 for each in token):
        headers, query = {}, f"?token={quoted}"
    method, body = "GET", None
    if place in ("socket", "subprotocol"):
        path += "/channels"
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        headers = {**headers, **upgrade, "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        if place == "subprotocol":
            headers.pop("Authorization", None)
            query, headers["Sec-WebSocket-Protocol"] = "", f"v1.kernel.websocket.jupyter.org, v1.token.{quoted}"
    if place == "write":
        method, path, body = "POST", path + "/executions", '{"code": "1"}'
        headers["Content-Type"] = "application/json"
    # Failures are counted by address, and here each attempt is to be judged: any address of loopback is one's own.
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30, source_address=(address, 0))
    try:
        connection.request(method, path + query, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()
