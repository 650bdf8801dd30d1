"""JSON answers about groups and questions back into the facts that a node gives."""

from __future__ import annotations

import base64

from pilotdht.daemon.group_shapes import EventShape, GroupShape, MemberEventShape, MemberShape, PublishedShape
from pilotdht.daemon.query_shapes import ExplanationShape, QueryAnswerShape, QuestionShape
from pilotdht.gossip.values import (
    Event,
    GroupInfo,
    GroupKind,
    MemberChange,
    MemberEvent,
    MemberInfo,
    MemberStatus,
)
from pilotdht.identity.address import Address
from pilotdht.identity.keys import parse_did
from pilotdht.services.query.circuit import CircuitState
from pilotdht.services.query.content import Content, Form, content_untrusted
from pilotdht.services.query.values import Answer, Explanation, Question
from pilotdht.wire.certificates import Role
from pilotdht.wire.groups import GroupId


def group_info(shape: GroupShape) -> GroupInfo:
    """Decode a group."""
    return GroupInfo(
        name=shape["name"],
        group_id=GroupId(bytes.fromhex(shape["group_id"])),
        kind=GroupKind(shape["kind"]),
        role=Role[shape["role"].upper()],
        alive=shape["alive"],
        suspect=shape["suspect"],
        dead=shape["dead"],
        health=shape["health"],
        topics=tuple(shape["topics"]),
        events=shape["events"],
        expires_s=shape["expires_s"],
        is_expelled=shape["is_expelled"],
        moves_until_s=shape["moves_until_s"],
    )


def member_info(shape: MemberShape) -> MemberInfo:
    """Decode a member."""
    return MemberInfo(
        public_key=parse_did(shape["did"]),
        address=Address.parse(shape["address"]),
        hostname=shape["hostname"],
        status=MemberStatus(shape["status"]),
        role=Role[shape["role"].upper()],
        tags=tuple(shape["tags"]),
        capabilities=tuple(shape["capabilities"]),
        load=shape["load"],
        version=shape["version"],
        incarnation=shape["incarnation"],
        rtt_s=shape["rtt_s"],
        since_s=shape["since_s"],
        is_self=shape["is_self"],
    )


def member_event(shape: MemberEventShape) -> MemberEvent:
    """Decode a change of membership."""
    return MemberEvent(group=shape["group"], change=MemberChange(shape["change"]), member=member_info(shape["member"]))


def published(shape: PublishedShape, data: bytes) -> Event:
    """Decode a message that was sent; its content stayed here."""
    return Event(
        group=shape["group"],
        topic=shape["topic"],
        data=data,
        sender=parse_did(shape["sender"]),
        address=Address.parse(shape["address"]),
        hostname=shape["hostname"],
        sequence=shape["sequence"],
        epoch_ms=shape["epoch_ms"],
        sent_ms=shape["sent_ms"],
    )


def event(shape: EventShape) -> Event:
    """Decode a message that came."""
    return Event(
        group=shape["group"],
        topic=shape["topic"],
        data=base64.b64decode(shape["data_base64"]),
        sender=parse_did(shape["sender"]),
        address=Address.parse(shape["address"]),
        hostname=shape["hostname"],
        sequence=shape["sequence"],
        epoch_ms=shape["epoch_ms"],
        sent_ms=shape["sent_ms"],
    )


def explanation(shape: ExplanationShape) -> Explanation:
    """Decode why one candidate was asked, or not."""
    return Explanation(
        public_key=parse_did(shape["did"]),
        hostname=shape["hostname"],
        is_capable=shape["is_capable"],
        rtt_s=shape["rtt_s"],
        load=shape["load"],
        work_s=shape["work_s"],
        success=shape["success"],
        outstanding=shape["outstanding"],
        circuit=CircuitState(shape["circuit"]),
        score=shape["score"],
        rank=shape["rank"],
        reason=shape["reason"],
    )


def answer(shape: QueryAnswerShape) -> Answer:
    """Decode an answer."""
    return Answer(
        content=_content(shape["form"], shape["answer"]),
        author=parse_did(shape["author"]["did"]),
        signers=tuple(parse_did(signer["did"]) for signer in shape["signers"]),
        is_shared=shape["is_shared"],
        age_s=shape["age_s"],
        expires_s=shape["expires_s"],
        duration_s=shape["duration_s"],
        explanation=tuple(explanation(one) for one in shape["explanation"]),
    )


def question(shape: QuestionShape) -> Question:
    """Decode a question to be answered."""
    return Question(
        asker=parse_did(shape["did"]),
        group=shape["group"],
        capability=shape["capability"],
        content=_content(shape["form"], shape["content"]),
        within_s=shape["within_s"],
    )


def _content(form: str, text: str) -> Content:
    return content_untrusted(Form[form.upper()], text.encode("utf-8"))
