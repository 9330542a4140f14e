from __future__ import annotations

import pytest

from prosr_lightning.errors import ConfigError
from prosr_lightning.words import WordParser, split_list


@pytest.fixture
def parser():
    parser = WordParser("What it does.")
    parser.add_word("count", type=int, default=1)
    parser.add_word("kind", choices=("a", "b"))
    return parser


def test_values_may_hold_equals_signs_spaces_and_dashes(parser):
    parser.add_word("name")
    options, others = parser.parse_words(["name=--a=b c", "kind=b"])
    assert (options.name, options.kind, options.count, others) == ("--a=b c", "b", 1, [])


def test_words_of_other_keys_are_kept_where_they_may_be(parser):
    options, others = parser.parse_words(["trainer=gpu", "count=2", "+a.b=c"], others=True)
    assert (options.count, others) == (2, ["trainer=gpu", "+a.b=c"])


@pytest.mark.parametrize(
    ("words", "others", "message"),
    [
        (["kind"], True, "must be key=value, got 'kind'"),
        (["kinds=a"], True, "got 'kinds'; the nearest valid key is 'kind'"),
        (["zzz=a"], False, "got 'zzz'; the keys are count, kind"),
        (["kind=a", "kind=a"], False, "`kind` must be given once"),
        (["kind=c"], False, "`kind`: invalid choice: 'c'"),
        (["count=x"], False, "`count`: invalid int value: 'x'"),
    ],
)
def test_what_is_wrong_is_named(parser, words, others, message):
    with pytest.raises(ConfigError, match=message):
        parser.parse_words(words, others=others)


def test_a_list_may_be_quoted_bracketed_or_alone():
    assert split_list("[a, 'b,c' ,P (2x, 4x)=d]") == ("a", "b,c", "P (2x, 4x)=d")
    assert (split_list("a,b"), split_list(""), split_list("[]")) == (("a,b",), (), ())
