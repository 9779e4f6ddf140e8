"""Which of many texts a few words are about: BM25 over plain words, without an index.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]{2,}")
_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75


def words_of(text: str) -> list[str]:
    """The words of *text* in lower case; `snake_case` and dotted names are taken apart."""
    return _WORD.findall(text.casefold())


def best(query: str, texts: Sequence[str], *, limit: int) -> list[int]:
    """The places in *texts* of those that *query* is about, best first; at least one word must be in them."""
    wanted = set(words_of(query))
    counted = [Counter(words_of(text)) for text in texts]
    if not wanted or not counted:
        return []
    lengths = [counts.total() for counts in counted]
    usual = sum(lengths) / len(lengths) or 1.0
    weights = {word: _rarity(word, counted) for word in wanted}
    scores = [
        sum(weights[word] * _strength(counts[word], length / usual) for word in wanted if counts[word])
        for counts, length in zip(counted, lengths, strict=True)
    ]
    found = [place for place, score in enumerate(scores) if score > 0]
    return sorted(found, key=lambda place: (-scores[place], place))[:limit]


def _rarity(word: str, counted: Sequence[Counter[str]]) -> float:
    """How much a word says: the fewer texts hold it, the more."""
    holders = sum(word in counts for counts in counted)
    return math.log(1 + (len(counted) - holders + 0.5) / (holders + 0.5))


def _strength(count: int, length_ratio: float) -> float:
    """How strongly one text is about a word that it holds *count* times."""
    norm = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length_ratio)
    return count * (_SATURATION + 1) / (count + norm)
