"""The verbs of the control API about groups and questions do what their names say, in the declared shape."""

from __future__ import annotations

import base64
from contextlib import aclosing
from pathlib import Path

import pytest

from pilotdht.client.channel import ControlChannel
from pilotdht.daemon import group_shapes, query_shapes
from pilotdht.errors import InvalidArgument, NodeClosed, NoQuorum, NotFound, UsageError
from pilotdht.gossip.values import GroupKind, MemberChange, MemberStatus
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.groups import keyed_group_id
from pilotdht.wire.invitations import parse_invitation
from pilotdht.wire.rotations import rotation_untrusted
from tests.support.fake_daemon import FakeDaemon, fake_daemon
from tests.support.fake_groups import GROUP_KEYS, NEXT_GROUP_KEYS, QUEUED, FakeGroup, event, member
from tests.support.fake_node import ALPHA, ALPHA_DID

GROUP = {"group": "research"}
ASK = {"question": "who?"}
BOB = KeyPair.from_seed(b"\7" * 32)


def in_group(daemon: FakeDaemon, kind: GroupKind = GroupKind.OPEN) -> FakeGroup:
    """Let the node be in ``research``."""
    daemon.node.joined["research"] = group = FakeGroup("research", kind)
    return group


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "fields", "shape"),
    [
        ("/v1/groups/create", {"name": "new"}, group_shapes.GroupShape),
        ("/v1/groups/create", {"name": "new", "kind": "token", "token": "s3cret"}, group_shapes.GroupShape),
        ("/v1/groups/create", {"name": "new", "kind": "org", "tags": ["a"]}, group_shapes.GroupShape),
        ("/v1/groups/join", {"name": "new", "capabilities": ["x"]}, group_shapes.GroupShape),
        ("/v1/groups/join", {"invitation": "pdht1x"}, group_shapes.GroupShape),
        ("/v1/groups/leave", GROUP, group_shapes.GroupLeftShape),
        ("/v1/groups/info", GROUP, group_shapes.GroupShape),
        ("/v1/groups/members", GROUP, group_shapes.MembersShape),
        ("/v1/groups/member", {**GROUP, "member": ALPHA_DID}, group_shapes.MemberShape),
        ("/v1/groups/metadata", {**GROUP, "load": 30}, group_shapes.GroupShape),
        ("/v1/groups/invite", GROUP, group_shapes.InvitationShape),
        ("/v1/groups/revoke", {**GROUP, "member": "agent-alpha"}, group_shapes.ExpelledShape),
        ("/v1/groups/rotate", {"group": "acme"}, group_shapes.RotatedShape),
        ("/v1/groups/publish", {**GROUP, "topic": "a.b", "data_base64": "aGk="}, group_shapes.PublishedShape),
        ("/v1/query", {**ASK, "target": "agent-alpha"}, query_shapes.QueryAnswerShape),
        ("/v1/query", {"question_json": {"a": None}, "target": "agent-alpha"}, query_shapes.QueryAnswerShape),
        ("/v1/query/group", {**ASK, **GROUP, "explain": True}, query_shapes.QueryAnswerShape),
        ("/v1/query/tag", {**ASK, "tag": "finance"}, query_shapes.QueryAnswerShape),
        ("/v1/query/choices", GROUP, query_shapes.ChoicesShape),
    ],
)
async def test_group_verb_answers_in_its_shape(
    tmp_path: Path, path: str, fields: dict[str, object], shape: type
) -> None:
    """The outcome of an act has exactly the declared keys."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        in_group(daemon)
        if path != "/v1/groups/join":  # the invitation is to acme
            daemon.node.joined["acme"] = FakeGroup("acme", GroupKind.ORG)
        answer = await channel.post(path, fields)

    assert isinstance(answer, dict)
    assert set(shape.__annotations__) == set(answer)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        ("/v1/groups/create", {}, "name"),
        ("/v1/groups/create", {"name": "x", "kind": "secret"}, "kind"),
        ("/v1/groups/create", {"name": "x", "token": 5}, "token"),
        ("/v1/groups/create", {"name": "x", "tags": ["a"] * 9}, "tags"),
        ("/v1/groups/create", {"name": "x", "capabilities": ["a"] * 17}, "capabilities"),
        ("/v1/groups/join", {"name": "x", "invitation": "x" * 5000}, "invitation"),
        ("/v1/groups/leave", {}, "group"),
        ("/v1/groups/metadata", {**GROUP, "load": 101}, "load"),
        ("/v1/groups/metadata", {**GROUP, "load": True}, "load"),
        ("/v1/groups/metadata", {**GROUP, "tags": "a"}, "tags"),
        ("/v1/groups/invite", {**GROUP, "role": "owner"}, "role"),
        ("/v1/groups/invite", {**GROUP, "role": "inviter"}, "role"),
        ("/v1/groups/invite", {**GROUP, "holder": "bob"}, "did:key"),
        ("/v1/groups/invite", {**GROUP, "lifetime_s": 0}, "lifetime_s"),
        ("/v1/groups/invite", {**GROUP, "lifetime_s": 1e12}, "lifetime_s"),
        ("/v1/groups/invite", {**GROUP, "hints": ["a:1"] * 4}, "hints"),
        ("/v1/groups/revoke", {**GROUP, "member": ".research"}, "member"),
        ("/v1/groups/rotate", {}, "group"),
        ("/v1/groups/rotate", {**GROUP, "grace_s": 0}, "grace_s"),
        ("/v1/groups/rotate", {**GROUP, "grace_s": "7d"}, "grace_s"),
        ("/v1/groups/rotate", {**GROUP, "grace_s": 1e12}, "grace_s"),
        ("/v1/groups/rotate", {**GROUP, "member": ALPHA_DID}, "member"),
        ("/v1/groups/publish", {**GROUP, "topic": "a", "data_base64": "%"}, "data_base64"),
        ("/v1/groups/subscribe", {**GROUP, "replay": 1}, "replay"),
        ("/v1/groups/subscribe", {**GROUP, "pattern": "**.a"}, "pattern"),
        ("/v1/groups/changes", {**GROUP, "since": 1}, "since"),
        ("/v1/query", {"target": "agent-alpha"}, "question"),
        ("/v1/query", {**ASK, "question_json": 1, "target": "agent-alpha"}, "question"),
        ("/v1/query", {"question": 7, "target": "agent-alpha"}, "question"),
        ("/v1/query/group", {**ASK, **GROUP, "quorum": 0}, "quorum"),
        ("/v1/query/tag", {**ASK, "tag": "x", "fresh": True}, "fresh"),
        ("/v1/query/stream", ASK, "target"),
        ("/v1/query/stream", {**ASK, **GROUP, "target": "agent-alpha", "tags": ["x"]}, "target"),
        ("/v1/query/serve?most=0", {}, "most"),
        ("/v1/query/serve?most=x", {}, "most"),
    ],
)
async def test_wrong_field_of_a_group_verb_is_named(
    tmp_path: Path, path: str, fields: dict[str, object], named: str
) -> None:
    """A field that is missing, malformed or unknown is an error that names it."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        in_group(daemon)
        with pytest.raises(InvalidArgument, match=named):
            async for _ in channel.lines(path, fields):
                pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/groups/info", {}),
        ("/v1/groups/members", {}),
        ("/v1/groups/leave", {}),
        ("/v1/groups/rotate", {}),
        ("/v1/groups/publish", {"topic": "a", "data_base64": ""}),
        ("/v1/groups/subscribe", {}),
        ("/v1/groups/changes", {}),
        ("/v1/query/group", ASK),
        ("/v1/query/choices", {}),
        ("/v1/query/stream", ASK),
        ("/v1/query/serve?group=research", {}),
    ],
)
async def test_group_that_the_node_is_not_in_is_not_found(tmp_path: Path, path: str, fields: dict[str, object]) -> None:
    """At once, also where a stream was asked for."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        with pytest.raises(NotFound, match="research"):
            async for _ in channel.lines(path, {} if "?" in path else {**GROUP, **fields}):
                pass


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "text",
    ["agent-alpha", "agent-alpha.research", str(ALPHA.address), ALPHA_DID],
    ids=["name", "org", "address", "did"],
)
async def test_member_to_expel_can_be_named_in_every_way(tmp_path: Path, text: str) -> None:
    """Hostname, hostname of an org, address and did:key mean the same member, also one that is not there."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon)
        group.others = [member(status=MemberStatus.DEAD)]
        await channel.post("/v1/groups/revoke", {**GROUP, "member": text, "reason": "bye"})

        assert [(ALPHA.public_key, "bye")] == group.revoked


