"""Facts about groups and questions as JSON: each function fills one shape."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.daemon.encode import encode_base64
from pilotdht.daemon.group_shapes import (
    EventShape,
    ExpelledShape,
    GroupShape,
    InvitationShape,
    MemberEventShape,
    MemberShape,
    PublishedShape,
    RotatedShape,
)
from pilotdht.daemon.query_shapes import ExplanationShape, PersonShape, QueryAnswerShape
from pilotdht.gossip.values import Event, GroupInfo, MemberEvent, MemberInfo
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of
from pilotdht.services.query.values import Answer, Explanation
from pilotdht.wire.groups import keyed_group_id
from pilotdht.wire.invitations import Invitation
from pilotdht.wire.revocations import Revocation
from pilotdht.wire.rotations import Rotation

Named = Callable[[PublicKey], PersonShape]
"""Tells who a key is."""


def group_shape(info: GroupInfo) -> GroupShape:
    """Encode a group."""
    return {
        "name": info.name,
        "group_id": info.group_id.hex(),
        "kind": info.kind.value,
        "role": info.role.name.lower(),
        "alive": info.alive,
        "suspect": info.suspect,
        "dead": info.dead,
        "health": info.health,
        "topics": list(info.topics),
        "events": info.events,
        "expires_s": info.expires_s,
        "is_expelled": info.is_expelled,
        "moves_until_s": info.moves_until_s,
    }


def member_shape(member: MemberInfo) -> MemberShape:
    """Encode a member."""
    return {
        "address": str(member.address),
        "did": did_of(member.public_key),
        "hostname": member.hostname,
        "status": member.status.value,
        "role": member.role.name.lower(),
        "tags": list(member.tags),
        "capabilities": list(member.capabilities),
        "load": member.load,
        "version": member.version,
        "incarnation": member.incarnation,
        "rtt_s": member.rtt_s,
        "since_s": member.since_s,
        "is_self": member.is_self,
    }


def member_event_shape(event: MemberEvent, missed: int) -> MemberEventShape:
    """Encode a change of membership."""
    return {
        "group": event.group,
        "change": event.change.value,
        "member": member_shape(event.member),
        "missed": missed,
    }


def invitation_shape(invitation: Invitation, text: str, hostname: str) -> InvitationShape:
    """Encode an invitation."""
    return {
        "group": invitation.name,
        "invitation": text,
        "role": invitation.role.name.lower(),
        "hostname": hostname,
        "holder": None if invitation.holder is None else did_of(invitation.holder),
        "expires_s": float(invitation.expires_s),
    }


def expelled_shape(group: str, revocation: Revocation, *, network: int) -> ExpelledShape:
    """Encode that somebody is out of a group of mesh ``network``."""
    return {
        "group": group,
        "did": did_of(revocation.holder),
        "address": str(Address.of_public_key(revocation.holder, network=network)),
        "reason": revocation.reason,
        "notice_base64": encode_base64(revocation.wire),
    }


def rotated_shape(group: str, rotation: Rotation, *, network: int) -> RotatedShape:
    """Encode that a group of mesh ``network`` has another key."""
    return {
        "group": group,
        "group_id": keyed_group_id(rotation.successor, network=network).hex(),
        "moves_until_s": float(rotation.until_s),
        "notice_base64": encode_base64(rotation.wire),
    }


def published_shape(event: Event) -> PublishedShape:
    """Encode a message that was sent, without its content."""
    return {
        "group": event.group,
        "topic": event.topic,
        "sender": did_of(event.sender),
        "address": str(event.address),
        "hostname": event.hostname,
        "sequence": event.sequence,
        "epoch_ms": event.epoch_ms,
        "sent_ms": event.sent_ms,
        "size_bytes": len(event.data),
    }


def event_shape(event: Event, missed: int) -> EventShape:
    """Encode a message that came."""
    return {
        "group": event.group,
        "topic": event.topic,
        "data_base64": encode_base64(event.data),
        "sender": did_of(event.sender),
        "address": str(event.address),
        "hostname": event.hostname,
        "sequence": event.sequence,
        "epoch_ms": event.epoch_ms,
        "sent_ms": event.sent_ms,
        "missed": missed,
    }


def explanation_shape(explanation: Explanation, *, network: int) -> ExplanationShape:
    """Encode why one candidate of mesh ``network`` was asked, or not."""
    return {
        "did": did_of(explanation.public_key),
        "address": str(Address.of_public_key(explanation.public_key, network=network)),
        "hostname": explanation.hostname,
        "is_capable": explanation.is_capable,
        "rtt_s": explanation.rtt_s,
        "load": explanation.load,
        "work_s": explanation.work_s,
        "success": explanation.success,
        "outstanding": explanation.outstanding,
        "circuit": explanation.circuit.value,
        "score": explanation.score,
        "rank": explanation.rank,
        "reason": explanation.reason,
    }


def answer_shape(answer: Answer, named: Named, *, network: int) -> QueryAnswerShape:
    """Encode an answer given on mesh ``network``; ``named`` tells who a key is."""
    return {
        "answer": answer.text,
        "form": answer.content.form.name.lower(),
        "author": named(answer.author),
        "signers": [named(signer) for signer in answer.signers],
        "is_shared": answer.is_shared,
        "age_s": answer.age_s,
        "expires_s": answer.expires_s,
        "duration_s": answer.duration_s,
        "explanation": [explanation_shape(one, network=network) for one in answer.explanation],
    }
