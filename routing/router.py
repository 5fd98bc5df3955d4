"""From a query and the present load to a route: a pure function, put together from the other parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from routing.classifier import Classification, Classifier
from routing.intents import INTENTS, Intent, Service
from routing.meanings import MEANINGS
from routing.parameters import Body, chat_body, speech_body, transcription_body, video_body, wanted_seconds
from routing.query import RouteQuery
from routing.route import Alternative, Fallback, Queue, Route
from routing.selection import LONG_QUEUE_SECONDS, Choice, ModelLoad, Wish, candidates, choose
from routing.text import LANGUAGES, guess_language, normalise, tokens
from wan_models.catalog import Kind

ENDPOINTS = {
    Service.VLLM: "/v1/chat/completions",
    Service.MULTIMODAL: "/v1/chat/completions",
    Service.STT: "/v1/audio/transcriptions",
    Service.TTS: "/v1/audio/speech",
}
DEFAULT_VOICE = "alloy"

_UNLIKELY = 0.02  # alternatives below are not told
_MOST_ALTERNATIVES = 3
_CONTRADICTORY = 0.5  # nothing is surer than this where the attachments do not go with the words
_CLEAR = 0.8  # words alone say what is wanted
_USABLE = {
    "t2v": frozenset(),
    "i2v": frozenset({"image"}),
    "ti2v": frozenset({"image"}),
    "s2v": frozenset({"image", "audio"}),
    "animate": frozenset({"image", "video", "pose"}),
    "vllm": frozenset(),
    "stt": frozenset({"audio", "video"}),
    "tts": frozenset({"audio"}),
    "multimodal": frozenset({"image", "video"}),
    "picture": frozenset({"image", "video"}),
    "sound": frozenset({"audio", "video"}),
}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """How a neighbouring service stands. ``model`` is what to name in requests, None for nothing."""

    available: bool = False
    configured: bool = False
    model: str | None = None
    voice: str = DEFAULT_VOICE


class Router:
    """Routes queries.

    Args:
        classifier: tells intents.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def classify(self, query: RouteQuery) -> Classification:
        """The intents of a query by probability; less sure where its attachments contradict its words."""
        kinds, language = query.kinds, _named_language(query)
        found = self._classifier.classify(query.query, kinds, query.modality, language)
        if not kinds or found.confidence <= _CONTRADICTORY:
            return found
        words = self._classifier.classify(query.query, language=language)
        clear = words.confidence >= _CLEAR and bool(_USABLE[words.intent])
        fits = _fits(found.intent, kinds) and (_fits(words.intent, kinds) or not clear)
        return found if fits else _less_sure(found)

    def route(
        self,
        query: RouteQuery,
        found: Classification,
        load: Mapping[str, ModelLoad],
        neighbours: Mapping[Service, Neighbour],
    ) -> Route:
        """The route of a query whose intents are known.

        Args:
            query: what was asked.
            found: its intents.
            load: how each model stands, by id; one that is left out is not installed.
            neighbours: how each neighbouring service stands; one that is left out is not configured.
        """
        intent = INTENTS[found.intent]
        if intent.kind is None:
            return _to_neighbour(query, found, intent, neighbours.get(intent.service, Neighbour()))
        return _to_model(query, found, intent.kind, load)


def task_of(intent: Intent) -> str | None:
    """The Wan task that an intent is about, None for those of other services."""
    return None if intent.kind is None else candidates(Wish(kind=intent.kind))[0].id


def language_of(query: RouteQuery) -> str:
    """The language that the client names, if it is one we know, else the likeliest."""
    return _named_language(query) or guess_language(query.query, tokens(normalise(query.query)))


def _named_language(query: RouteQuery) -> str | None:
    named = (query.context.language or "").lower().replace("_", "-").partition("-")[0]
    return named if named in LANGUAGES else None


def _fits(intent: str, kinds: Sequence[str]) -> bool:
    """Whether any of the attachments is of use to an intent."""
    return bool(_USABLE[intent] & set(kinds))


def _less_sure(found: Classification) -> Classification:
    first, *others = found.ranking
    rest = sum(share for _, share in others) or 1.0
    scale = (1 - _CONTRADICTORY) / rest
    ranking = ((first[0], _CONTRADICTORY), *((name, share * scale) for name, share in others))
    return Classification(tuple(sorted(ranking, key=lambda pair: -pair[1])), found.evidence)


