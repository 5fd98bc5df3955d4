"""The prompt within a query: what to show, without the words that ask for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from routing.numbers import Span
from wan_models.fields import MAX_PROMPT_CHARACTERS

_VIDEO = (
    r"(?:(?:video|film|movie|music video|animation|b-?roll|stock)[\s-])?(?:videos?|vids?|clips?|footage|films?|movies?|"
    r"reels?|gifs?|animations?|sequences?|scenes?|shots?|b-?roll|trailers?|teasers?|loops?)"
)
_STYLE = r"(?:short|quick|brief|little|small|new|nice|cool|good|great|high[- ]quality|draft|preview|fast|hd|looping|ai|funny)"
_POLITE = (
    r"(?:(?:hi|hello|hey|yo|ok|okay|so|well|please|pls|plz|kindly)\b[\s,!.]*|"
    r"(?:can|could|would|will) (?:you|u|we)(?: please| kindly| maybe| possibly)?\b[\s,]*|"
    r"i(?:'d| would| really)* (?:want|need|like|love|wish)(?: you)?(?: to)?(?: have| see| get| watch)?\b[\s,]*|"
    r"we (?:want|need)\b\s*|is it possible (?:for you )?to\b\s*|let(?:'s| us| me) (?:do|make|see|have|get)\b\s*)"
)
_VERB = (
    r"(?:generate|create|make|produce|render|build|craft|film|shoot|record|direct|prepare|do|draw up|whip up|"
    r"put together|come up with|write|show|give|get|animate|visuali[sz]e|simulate|depict|imagine|send)"
)
_LINK = (
    r"(?:\s*[:,\u2013\u2014-]\s*|\s+(?:of|about|showing|depicting|featuring|starring|with|where|wherein|in which|"
    r"that shows|which shows|that depicts|for|from this description:?|from this prompt:?)\s+)"
)
_PICTURE = (
    r"(?:(?:this|the|my|our|that|these|an?|attached|uploaded|old|following|family)\s+)*(?:image|photo(?:graph)?|picture|"
    r"pic|drawing|painting|illustration|sketch|still|portrait|artwork|selfie|screenshot|headshot|frame|it)\b"
)
_ASKING = {
    "en": (
        rf"^{_POLITE}*(?:{_VERB}\s+)?(?:(?:me|us)\s+)?(?:(?:an?|the|some|one)\s+)?(?:{_STYLE}[\s,-]+)*{_VIDEO}{_LINK}",
        r"^(?:text[- ]to[- ]video|t2v|image[- ]to[- ]video|i2v|video generation|txt2vid)\s*[:,-]?\s*",
        rf"^{_POLITE}*(?:turn|convert|transform|make|animate|use|take|bring|put|set|give|add (?:some )?motion to)\s+"
        rf"{_PICTURE}(?:\s+(?:in)?to (?:an? )?(?:{_STYLE}\s+)*(?:{_VIDEO}|life)|\s+(?:move|come (?:alive|to life)|in motion))?"
        r"(?:\s*[:,.]\s*|\s+(?:so that|and|where|in which|with|such that|as the)\s+|\s*$)",
        rf"^{_POLITE}*(?:generate|create|make|produce)\s+(?:an?\s+)?(?:{_STYLE}\s+)*{_VIDEO}\s+(?:from|out of|of)\s+{_PICTURE}"
        r"(?:\s*[:,.]\s*|\s+(?:so that|and|where|in which|with|such that)\s+|\s*$)",
        rf"^{_POLITE}+(?:(?:{_VERB})\s+(?:(?:me|us)\s+)?)?",
        r"^(?:generate|create|make|produce|render|film|show|visuali[sz]e|simulate|imagine)\s+(?:(?:me|us)\s+)?(?=(?:an?|two|the)\s)",
    ),
    "es": (
        r"^(?:por favor,?\s*)?(?:(?:quiero|necesito|me gustaría|genera|crea|haz(?:me)?|produce|puedes (?:crear|hacer)|muéstrame)\s+)"
        r"(?:una?\s+)?(?:vídeo|video|clip|película|animación|escena)s?(?:\s+(?:corto|corta|vertical))*\s*(?:de|con|donde|en el que|sobre|:)\s+",
    ),
    "fr": (
        r"^(?:s'il (?:te|vous) plaît,?\s*)?(?:je (?:veux|voudrais)|j'aimerais|j'ai besoin d'|(?:génère|crée|fais|réalise|produis|montre)"
        r"(?:[- ]moi)?)\s*(?:une?\s+)?(?:court[e]?\s+|petit[e]?\s+)*(?:vidéo|clip|film|animation|scène)s?\s*(?:de la |de l'|du |des |de |d'|avec |où |montrant |sur |: )",
    ),
    "de": (
        r"^(?:bitte\s+)?(?:ich (?:will|möchte|brauche|hätte gern)|(?:erstell|generier|mach|produzier|erzeug|zeig|dreh)e?(?: mir)?(?: bitte)?)\s+"
        r"(?:einen?|das|ein)?\s*(?:kurze[nsr]?\s+)*(?:video|clip|film|animation|szene)(?:,?\s*(?:von|mit|über|in dem|in der|wo)\s+|\s*[:,]\s*)",
    ),
    "pt": (
        r"^(?:por favor,?\s*)?(?:quero|preciso de|gostaria de|gere|gera|crie|cria|faça|produza|mostre)\s+(?:uma?\s+)?(?:vídeo|clipe|filme|animação|cena)s?"
        r"(?:\s+(?:curto|curta|vertical))*\s*(?:de|com|onde|em que|sobre|:)\s+",
    ),
    "ru": (
        r"^(?:пожалуйста,?\s*)?(?:создай|сделай|сгенерируй|хочу|нужно|нужен|покажи|сними)\s+(?:мне\s+)?(?:коротк\w+\s+)*(?:видео|ролик|клип|фильм|анимаци\w+)\s*"
        r"(?:,?\s*(?:где|как|в котором|про|о|с)\s+|\s*[:,-]\s*)",
    ),
    "zh": (
        r"^(?:请|帮我|给我|麻烦|我想要|我要|我想看|我需要|想要)*(?:生成|制作|创建|做|拍|来)(?:一?[个段部条])?(?:的)?(?:短?视频|短片|动画|影片|片段)?[：:，,]?",
        r"(?:的)?(?:短?视频|短片|动画|影片)[。！!]?$",
    ),
    "ja": (
        r"の?(?:短い)?(?:動画|映像|ビデオ|ムービー|クリップ|アニメーション|アニメ)(?:を|が)?(?:作って|作成して|生成して|制作して|ほしい|欲しい|見せて|見たい|お願い)?"
        r"(?:ください|下さい|くれ|します|です)?[。！!]?$",
    ),
    "ko": (
        r"\s*(?:짧은\s*)?(?:동영상|영상|비디오|클립|애니메이션|영화)(?:을|를|이|가)?\s*(?:만들어|생성해|제작해|보여|필요해|원해)?\s*(?:줘|주세요|주십시오)?[.!]?$",
    ),
    "hi": (
        r"\s*(?:का|की|के)?\s*(?:एक\s*)?(?:छोटी?\s*)?(?:वीडियो|क्लिप|एनिमेशन|फिल्म)\s*(?:बनाओ|बनाइए|बनाएं|बना दो|जनरेट करें|चाहिए|दिखाओ|तैयार करो)?[।!]?$",
    ),
}
_PATTERNS = {
    language: [re.compile(pattern, re.IGNORECASE) for pattern in patterns] for language, patterns in _ASKING.items()
}
_THANKS = re.compile(r"(?:[\s,.!]*\b(?:please|pls|plz|thanks|thank you|thx|asap|lol|bitte|por favor|s'il vous plaît)\b[\s.!]*)+$", re.IGNORECASE)
_AVOID = re.compile(
    r"[\s,;]*\b(?:without any|without (?!an?\b|the\b)|avoid(?:ing)? (?:any )?|negative prompt:|(?<=, )no |(?<=\. )no |sans aucune? |sin ningun[ao]? |ohne jede[nr]? )"
    r"\s*(?P<what>[^,.;!?]+)",
    re.IGNORECASE,
)
_LEFTOVERS = (
    (re.compile(r"\b(?:lasting|for|in|at|with|of|resolution|duration|length|size|format|and|about|around|roughly)\s*(?=[,.;]|$)", re.IGNORECASE), ""),
    (re.compile(r"[\s,;]*(?:[,;]\s*)+(?=[,;.]|$)"), ""),
    (re.compile(r"\s+([,.;!?])"), r"\1"),
    (re.compile(r"(?:^[\s,.;:!-]+)|(?:[\s,;:-]+$)"), ""),
    (re.compile(r"\s{2,}"), " "),
)  # fmt: skip


def without(query: str, spans: Iterable[Span]) -> str:
    """A text less the places given, which may overlap."""
    kept = list(query)
    for start, end in spans:
        kept[start:end] = " " * (end - start)
    return "".join(kept)


def avoided(query: str) -> tuple[str | None, str]:
    """What the video is to go without, if the query says so, and the query less that."""
    found = [match["what"].strip() for match in _AVOID.finditer(query)]
    return (", ".join(found) or None), _AVOID.sub("", query)


def prompt_of(query: str, language: str) -> str:
    """The description within a query; empty where the query only asks, as in "animate this photo".

    Args:
        query: less everything that became a parameter of its own.
        language: whose ways of asking are known beside the English ones.
    """
    text = _tidy(_THANKS.sub("", query.strip()))
    for pattern in (*_PATTERNS.get(language, ()), *(_PATTERNS["en"] if language != "en" else ())):
        text = _tidy(pattern.sub("", text, count=1))
    return text[:MAX_PROMPT_CHARACTERS].strip()


def _tidy(text: str) -> str:
    for pattern, replacement in _LEFTOVERS:
        text = pattern.sub(replacement, text)
    return text.strip()
