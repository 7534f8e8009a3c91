"""What a setting may be: types that say in words what they allow, and classes made of them.

One definition serves all: the type, the default, the range and the sentence of a key stand at
the field of a class. The workflow's config is checked against these classes, the JSON schema
and the tables of ``config/README.md`` are written from them, and the library's own options are
some of them. Errors read ``key is value; allowed: ...`` everywhere.
"""

from headrank.settings.classes import Rules, Settings, fill, options, plain
from headrank.settings.fields import (
    ABSENT,
    bare,
    choices_of,
    fields_of,
    is_settings,
    members,
    sentence_of,
    type_of,
)
from headrank.settings.kinds import (
    AboveZero,
    Count,
    Flag,
    FromZero,
    Inside,
    Megabytes,
    Positive,
    Says,
    Share,
    Text,
    ZeroToOne,
    absent,
    by_kind,
    many,
    mapping,
    number,
    number_or_null,
    text,
    text_or_null,
    whole,
    whole_or_null,
    whole_or_word,
)
from headrank.settings.words import choice, explain, hint, shown

__all__ = [
    "ABSENT",
    "AboveZero",
    "Count",
    "Flag",
    "FromZero",
    "Inside",
    "Megabytes",
    "Positive",
    "Rules",
    "Says",
    "Settings",
    "Share",
    "Text",
    "ZeroToOne",
    "absent",
    "bare",
    "by_kind",
    "choice",
    "choices_of",
    "explain",
    "fields_of",
    "fill",
    "hint",
    "is_settings",
    "many",
    "mapping",
    "members",
    "number",
    "number_or_null",
    "options",
    "plain",
    "sentence_of",
    "shown",
    "text",
    "text_or_null",
    "type_of",
    "whole",
    "whole_or_null",
    "whole_or_word",
]
