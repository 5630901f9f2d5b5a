"""Requests to a gateway that may be gone at the moment: asked again until it is back."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import requests

from service import PATIENCE_S, Service

RETRY_S = 0.1


class Answer(NamedTuple):
    status: int
    body: Any


class Rest:
    """Requests with a token. Thread-safe: each has a connection of its own."""

    def __init__(self, service: Service, token: str | None = None) -> None:
        self.service = service
        self._token = token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self._token or self.service.token}"}

    def once(self, method: str, path: str, body: object = None, timeout_s: float = PATIENCE_S) -> Answer:
        """One request, asked once. Raises requests.RequestException."""
        answer = requests.request(method, self.service.url + path, json=body, headers=self.headers, timeout=timeout_s)
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Answer(answer.status_code, answer.json() if is_json else answer.text)

    def ask(self, method: str, path: str, body: object = None, within_s: float = PATIENCE_S) -> Answer:
        """Asked again as long as nobody listens, the connection breaks, or the answer is 503. Ask only what may be asked twice."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                answer = self.once(method, path, body)
                if answer.status != 503 or time.monotonic() > deadline:
                    return answer
            except requests.RequestException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_S)

    def start_kernel(self, **body: object) -> str:
        answer = self.ask("POST", "/api/kernels", body)
        assert answer.status == 201, answer
        return str(answer.body["id"])
