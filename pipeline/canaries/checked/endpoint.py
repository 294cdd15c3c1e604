"""Ask a served model for canaries, by the completions interface that OpenAI began and others speak.

Two requests for each: the prefix with temperature 0, and the text with `echo` and `logprobs`, where
the server can. The interface's key comes from the environment alone, and no redirection is
followed, so that it goes nowhere else.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipeline.canaries.checked.answers import Answers, recites
from pipeline.canaries.key import Canary, Key
from pipeline.engine.progress import current
from pipeline.errors import ConfigError, PipelineError, TransientIOError
from pipeline.names import shown

SECRET = "ROTE_ENDPOINT_KEY"  # noqa: S105 - the name of a variable of the environment
ACTION = "/completions"
TIMEOUT_S = 120.0
PAUSES_S = (1.0, 4.0)  # before an attempt is made again
MANY = 429  # the status "too many requests"
FAULTY = 500  # statuses from here on are the server's fault
NO_ECHO = (
    "The server gives no log probabilities of a prompt (echo with logprobs): no exposure and no "
    "recognition."
)


@dataclass(frozen=True)
class Endpoint:
    """A server that is asked.

    Attributes:
        url: of its completions.
        model: what it calls the model; empty for the only one.
        secret: sent as a bearer token; empty for none.
    """

    url: str
    model: str
    secret: str

    def ask(self, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON can hold
        """Return the first choice of the server's answer.

        Raises:
            PipelineError: The server cannot be reached, or refuses.
        """
        named = {"model": self.model} if self.model else {}
        body = json.dumps({**named, "temperature": 0, **wanted}).encode()
        for pause in PAUSES_S:
            try:
                return self._choice(body)
            except TransientIOError:
                time.sleep(pause)
        return self._choice(body)

    def _choice(self, data: bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        request = urllib.request.Request(self.url, data, headers)  # noqa: S310 - http or https
        try:
            with _opener().open(request, timeout=TIMEOUT_S) as reply:
                told = json.loads(reply.read())
            choice = told["choices"][0]
        except urllib.error.HTTPError as error:
            with error:  # it is the reply, too, and holds the connection
                raise self._refused(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        except (ValueError, LookupError, TypeError) as error:
            raise self._strange("no `choices`") from error
        if not isinstance(choice, dict):
            raise self._strange("a choice that is no object")
        return choice

    def _refused(self, error: urllib.error.HTTPError) -> PipelineError:
        found = f"status {error.code} {shown(str(error.reason))[:100]}"
        if error.code == MANY or error.code >= FAULTY:
            return TransientIOError("The endpoint fails.", where=self.url, found=found)
        return ConfigError(
            "The endpoint refuses a request.",
            where=self.url,
            found=found,
            expected="POST /v1/completions, as OpenAI's interface has it",
            fix=f"check the address, --served NAME, and {SECRET} in the environment",
        )

    def _unreachable(self, error: Exception) -> TransientIOError:
        reason = getattr(error, "reason", error)
        return TransientIOError(
            "The endpoint cannot be reached.",
            where=self.url,
            found=f"{type(reason).__name__}: {shown(str(reason))[:200]}",
            fix="check that the server runs, and run the same command again",
        )

    def _strange(self, found: str) -> ConfigError:
        return ConfigError(
            "The endpoint answers in another form.",
            where=self.url,
            found=found,
            expected="the answer of POST /v1/completions",
        )


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Follows no redirection."""

    def redirect_request(self, *_given: Any) -> None:  # noqa: ANN401 - as urllib has it
        """Return that there is none to follow, so that urllib raises its status."""


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirection())


def endpoint_of(url: str, model: str) -> Endpoint:
    """Return the endpoint at an address: that of its completions, or of the interface.

    Raises:
        ConfigError: The address is none of the web, or holds a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ConfigError(
            "The address of an endpoint is not valid.",
            where="--endpoint",
            found=f"scheme {parts.scheme!r}" + (", a name before the host" * bool(parts.username)),
            expected="http://HOST:PORT/v1 or https://...",
            fix=f"a key belongs into {SECRET} of the environment",
        )
    whole = url.rstrip("/")
    whole = whole if whole.endswith(ACTION) else whole + ACTION
    return Endpoint(whole, model, os.environ.get(SECRET, ""))


def ask_endpoint(key: Key, endpoint: Endpoint) -> Answers:
    """Return what a served model says to each canary; references are only asked how probable.

    Raises:
        PipelineError: The server cannot be reached, or refuses.
    """
    found = Answers(endpoint.url)
    echoes, notes = True, [f"The key {SECRET} was sent."] if endpoint.secret else []
    for done, canary in enumerate(_pairs_first(key.canaries)):
        if canary.pair >= 0:
            most = len(canary.suffix.encode())  # no tokenizer has more tokens than bytes
            said = endpoint.ask(prompt=canary.prefix, max_tokens=most)
            found.recited[canary.id] = recites(str(said.get("text") or ""), canary)
        if echoes:
            log_p = _log_p(endpoint, canary)
            echoes = log_p is not None
            if log_p is not None:
                found.log_p[canary.id] = log_p
        current().advance(done + 1, len(key.canaries), "canaries")
    return Answers(
        endpoint.url, found.recited, found.log_p, tuple(notes if echoes else [*notes, NO_ECHO])
    )


def _pairs_first(canaries: Sequence[Canary]) -> list[Canary]:
    return sorted(canaries, key=lambda one: (one.pair < 0, one.id))


def _log_p(endpoint: Endpoint, canary: Canary) -> float | None:
    """Return the log probability of a suffix by an echo of the text; None where there is none.

    Tokens count that end within the suffix, as for a model of a folder. One more token is
    generated, since not every server takes 0, and left out.
    """
    prompt = canary.text[: canary.end]
    try:
        said = endpoint.ask(prompt=prompt, max_tokens=1, echo=True, logprobs=1)
    except ConfigError:
        return None
    told = said.get("logprobs")
    # some servers ignore `echo` and give the numbers of what they generate
    if not isinstance(told, dict) or not str(said.get("text") or "").startswith(prompt):
        return None
    starts, values = told.get("text_offset"), told.get("token_logprobs")
    if not isinstance(starts, list) or not isinstance(values, list) or len(starts) != len(values):
        return None
    inside = [
        value
        for start, end, value in zip(starts, [*starts[1:], len(prompt) + 1], values, strict=True)
        if isinstance(start, int) and start < len(prompt) and end > canary.split
    ]
    sound = inside and all(isinstance(v, int | float) and math.isfinite(v) for v in inside)
    return float(sum(inside)) if sound else None
