"""Which SQL is let through, judged from the text alone and alike for every engine.

A tokenizer, not a parser: it knows strings, quoted names, comments and words, so it can tell one
statement from two, count placeholders and see which words and functions are used. Whatever one
engine reads differently from the other (dollar quotes, ``E''`` strings, ``[names]``, nested
comments) is refused rather than understood: one text runs on every engine.

What does not live here: whether the statement makes sense. The engine says that.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from fintech_database.limits import NESTING_MAX, SQL_LENGTH_MAX


class Kind(Enum):
    """What a statement does to the database."""

    READ = "read"
    WRITE = "write"
    SCHEMA = "schema"


@dataclass(frozen=True, slots=True)
class Form:
    """What a statement's text was found to be.

    ``pieces`` is the text around its placeholders: ``len(pieces) - 1`` placeholders. A plain write
    touches the rows that it names and selects nothing.
    """

    kind: Kind
    pieces: tuple[str, ...]
    is_plain_write: bool = False

    @property
    def placeholders(self) -> int:
        """How many ``?`` the text holds."""
        return len(self.pieces) - 1


class FormRefused(Exception):
    """The text is not one statement of the contract's profiles."""

    def __init__(self, code: Literal["syntax_error", "unsupported", "too_large"], why: str) -> None:
        super().__init__(why)
        self.code: Literal["syntax_error", "unsupported", "too_large"] = code


def read_form(sql: str) -> Form:
    """Find out what a statement is, or refuse it.

    Raises:
        FormRefused: with the contract's code and what to write instead.
    """
    if len(sql) > SQL_LENGTH_MAX:
        raise FormRefused("too_large", f"the statement is longer than {SQL_LENGTH_MAX} characters")
    tokens = _tokens(sql)
    if not tokens:
        raise FormRefused("syntax_error", "the statement is empty")
    kind = _kind(tokens)
    _check_words(tokens, kind)
    _check_calls(tokens, kind)
    pieces: list[str] = []
    start = 0
    for token in tokens:
        if token.group == "placeholder":
            pieces.append(sql[start : token.start])
            start = token.start + 1
    # A semicolon at the end is dropped with what follows it, which can only be comments.
    end = tokens[-1].start + len(tokens[-1].text)
    is_plain_write = kind is Kind.WRITE and all(token.word != "SELECT" for token in tokens)
    return Form(kind=kind, pieces=(*pieces, sql[start:end]), is_plain_write=is_plain_write)


class FormCache:
    """Forms of texts seen lately: reading a long text costs milliseconds, and texts repeat.

    Bounded by characters, since texts with inlined literals never repeat.
    """

    def __init__(self, *, characters_max: int = 8 * 1024 * 1024) -> None:
        self._forms: OrderedDict[str, Form] = OrderedDict()
        self._characters = 0
        self._characters_max = characters_max

    def read(self, sql: str) -> Form:
        """Like ``read_form``, from memory where possible.

        Raises:
            FormRefused: the text is refused (refusals are not remembered).
        """
        form = self._forms.get(sql)
        if form is not None:
            self._forms.move_to_end(sql)
            return form
        form = read_form(sql)
        self._forms[sql] = form
        self._characters += len(sql)
        while self._characters > self._characters_max:
            dropped, _ = self._forms.popitem(last=False)
            self._characters -= len(dropped)
        return form


@dataclass(frozen=True, slots=True)
class _Token:
    group: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """The word in capitals; empty for anything that is not a bare word."""
        return self.text.upper() if self.group == "word" else ""


def _words(text: str) -> frozenset[str]:
    """A set of words, written as a text."""
    return frozenset(text.split())


_TOKEN: Final = re.compile(
    r"""
      (?P<space>[ \t\n\r\f]+)
    | (?P<comment>--[^\n\r]*(?=\n|\Z) | /\*(?:(?!/\*|\*/).)*\*/)
    | (?P<string>'[^']*(?:''[^']*)*')
    | (?P<quoted>"[^"]*(?:""[^"]*)*")
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?![$\u0080-\U0010ffff]))
    | (?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?(?![0-9A-Za-z_.$]))
    | (?P<placeholder>\?(?![0-9]))
    | (?P<mark>[(),.;*+%<>=!|] | /(?!\*) | -(?!-))
    """,
    re.VERBOSE | re.DOTALL,
)
"""Every token in which SQLite and PostgreSQL agree, and nothing else."""

_BROKEN: Final = {"'": "a string is not closed", '"': "a quoted name is not closed"}

_CALLABLE: Final = _words(
    """
    abs cast coalesce count length lower ltrim max min nullif replace rtrim substr sum trim
    upper
    """
)
"""Functions that both engines have with one meaning. None reads files, sleeps or reaches out."""

_BEFORE_PARENTHESIS: Final = _words(
    """
    ALL AND AS BETWEEN BY CASE CHECK CONFLICT DEFAULT DISTINCT ELSE EXISTS FROM HAVING IN JOIN
    KEY LIKE LIMIT NOT OFFSET ON OR SELECT SET THEN UNION UNIQUE USING VALUES WHEN WHERE
    """
)
"""Words that stand before a parenthesis without being called."""

_STATEMENTS: Final = _words(
    """
    ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE
    DEALLOCATE DECLARE DELETE DETACH DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT
    INSERT LISTEN LOAD LOCK MERGE MOVE NOTIFY PRAGMA PREPARE REASSIGN REFRESH REINDEX RELEASE
    REPLACE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SET SHOW START TABLE TRUNCATE UNLISTEN
    UPDATE VACUUM VALUES WITH
    """
)
"""First words of statements that an engine has and the contract has not."""

