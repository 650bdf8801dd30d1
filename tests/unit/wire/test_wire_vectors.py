"""The wire format is what the vectors say, read by our code and, byte by byte, without it."""

from __future__ import annotations

import importlib.util
import json
from hashlib import scrypt, sha256, sha512
from pathlib import Path
from types import ModuleType
from typing import Any

import base58
import msgpack
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import chain_untrusted
from pilotdht.wire.envelope import REPLIES, REQUESTS, envelope_untrusted
from pilotdht.wire.invitations import parse_invitation
from pilotdht.wire.records import RecordKind, signed_record_untrusted
from pilotdht.wire.seal import Sealer, network_salt

ROOT = Path(__file__).parents[3]
VECTORS: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "wire.json").read_text())


def maker() -> ModuleType:
    """Load the script that makes the vectors."""
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "scripts" / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vectors_made_again_are_the_same() -> None:
    """The code still writes each byte as the vectors have it."""
    made = maker().vectors()
    assert list(VECTORS) == list(made)
    for part, vectors in VECTORS.items():
        assert vectors == made[part], part


def test_vectors_cover_every_message_and_record() -> None:
    """No type of message or record is without a vector."""
    codes = {envelope_untrusted(bytes.fromhex(data)).message.code for data in VECTORS["messages"].values()}
    assert set(REQUESTS) | set(REPLIES) == codes
    kinds = {signed_record_untrusted(bytes.fromhex(v["wire"])).record.kind for v in VECTORS["records"].values()}
    assert set(RecordKind) == kinds


@pytest.mark.parametrize("name", VECTORS["messages"])
def test_vector_of_message_reads_and_writes_back(name: str) -> None:
    """Decoding and encoding are each other's inverse."""
    data = bytes.fromhex(VECTORS["messages"][name])
    assert data == envelope_untrusted(data).encoded()
    assert data + b"\0" * 9 == envelope_untrusted(data + b"\0" * 9).encoded(size_bytes=len(data) + 9)
    length, fields = int.from_bytes(data[:2], "big"), msgpack.unpackb(data[2:])
    assert len(data) - 2 == length
    assert bytes.fromhex("0102030405060708") == fields[1]


@pytest.mark.parametrize("name", VECTORS["messages"])
def test_vector_of_message_cut_anywhere_is_refused(name: str) -> None:
    """No prefix of a message is a message."""
    data = bytes.fromhex(VECTORS["messages"][name])
    for size in range(len(data)):
        with pytest.raises(BadMessage):
            envelope_untrusted(data[:size])
        if size >= 2:  # with a length that fits what is there
            with pytest.raises(BadMessage):
                envelope_untrusted((size - 2).to_bytes(2, "big") + data[2:size])


@pytest.mark.parametrize("name", VECTORS["records"])
def test_vector_of_record_reads_back_and_any_change_is_refused(name: str) -> None:
    """A record is its bytes: cut, extended or changed anywhere it is none."""
    wire = bytes.fromhex(VECTORS["records"][name]["wire"])
    signed = signed_record_untrusted(wire)
    assert VECTORS["records"][name]["key"] == signed.record.key.hex()
    assert VECTORS["records"][name]["body"] == signed.record.body().hex()
    changed = [wire[:size] for size in range(len(wire))] + [wire + b"\0"]
    changed += [wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :] for at in range(len(wire))]
    for data in changed:
        with pytest.raises(BadMessage):
            signed_record_untrusted(data)


@pytest.mark.parametrize("name", VECTORS["records"])
def test_vector_of_record_is_signed_as_written(name: str) -> None:
    """The signature is plain Ed25519 over the label and the body, and the key lies where SHA-256 says."""
    vector = VECTORS["records"][name]
    body, signature = msgpack.unpackb(bytes.fromhex(vector["wire"]))
    assert vector["body"] == body.hex()
    version, kind, network, public_key, *_, last = msgpack.unpackb(body)
    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, b"pilotdht/1 record" + body)
    assert 1 == version
    fields, mesh = msgpack.unpackb(body)[6:], network.to_bytes(2, "big")
    if kind in (1, 4):
        parts = [b"node", mesh, sha256(b"pilotdht/1 id" + public_key).digest()[:6]]
    elif kind in (2, 3):
        parts = [b"host", mesh, b"agent-alpha"] if kind == 2 else [b"tag", mesh, b"mcp", bytes([last])]
    elif kind == 5:
        parts = [b"group" if last else b"open group", mesh, fields[0], bytes([fields[1]])]
    else:
        _, group_key, holder, *_ = msgpack.unpackb(msgpack.unpackb(fields[0][1:])[0])
        subject = holder if fields[0][0] == 3 else group_key
        parts = [b"group notice", mesh, sha256(b"pilotdht/1 keyed group" + mesh + group_key).digest()[:20], subject]
    hashed = b"pilotdht/1 key " + parts[0] + b"".join(len(part).to_bytes(2, "big") + part for part in parts[1:])
    assert vector["key"] == sha256(hashed).digest()[:20].hex()


