"""Whom the HTTP port listens to: a token, or a client's certificate; on the loopback also whoever is there."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from router.gateway.api_tokens import ApiTokens
from router.gateway.received import Feed
from router.gateway.settings import HttpConfig, loopback


class HttpAdmission:
    """For one port. `tokens`: the site's API tokens, where the configuration admits them."""

    def __init__(self, config: HttpConfig, tokens: ApiTokens | None) -> None:
        self._config, self._tokens = config, tokens

    async def admits(self, feed: Feed | None, given: Sequence[str], *, certified: bool) -> bool:
        """Whether a request is read: it carries the token of its feed (of the port when the feed has none), or an API
        token bound to the feed; where no token is asked for, its client showed a certificate, or is of this machine.

        given: the `Authorization` headers;  certified: an authority of ours knows the client's certificate
        Raises `Unavailable` when the API tokens can't be read.
        """
        if len(given) > 1:
            return False
        text = _bearer(given[0]) if given else ""
        asked = self._asked(feed)
        if asked is not None and text and hmac.compare_digest(text.encode(), asked.encode()):
            return True
        if self._tokens is not None and feed is not None and text and await self._tokens.admits(text, feed.name):
            return True
        return asked is None and (certified or (loopback(self._config.host) and not (self._tokens and given)))

    def _asked(self, feed: Feed | None) -> str | None:
        """The token that the site file asks for, read each time: a rotated one is used."""
        if feed is not None and feed.token is not None:
            return feed.token()
        return self._config.token.read() if self._config.token is not None else None


def _bearer(header: str) -> str:
    """What stands behind `Bearer `; "" for anything else."""
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""