@pytest.mark.asyncio
@pytest.mark.parametrize("text", ["nobody", str(BOB.address)])
async def test_member_that_nobody_knows_is_not_found(tmp_path: Path, text: str) -> None:
    """No stranger is expelled by mistake; one by its key can be."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon)
        with pytest.raises(NotFound):
            await channel.post("/v1/groups/revoke", {**GROUP, "member": text})
        await channel.post("/v1/groups/revoke", {**GROUP, "member": BOB.did})

        assert [(BOB.public_key, "")] == group.revoked


@pytest.mark.asyncio
async def test_invitation_is_told_with_what_it_makes(tmp_path: Path) -> None:
    """Whoever reads the answer need not read the invitation."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        in_group(daemon, GroupKind.ORG)
        fields = {**GROUP, "role": "admin", "holder": BOB.did, "hostname": "bob", "lifetime_s": 60}
        made = await channel.post("/v1/groups/invite", fields)

    assert isinstance(made, dict)
    invitation = parse_invitation(made["invitation"])
    assert BOB.public_key == invitation.holder
    assert ("admin", BOB.did, "bob") == (made["role"], made["holder"], made["hostname"])
    assert invitation.expires_s == made["expires_s"]


@pytest.mark.asyncio
async def test_new_key_is_told_with_the_id_and_the_date(tmp_path: Path) -> None:
    """Whoever reads the answer need not read the notice; it is what the node signed."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon, GroupKind.ORG)
        told = await channel.post("/v1/groups/rotate", {**GROUP, "grace_s": 120})
        in_group(daemon)
        with pytest.raises(UsageError, match="another key"):
            await channel.post("/v1/groups/rotate", GROUP)

    assert isinstance(told, dict)
    rotation = rotation_untrusted(base64.b64decode(told["notice_base64"]), group_key=GROUP_KEYS.public_key)
    assert (NEXT_GROUP_KEYS.public_key, [120.0]) == (rotation.successor, group.rotated)
    assert keyed_group_id(rotation.successor, network=0).hex() == told["group_id"]
    assert ("research", rotation.until_s) == (told["group"], told["moves_until_s"])


@pytest.mark.asyncio
async def test_events_come_from_the_first_line_on(tmp_path: Path) -> None:
    """Whatever happens after the first line is in the stream, whatever was kept before it when asked for."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon)
        group.kept.append(event(b"kept"))
        fields = {**GROUP, "pattern": "prices.*", "replay": True}
        async with aclosing(channel.lines("/v1/groups/subscribe", fields)) as lines:
            assert GROUP == await anext(lines)
            group.arrive(event(b"new", sequence=2))
            group.arrive(event(b"other", "weather.berlin"))
            group.arrive(event(b"\xff", sequence=3))
            told = [await anext(lines) for _ in range(3)]

    assert ["a2VwdA==", "bmV3", "/w=="] == [line["data_base64"] for line in told]
    assert set(group_shapes.EventShape.__annotations__) == set(told[0])


