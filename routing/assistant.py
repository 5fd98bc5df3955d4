"""What the language model helps with: elaborating prompts, and a second opinion on unclear queries."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx

from routing.classifier import Classification
from routing.intents import INTENTS, Service
from routing.neighbours import NeighbourDownError, Neighbours
from routing.router import ENDPOINTS
from wan_models.fields import MAX_PROMPT_CHARACTERS

UNSURE = 0.5
"""Up to this confidence a second opinion is asked for."""

_OPINION_SECONDS = 3.0
_AGREED = 0.7  # how sure a second opinion makes
_ELABORATE = (
    "You write prompts for a text-to-video model. Rewrite the user's description as one vivid paragraph of "
    "at most 120 words: subject, action, setting, light, camera. Keep every fact, add nothing that "
    "contradicts it, keep its language. Answer with the paragraph alone."
)
_JUDGE = "A query goes to one of these services. Answer with the name alone.\n" + "\n".join(
    f"{intent.name}: it asks {intent.wish}" for intent in INTENTS.values()
)

_log = logging.getLogger(__name__)


class Assistant:
    """Asks the language model; whatever goes wrong, there is simply no answer.

    Args:
        neighbours: where the language model is.
        enhance_seconds: how long it may take to elaborate a prompt.
        second_opinion: whether it is asked about unclear queries.
    """

    def __init__(
        self, neighbours: Neighbours, *, enhance_seconds: float = 8, second_opinion: bool = False
    ) -> None:
        self._neighbours = neighbours
        self._enhance_seconds = enhance_seconds
        self._second_opinion = second_opinion

    async def elaborate(self, prompt: str) -> str | None:
        """A richer prompt of the same meaning, or None where none came in time."""
        text = await self._ask(_ELABORATE, prompt, 400, self._enhance_seconds)
        return None if text is None else text.strip().strip('"')[:MAX_PROMPT_CHARACTERS].strip() or None

    async def judge(self, query: str, attachments: list[str], found: Classification) -> Classification:
        """The same intents, in the language model's order where the first is unsure and it has a view."""
        if not self._second_opinion or found.confidence > UNSURE:
            return found
        question = json.dumps({"query": query[:2000], "attachments": attachments}, ensure_ascii=False)
        text = await self._ask(_JUDGE, question, 10, _OPINION_SECONDS)
        name = (text or "").strip().strip(".\"'`").lower()
        return found if name not in INTENTS else _led_by(name, found)

    async def _ask(self, system: str, user: str, tokens: int, seconds: float) -> str | None:
        state = self._neighbours.states().get(Service.VLLM)
        if state is None or not state.available:
            return None
        body: dict[str, Any] = {
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "max_tokens": tokens,
            "temperature": 0,
        }
        if state.model:
            body["model"] = state.model
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(body, seconds)
        except (
            TimeoutError,
            NeighbourDownError,
            httpx.HTTPError,
            ValueError,
            LookupError,
            TypeError,
        ) as error:
            _log.warning("The language model was of no help: %s", type(error).__name__)
            return None

    async def _answer(self, body: dict[str, Any], seconds: float) -> str:
        path = ENDPOINTS[Service.VLLM]
        async with self._neighbours.post(Service.VLLM, path, seconds=seconds, json=body) as answer:
            await answer.aread()
            answer.raise_for_status()
            return str(answer.json()["choices"][0]["message"]["content"])


def _led_by(name: str, found: Classification) -> Classification:
    others = [(other, share) for other, share in found.ranking if other != name]
    whole = sum(share for _, share in others) or 1.0
    rest = tuple((other, share / whole * (1 - _AGREED)) for other, share in others)
    return Classification(((name, _AGREED), *rest), found.evidence)