_REFUSED_WORDS: Final = {
    "WITH": "common table expressions are outside the contract",
    "RETURNING": "read the row back by its key instead",
    "TRIGGER": "triggers are outside the contract",
    "REFERENCES": "foreign keys are outside the contract: SQLite would not enforce them",
    "FOREIGN": "foreign keys are outside the contract: SQLite would not enforce them",
    "CONCURRENTLY": "an index is built within its statement",
    "RECURSIVE": "common table expressions are outside the contract",
}

_PRIVATE: Final = ("pg_", "sqlite_", "information_schema", "lo_", "dblink", "crdb_")
"""Beginnings of names that belong to an engine; catalogs and large objects are not for clients."""


def _tokens(sql: str) -> list[_Token]:
    """Split a text, dropping space, comments and the semicolon at the end."""
    tokens: list[_Token] = []
    position = 0
    depth = 0
    ended = False
    while position < len(sql):
        found = _TOKEN.match(sql, position)
        if found is None or found.lastgroup is None:
            raise _unreadable(sql, position)
        group, text = found.lastgroup, found.group()
        if group in {"space", "comment"}:
            position = found.end()
            continue
        if ended:
            raise FormRefused("unsupported", "one statement per text: something follows the ';'")
        if text == ";":
            ended = True
        else:
            if group == "string" and tokens and tokens[-1].group == "word" and position > 0:
                _check_prefix(sql, position)
            depth += (text == "(") - (text == ")")
            if depth > NESTING_MAX:
                raise FormRefused("too_large", f"parentheses nest deeper than {NESTING_MAX}")
            if depth < 0:
                raise FormRefused("syntax_error", "a parenthesis is closed that was not opened")
            tokens.append(_Token(group, text, position))
        position = found.end()
    if depth:
        raise FormRefused("syntax_error", "a parenthesis is not closed")
    return tokens


def _unreadable(sql: str, position: int) -> FormRefused:
    character = sql[position]
    if character in _BROKEN:
        return FormRefused("syntax_error", _BROKEN[character])
    if character == "\0":
        return FormRefused("syntax_error", "the statement holds a NUL character")
    what = "this comment" if character in "-/" else repr(character)
    return FormRefused(
        "unsupported", f"{what} at character {position + 1} does not mean the same on every engine"
    )


def _check_prefix(sql: str, position: int) -> None:
    """Refuse ``E'..'``, ``X'..'``, ``B'..'``, ``N'..'``: a word glued to a string changes it."""
    if sql[position - 1].isalnum() or sql[position - 1] == "_":
        raise FormRefused("unsupported", "strings are written '...', without a letter before them")


def _kind(tokens: list[_Token]) -> Kind:
    """What the first words say."""
    words = [token.word for token in tokens[:4]] + ["", "", "", ""]
    match words[0], words[1]:
        case "SELECT", _:
            return Kind.READ
        case ("INSERT", "INTO") | ("DELETE", "FROM"):
            return Kind.WRITE
        case ("UPDATE", second) if second != "OR":
            return Kind.WRITE
        case ("CREATE", "TABLE" | "INDEX") | ("DROP", "TABLE"):
            return Kind.SCHEMA
        case "CREATE", "UNIQUE" if words[2] == "INDEX":
            return Kind.SCHEMA
        case "ALTER", "TABLE" if words[3] == "ADD":
            return Kind.SCHEMA
        case first, _:
            raise FormRefused(
                "unsupported" if first in _STATEMENTS else "syntax_error",
                "a statement is SELECT, INSERT INTO, UPDATE, DELETE FROM, CREATE TABLE,"
                " CREATE [UNIQUE] INDEX, ALTER TABLE .. ADD or DROP TABLE",
            )


def _check_words(tokens: list[_Token], kind: Kind) -> None:
    """Refuse words that change what a statement is, and names that belong to an engine."""
    intos = 0
    for token in tokens:
        if token.group not in {"word", "quoted"}:
            continue
        word = token.word
        if word in _REFUSED_WORDS:
            raise FormRefused("unsupported", f"{word}: {_REFUSED_WORDS[word]}")
        if token.text.lower().lstrip('"').startswith(_PRIVATE):
            raise FormRefused("unsupported", f"{token.text}: this name belongs to the engine")
        intos += word == "INTO"
        if kind is Kind.SCHEMA and word == "CONFLICT":
            raise FormRefused("unsupported", "ON CONFLICT in a table makes inserts half applied")
        if kind is Kind.SCHEMA and word == "DROP" and token is not tokens[0]:
            raise FormRefused("unsupported", "ALTER TABLE adds columns and does nothing else")
    if intos > (tokens[0].word == "INSERT"):
        raise FormRefused("unsupported", "SELECT INTO is outside the contract")


def _check_calls(tokens: list[_Token], kind: Kind) -> None:
    """Refuse every function that is not known to be harmless and alike on every engine."""
    for index in range(1, len(tokens)):
        name = tokens[index - 1]
        if tokens[index].text != "(" or name.group not in {"word", "quoted"}:
            continue
        if name.word in _BEFORE_PARENTHESIS or name.text.lower() in _CALLABLE:
            continue
        before = tokens[index - 2].word if index > 1 else ""
        if before == "INTO" and tokens[0].word == "INSERT":
            continue
        if kind is Kind.SCHEMA and before in {"TABLE", "EXISTS", "ON"}:
            continue
        raise FormRefused("unsupported", f"{name.text}(): this function is outside the contract")
