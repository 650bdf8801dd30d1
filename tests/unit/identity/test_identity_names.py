"""Keys, did:key, ids, addresses, names and certificates."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.address import Address
from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.ids import NODE_ID_BITS, NodeId, PublicKey, distance, node_id_of
from pilotdht.identity.keys import KeyPair, did_of, parse_did, public_key_untrusted, verify
from pilotdht.identity.names import check_group_name, check_hostname, check_tag, is_group_name, is_hostname, is_tag

KEYS = KeyPair.from_seed(b"\x07" * 32)

RFC8032_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC8032_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
RFC8032_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
DID_EXAMPLE = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
"""The example of the did:key method's specification, section 1."""


def test_key_pair_is_that_of_rfc_8032() -> None:
    """Test 1 of RFC 8032, section 7.1."""
    keys = KeyPair.from_seed(RFC8032_SEED)
    assert RFC8032_PUBLIC == keys.public_key
    assert RFC8032_SIGNATURE == keys.sign(b"")
    assert verify(keys.public_key, b"", RFC8032_SIGNATURE)
    assert not verify(keys.public_key, b"x", RFC8032_SIGNATURE)
    assert not verify(keys.public_key, b"", RFC8032_SIGNATURE[:-1])
    assert not verify(PublicKey(b"\xff" * 32), b"", RFC8032_SIGNATURE)
    assert not verify(PublicKey(b"short"), b"", RFC8032_SIGNATURE)


def test_key_pair_hides_its_secret() -> None:
    """What is printed names the address, and a seed of another length is refused."""
    assert f"<KeyPair {KEYS.address}>" == repr(KEYS)
    for size in (0, 31, 33):
        with pytest.raises(InvalidArgument):
            KeyPair.from_seed(bytes(size))
    assert KeyPair.generate().public_key != KeyPair.generate().public_key


def test_did_reads_and_writes_the_specification_example() -> None:
    """The text form is that of the specification."""
    assert DID_EXAMPLE == did_of(parse_did(DID_EXAMPLE))
    assert KEYS.public_key == parse_did(KEYS.did)
    assert 56 == len(KEYS.did)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:key:z",
        "did:web:example.org",
        "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",  # X25519
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",  # secp256k1
        DID_EXAMPLE[:-1],
        DID_EXAMPLE + "K",
        DID_EXAMPLE + " ",
        DID_EXAMPLE + "\n",
        DID_EXAMPLE.replace("6", "0"),
        DID_EXAMPLE.replace("z6Mk", "z6M\u00e9"),
        DID_EXAMPLE.replace("did:key:z", "did:key:z1"),
        DID_EXAMPLE.upper(),
        "did:key:z" + "1" * 1000,
    ],
)
def test_parse_did_of_anything_else_is_refused(text: str) -> None:
    """Other methods, key types, spellings and lengths are the caller's error."""
    with pytest.raises(InvalidArgument):
        parse_did(text)


def test_node_id_and_distance() -> None:
    """Ids have 160 bits, follow from the key alone, and differ by XOR."""
    node_id = node_id_of(KEYS.public_key)
    assert (KEYS.node_id, NODE_ID_BITS) == (node_id, 8 * len(node_id))
    assert 0 == distance(node_id, node_id)
    assert 2**160 - 1 == distance(bytes(20), b"\xff" * 20)


def test_address_is_the_start_of_the_node_id() -> None:
    """Text and number say the same."""
    address = Address.of_node_id(NodeId(bytes.fromhex("A91F00007C2E") + bytes(14)), network=3)
    assert "3:A91F.0000.7C2E" == str(address)
    assert address == Address.parse("3:a91f.0000.7c2E")
    assert bytes.fromhex("A91F00007C2E") == address.packed
    assert KEYS.address.packed == KEYS.node_id[:6]


def test_address_order_is_by_network_then_value() -> None:
    """Sorted lists are the same everywhere."""
    texts = ["0:0000.0000.0001", "0:FFFF.FFFF.FFFF", "1:0000.0000.0000", "10:0000.0000.0000", "65535:0000.0000.0000"]
    assert texts == [str(address) for address in sorted(Address.parse(text) for text in reversed(texts))]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0:A91F.0000",
        "0:A91F.0000.7C2G",
        "0:A91F00007C2E",
        "65536:0000.0000.0000",
        "-1:0000.0000.0000",
        "0:A91F.0000.7C2E\n",
        " 0:A91F.0000.7C2E",
        "\u0660:0000.0000.0000",
        "000000:0000.0000.0000",
        "0:A91F.0000.7C2E.0000",
    ],
)
def test_address_of_another_form_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidArgument):
        Address.parse(text)


def test_address_out_of_range_is_refused() -> None:
    """Network and value have their bits and no more."""
    for network, value in ((-1, 0), (65536, 0), (0, -1), (0, 1 << 48)):
        with pytest.raises(InvalidArgument):
            Address(network, value)


@pytest.mark.parametrize("text", ["a", "a-b", "0", "a" * 63, "xn--bcher-kva"])
def test_hostname_well_formed_is_taken(text: str) -> None:
    """Labels of RFC 1123 in lower case."""
    assert text == check_hostname(text)


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "a\n", "b\u00fccher", "\u0661", None, 1, b"a"]
)
def test_hostname_malformed_is_refused(text: object) -> None:
    """Everything else is none."""
    assert not is_hostname(text)


def test_group_name_has_the_form_of_a_hostname() -> None:
    """The name of an org ends its members' hostnames."""
    for text in ("a", "research-2", "a" * 63):
        assert text == check_group_name(text)
    for wrong in ("", "A", "a.b", "a_b", "-a", "a-", "a" * 64, "a\n", None, b"a"):
        assert not is_group_name(wrong)


def test_tag_forms() -> None:
    """Tags allow dots, colons and underscores behind the first character."""
    assert "a.b:c_d-e" == check_tag("a.b:c_d-e")
    for text in ("", ".a", "A", "a b", "a" * 33, "a\n", None):
        assert not is_tag(text)
    for check in (check_tag, check_hostname, check_group_name):
        with pytest.raises(InvalidArgument):
            check("Not One")


@pytest.mark.parametrize("data", [None, "x" * 32, b"", b"x" * 31, b"x" * 33, bytearray(32), 5])
def test_public_key_from_the_network_has_its_size(data: object) -> None:
    """Anything but 32 bytes is a bad message."""
    with pytest.raises(BadMessage):
        public_key_untrusted(data)


def test_certificate_has_one_size_and_is_repeatable() -> None:
    """Certificates differ in key and signature only."""
    certificates = [make_certificate(KeyPair.from_seed(bytes([number]) * 32)) for number in range(20)]
    encoded = [certificate.public_bytes(Encoding.DER) for certificate in certificates]
    assert 1 == len({len(data) for data in encoded})
    assert encoded[7] == make_certificate(KEYS).public_bytes(Encoding.DER)
    certificates[7].verify_directly_issued_by(certificates[7])