@pytest.mark.asyncio
async def test_reader_that_sleeps_is_told_what_it_missed(tmp_path: Path) -> None:
    """The oldest are dropped and counted; the node is not held up."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon)
        async with aclosing(channel.lines("/v1/groups/subscribe", GROUP)) as lines:
            await anext(lines)
            for number in range(1, QUEUED + 3):  # all within one turn of the loop
                group.arrive(event(b"%d" % number, sequence=number))
            told = [await anext(lines) for _ in range(QUEUED)]

    assert [3, 4, 5] == [line["sequence"] for line in told]
    assert 2 == told[-1]["missed"]


@pytest.mark.asyncio
async def test_changes_of_membership_are_told(tmp_path: Path) -> None:
    """Who it is, and what happened."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon)
        async with aclosing(channel.lines("/v1/groups/changes", GROUP)) as lines:
            await anext(lines)
            group.change(MemberChange.FAILED, member(status=MemberStatus.DEAD))
            told = await anext(lines)

    assert set(group_shapes.MemberEventShape.__annotations__) == set(told)
    assert ("failed", 0) == (told["change"], told["missed"])
    assert set(group_shapes.MemberShape.__annotations__) == set(told["member"])  # type: ignore[call-overload]


@pytest.mark.asyncio
async def test_stream_ends_when_the_group_is_left(tmp_path: Path) -> None:
    """A reader is told why nothing comes any more."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        in_group(daemon)
        async with aclosing(channel.lines("/v1/groups/subscribe", GROUP)) as lines:
            await anext(lines)
            await channel.post("/v1/groups/leave", GROUP)
            with pytest.raises(NodeClosed):
                await anext(lines)


@pytest.mark.asyncio
async def test_reader_that_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its subscription is closed."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        group = in_group(daemon)
        async with aclosing(channel.lines("/v1/groups/subscribe", GROUP)) as lines:
            await anext(lines)
            assert 1 == len(group.subscriptions)
    assert [] == group.subscriptions


@pytest.mark.asyncio
async def test_question_reaches_the_node_as_it_was_asked(tmp_path: Path) -> None:
    """Every field arrives, JSON as JSON."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        in_group(daemon)
        fields = {**GROUP, "capability": "x", "tags": ["a"], "quorum": 3, "fresh": True, "explain": True}
        told = await channel.post("/v1/query/group", {**fields, "question_json": {"a": [1, None]}})

    assert isinstance(told, dict)
    expected = {**GROUP, "question": {"a": [1, None]}, "capability": "x", "tags": ("a",), "quorum": 3, "fresh": True}
    assert [("query_group", expected)] == daemon.node.asked
    assert ["asked first", "is this node itself"] == [one["reason"] for one in told["explanation"]]
    assert ["agent-alpha"] * 3 == [signer["hostname"] for signer in told["signers"]]