@pytest.mark.parametrize("vector", VECTORS["identity"], ids=["alice", "bob"])
def test_vector_of_identity_follows_from_the_seed(vector: dict[str, Any]) -> None:
    """Key, id, address and did:key by the bare primitives."""
    public_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"])).public_key().public_bytes_raw()
    node_id = sha256(b"pilotdht/1 id" + public_key).digest()[:20]
    digits = node_id[:6].hex().upper()
    assert (vector["public_key"], vector["node_id"]) == (public_key.hex(), node_id.hex())
    assert vector["address"] == f"0:{digits[:4]}.{digits[4:8]}.{digits[8:]}"
    assert vector["did"] == "did:key:z" + base58.b58encode(b"\xed\x01" + public_key).decode()


def agreed(seed: str, peer_seed: str) -> bytes:
    """Return the X25519 secret from both private keys, without mapping any Edwards point."""
    own, peer = (
        X25519PrivateKey.from_private_bytes(sha512(bytes.fromhex(text)).digest()[:32]) for text in (seed, peer_seed)
    )
    return own.exchange(X25519PublicKey.from_public_bytes(peer.public_key().public_bytes_raw()))


def test_vector_of_agreement_is_plain_x25519() -> None:
    """Mapping the Edwards keys gives what X25519 gives on the same scalars, from either side."""
    vector = VECTORS["agreement"]
    assert vector["secret"] == agreed(vector["seed"], vector["peer_seed"]).hex()
    alice, bob = (KeyPair.from_seed(bytes.fromhex(vector[name])) for name in ("seed", "peer_seed"))
    assert vector["secret"] == bob.agree(alice.public_key).hex() == alice.agree(bob.public_key).hex()


@pytest.mark.parametrize("vector", VECTORS["sealed"])
def test_vector_of_sealed_datagram_opens_with_bare_primitives(vector: dict[str, Any]) -> None:
    """HKDF, AES-256-GCM and the header by hand; then by our code."""
    datagram, nonce = bytes.fromhex(vector["datagram"]), bytes.fromhex(vector["nonce"])
    sender, receiver = (KeyPair.from_seed(bytes.fromhex(vector[f"{name}_seed"])) for name in ("sender", "receiver"))
    network_key = bytes.fromhex(vector["network_key"])
    salt = sha256(b"pilotdht/1 seal network" + vector["network"].to_bytes(2, "big") + network_key).digest()
    info = b"pilotdht/1 seal" + sender.public_key + receiver.public_key + vector["day"].to_bytes(4, "big")
    secret = agreed(vector["sender_seed"], vector["receiver_seed"])
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(secret)
    assert b"\x20" + sender.public_key + nonce == datagram[:45]
    assert vector["plaintext"] == AESGCM(key).decrypt(nonce, datagram[45:], b"\x20").hex()
    sealer = Sealer(receiver, salt=network_salt(vector["network"], network_key), capacity=4)
    opened = sealer.open_untrusted(datagram, unix_time=vector["day"] * 86_400 + 43_200)
    assert (PublicKey(sender.public_key), bytes.fromhex(vector["plaintext"])) == opened


def test_vector_of_group_ids_and_token_follows_from_bare_primitives() -> None:
    """SHA-256 over name or key, and scrypt over the token."""
    vectors, token = VECTORS["groups"], VECTORS["groups"]["token"]
    group_key = bytes.fromhex(vectors["group_key"])
    assert {
        "open research": sha256(b"pilotdht/1 open group\0\0research").digest()[:20].hex(),
        "open research, network 7": sha256(b"pilotdht/1 open group\0\7research").digest()[:20].hex(),
        "keyed": sha256(b"pilotdht/1 keyed group\0\0" + group_key).digest()[:20].hex(),
        "keyed, network 7": sha256(b"pilotdht/1 keyed group\0\7" + group_key).digest()[:20].hex(),
    } == vectors["ids"]
    salt = b"pilotdht/1 token group \0\0" + token["name"].encode()
    seed = scrypt(token["token"].encode(), salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
    derived = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert token["group_key"] == derived.hex()


@pytest.mark.parametrize("name", VECTORS["groups"]["chains"])
def test_vector_of_chain_is_signed_as_written(name: str) -> None:
    """Plain Ed25519 from the group's key on, link by link; and any change is refused."""
    vector, group_key = VECTORS["groups"]["chains"][name], bytes.fromhex(VECTORS["groups"]["group_key"])
    wire = bytes.fromhex(vector["wire"])
    issuer = group_key
    for *fields, signature in msgpack.unpackb(wire):
        signed = b"pilotdht/1 certificate" + group_key + issuer + msgpack.packb(fields)
        Ed25519PublicKey.from_public_bytes(issuer).verify(signature, signed)
        issuer = fields[0]
    chain = chain_untrusted(wire, PublicKey(group_key))
    assert (vector["holder"], vector["role"]) == (issuer.hex(), fields[1]) == (chain.holder.hex(), chain.role)
    changed = [wire[:size] for size in range(len(wire))] + [wire + b"\0"]
    changed += [wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :] for at in range(len(wire))]
    for data in changed:
        with pytest.raises(BadMessage):
            chain_untrusted(data, PublicKey(group_key))


@pytest.mark.parametrize("name", VECTORS["groups"]["invitations"])
def test_vector_of_invitation_reads_and_writes_back(name: str) -> None:
    """The checksum is that of SHA-256, and the text the only one for what it says."""
    text = VECTORS["groups"]["invitations"][name]
    data = base58.b58decode(text.removeprefix("pdht1"))
    assert data[-4:] == sha256(b"pilotdht/1 invitation" + data[:-4]).digest()[:4]
    assert text == parse_invitation(text).text()
