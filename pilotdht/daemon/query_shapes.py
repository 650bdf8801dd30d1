"""The shape of each JSON answer about questions, key by key.

A question or answer that is a text travels as text, one that is JSON as its source; ``form`` says which.
"""

from __future__ import annotations

from typing import TypedDict


class PersonShape(TypedDict):
    """Somebody, by key; the hostname is empty when it is not known."""

    did: str
    address: str
    hostname: str


class ExplanationShape(TypedDict):
    """Why one candidate was asked, or not."""

    did: str
    address: str
    hostname: str
    is_capable: bool
    rtt_s: float | None
    load: int | None
    work_s: float | None
    success: float
    outstanding: int
    circuit: str
    score: float
    rank: int | None
    reason: str


class QueryAnswerShape(TypedDict):
    """An answer, verified."""

    answer: str
    form: str
    author: PersonShape
    signers: list[PersonShape]
    is_shared: bool
    age_s: float
    expires_s: float | None
    duration_s: float
    explanation: list[ExplanationShape]


class ChoicesShape(TypedDict):
    """Whom a question to a group would be put to, best first."""

    group: str
    choices: list[ExplanationShape]


class AnswerPartShape(TypedDict, total=False):
    """One line of an answer as it comes: a ``part``, and at the end the whole ``answer``, verified."""

    part: str
    answer: QueryAnswerShape


class ServingShape(TypedDict):
    """The first line of a stream of questions: which ones will come; ``group`` is null for trusted peers' own."""

    capability: str
    group: str | None
    most: int


class QuestionShape(TypedDict):
    """A question to be answered, claimed by its name."""

    question: str
    did: str
    address: str
    hostname: str
    group: str
    capability: str
    form: str
    content: str
    within_s: float


class HandlerRemovedShape(TypedDict):
    """Whether there was a program to remove."""

    was_there: bool
