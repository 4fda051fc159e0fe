"""What the name of a column says about its values: a key of customers or of rows, a code, a group, a date."""

import re

KEY_WORDS = frozenset({"id", "ids", "identifier", "uuid", "guid", "key"})
"""Words that say key wherever they stand in a name."""
KEY_ENDS = frozenset({"no", "nr", "num", "number", "nummer"})
"""Words that say key at the end of a name."""
CUSTOMER_WORDS = frozenset(
    {"account", "acct", "client", "cust", "customer", "kunden", "member", "phone", "subscriber", "user"}
)
"""Words that say of what the key is, if it is a key of customers."""
WHOLE_KEYS = frozenset({"id", "customer", "client", "kunde", "subscriber", "msisdn"})
"""Names that say key of customers without another word."""

CODE_WORDS = frozenset({"code", "codes", "cd", "zip", "plz", "postcode", "postal", "id"})
GROUP_WORDS = frozenset(
    {
        *(
            "area",
            "branch",
            "category",
            "channel",
            "class",
            "cluster",
            "country",
            "department",
            "district",
            "education",
        ),
        *(
            "ethnicity",
            "gender",
            "group",
            "job",
            "language",
            "marital",
            "marriage",
            "nationality",
            "occupation",
            "plan",
        ),
        *("profession", "race", "region", "religion", "segment", "sex", "state", "type"),
    }
)
DATE_WORDS = frozenset({"date", "dates", "datum", "datetime", "day", "epoch", "time", "timestamp"})

_NOUNS = "account|client|contract|country|cust|customer|member|order|postal|record|row|state|subscriber|user|zip"
_GLUED = re.compile(rf"({_NOUNS})({'|'.join(sorted({*KEY_WORDS, *KEY_ENDS, 'code'}, key=len, reverse=True))})")


def words_of(name: str) -> list[str]:
    """Lowercase words of a name: customerID, customer_id, "Customer ID" and customerid give the same two words."""
    words = re.findall(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|\d+", name)
    parts: list[str] = []
    for word in map(str.lower, words):
        glued = _GLUED.fullmatch(word)
        parts += glued.groups() if glued else [word]
    return parts


def says_key(name: str) -> bool:
    """Whether a name says that the values are keys of rows, customers or anything else."""
    words = words_of(name)
    return bool(KEY_WORDS & set(words)) or bool(KEY_ENDS & set(words[-1:])) or words in [[one] for one in WHOLE_KEYS]


def says_customers(name: str) -> bool:
    """Whether a name says that the values are keys of customers, not of groups of them."""
    words = words_of(name)
    if len(words) == 1:
        return words[0] in WHOLE_KEYS
    return says_key(name) and bool(CUSTOMER_WORDS & set(words)) and not GROUP_WORDS & set(words)