def _to_model(query: RouteQuery, found: Classification, kind: Kind, load: Mapping[str, ModelLoad]) -> Route:
    context = query.context
    wish = Wish(
        kind=kind,
        prefer_speed=context.prefer_speed and not context.prefer_quality,
        seconds=wanted_seconds(query),
        max_wait=LONG_QUEUE_SECONDS if context.max_wait is None else context.max_wait,
    )
    choice = choose(wish, load)
    spec = choice.model if choice else candidates(wish)[0]
    state = load.get(spec.id, ModelLoad())
    serves = kind if kind in spec.accepts else Kind.IMAGE_TO_VIDEO
    language = language_of(query)
    body = video_body(query, serves, spec, language)
    return Route(
        service=Service.WAN,
        task=task_of(INTENTS[found.intent]),
        kind=kind,
        model=spec.id if choice else None,
        endpoint=f"/generate/{serves}",
        method="POST",
        parameters=body.fields,
        missing=body.missing,
        confidence=round(found.confidence, 4),
        reason=" ".join([_why(query, found), _why_model(wish, choice, context.prefer_quality)]),
        alternatives=_alternatives(found),
        queue=Queue(
            depth=state.queued, eta_seconds=None if state.eta_seconds is None else ceil(state.eta_seconds)
        ),
        fallback=_fallback(wish, choice),
        available=choice is not None and state.workers > 0,
        notes=body.notes,
        language=language,
    )


def _to_neighbour(query: RouteQuery, found: Classification, intent: Intent, neighbour: Neighbour) -> Route:
    body = _neighbour_body(query, intent.service, neighbour)
    served = intent.unserved is None
    return Route(
        service=intent.service,
        task=None,
        kind=None,
        model=neighbour.model if served else None,
        endpoint=ENDPOINTS[intent.service] if served else None,
        method="POST",
        parameters=body.fields if served else {},
        missing=body.missing if served else [],
        confidence=round(found.confidence, 4),
        reason=" ".join([_why(query, found), intent.unserved or _why_neighbour(intent.service, neighbour)]),
        alternatives=_alternatives(found),
        queue=None,
        fallback=Fallback(),
        available=served and neighbour.available,
        notes=body.notes if served else [],
        language=language_of(query),
    )


def _neighbour_body(query: RouteQuery, service: Service, neighbour: Neighbour) -> Body:
    match service:
        case Service.STT:
            return transcription_body(query, neighbour.model)
        case Service.TTS:
            return speech_body(query, neighbour.model, neighbour.voice)
        case _:
            return chat_body(query, neighbour.model)


def _why(query: RouteQuery, found: Classification) -> str:
    intent = INTENTS[found.intent]
    named = ", ".join(MEANINGS[concept] for concept in found.evidence)
    words = f", going by its words for {named}" if named else ""
    kinds = f" and the attached {', '.join(dict.fromkeys(query.kinds))}" if query.kinds else ""
    doubt = (
        " Its attachments do not go with its words."
        if query.kinds and found.confidence <= _CONTRADICTORY
        else ""
    )
    return f"This asks {intent.wish}{words}{kinds}.{doubt}"


def _why_model(wish: Wish, choice: Choice | None, prefer_quality: bool) -> str:
    able = candidates(wish)
    if choice is None:
        names = " or ".join(spec.id for spec in able)
        return f"No model that can do this is installed; it takes {names}."
    if choice.is_fallback:
        return f"{choice.model.id} serves in place of {choice.preferred.id}."
    if len(able) == 1:
        return f"{choice.model.id} is the model for it."
    if wish.prefer_speed:
        return f"{choice.model.id} is the fastest that can do it."
    return f"{choice.model.id} is the best that can do it{', as preferred' if prefer_quality else ''}."


def _why_neighbour(service: Service, neighbour: Neighbour) -> str:
    if not neighbour.configured:
        return f"No {service} service is configured here: set {service.upper()}_URLS."
    return "" if neighbour.available else f"The {service} service does not answer at present."


def _fallback(wish: Wish, choice: Choice | None) -> Fallback:
    if choice is None:
        return Fallback(wanted=candidates(wish)[0].id, reason="No model that can do this is installed.")
    if not choice.is_fallback:
        return Fallback()
    return Fallback(used=True, wanted=choice.preferred.id, reason=choice.obstacle)


def _alternatives(found: Classification) -> list[Alternative]:
    others = [(INTENTS[name], share) for name, share in found.ranking[1:] if share >= _UNLIKELY]
    return [
        Alternative(
            service=intent.service,
            task=task_of(intent),
            confidence=round(share, 4),
            reason=f"It may ask {intent.wish}.",
        )
        for intent, share in others[:_MOST_ALTERNATIVES]
    ]