@pytest.mark.asyncio
async def test_split_of_a_failed_quorum_survives(tmp_path: Path) -> None:
    """The caller sees who differs."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        in_group(daemon)
        daemon.node.failure = NoQuorum("two and one", split=(("yes", 2), ("no", 1)))
        with pytest.raises(NoQuorum) as caught:
            await channel.post("/v1/query/group", {**GROUP, **ASK, "quorum": 3})

    assert (("yes", 2), ("no", 1)) == caught.value.split


@pytest.mark.asyncio
async def test_answer_is_told_part_by_part(tmp_path: Path) -> None:
    """The last line is the whole answer."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        lines = [line async for line in channel.lines("/v1/query/stream", {**ASK, "target": "agent-alpha"})]

    assert [{"part": "Shannon"}, {"part": " 1948"}] == lines[:-1]
    assert "Shannon 1948" == lines[-1]["answer"]["answer"]  # type: ignore[index]


@pytest.mark.asyncio
async def test_members_of_orgs_are_among_the_known_names(tmp_path: Path) -> None:
    """They complete as host.org."""
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        daemon.node.joined["acme"] = FakeGroup("acme", GroupKind.ORG)
        in_group(daemon)
        told = await channel.get("/v1/hostnames")

    assert {"hostnames": ["agent-alpha", "agent-alpha.acme"]} == told
