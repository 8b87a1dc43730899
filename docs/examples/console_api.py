#!/usr/bin/env python3
"""What failed since this morning and why, and what waits for a person: a program that asks the API of the console.

segur-router token create night-report --scope api:read --right 750100125=reader
SEGUR_TOKEN=sgr_… python console_api.py https://router.chu.example:8443 today [table.csv]

With a third word it also writes all messages of that time as a table. Standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class Console:
    """address: of the console, without a path;  token: of `segur-router token create`"""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address.rstrip("/"), token

    def get(self, path: str, **query: str | int) -> Any:
        """Raises `Refusal`."""
        return self._answer(f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, **body: Any) -> Any:
        """Raises `Refusal`. A patient or a name is asked for so: what stands in an address is kept by others."""
        return self._answer(path, json.dumps(body).encode())

    def messages(self, **conditions: str) -> Iterator[Any]:
        """All messages that meet the conditions, newest first, page by page."""
        after = ""
        while True:
            page = self.get("/api/messages", **conditions, **({"after": after} if after else {}))
            yield from page["messages"]
            if not (after := page["next"]):
                return

    def cases(self) -> Iterator[Any]:
        """What waits for a human decision, list by list, the oldest first."""
        for name in (one["name"] for one in self.get("/api/worklists")["lists"] if one["open"]):
            yield from self.get(f"/api/worklists/{name}", per=200)["cases"]

    def table(self, what: str, **wanted: Any) -> Iterator[str]:
        """Lines of `/api/exports/{what}` as CSV, the names of the columns once, answer by answer."""
        first = True
        while True:
            text, after = self._asked(f"/api/exports/{what}", json.dumps(wanted).encode())
            yield from text.splitlines(keepends=True)[0 if first else 1 :]
            if not after:
                return
            wanted["after"], first = after, False

    def _answer(self, path: str, body: bytes | None) -> Any:
        return json.loads(self._asked(path, body)[0])

    def _asked(self, path: str, body: bytes | None) -> tuple[str, str]:
        """(what it answers, where the next lines of a table begin)"""
        headers = {"Authorization": f"Bearer {self._token}", "Accept-Language": os.environ.get("SEGUR_LANG", "fr")}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with urlopen(Request(self._address + path, body, headers), timeout=30) as answer:  # noqa: S310
                return answer.read().decode(), answer.headers.get("Segur-Next", "")
        except HTTPError as refused:
            raise Refusal(json.load(refused)) from None


class Refusal(Exception):
    """`code` is stable; `problem` is the whole answer (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['status']} {problem['code']}: {problem['detail']}")
        self.code, self.problem = problem["code"], problem


def main(address: str, since: str = "today", file: str = "") -> int:
    """One line for each leg that failed, and one for each case that waits for a person."""
    if not (token := os.environ.get("SEGUR_TOKEN", "")):
        print("SEGUR_TOKEN is not set: `segur-router token create` makes one", file=sys.stderr)  # noqa: T201
        return 2
    console = Console(address, token)
    try:
        for message in console.messages(since=since, outcome="failed"):
            for leg in message["legs"]:
                if leg["code"]:
                    print(message["received"], message["control_id"], leg["sink"], leg["code"], leg["cause"], sep="\t")  # noqa: T201
        for case in console.cases():
            print(case["since"], case["control_id"], case["list"], case["code"], case["ask"], sep="\t")  # noqa: T201
        if file:
            Path(file).write_text("".join(console.table("messages", since=since)), encoding="utf-8", newline="")
    except Refusal as refused:
        print(refused, file=sys.stderr)  # noqa: T201
        return 1
    except URLError as away:
        print(f"{address} does not answer: {away.reason}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
