"""Signatures: golden vectors, and what they do not depend on."""

import hashlib
import hmac
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iop_async import Signer, signers

VECTORS = [
    vector
    for path in sorted((Path(__file__).parent / "vectors").glob("*.json"))
    for vector in json.loads(path.read_text())
]
SIGNERS = [signers.HMAC_SHA256, signers.HMAC_MD5, signers.TOP_HMAC_SHA256, signers.TOP_MD5]
BY_METHOD = {signer.sign_method: signer for signer in SIGNERS}
HMACS = [signer.sign_method for signer in SIGNERS if isinstance(signer, signers.HmacSigner)]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_published_and_computed_vectors(vector):
    """The text that is signed and the signature are those of the vector."""
    signer = BY_METHOD[vector["sign_method"]]
    params = vector["params"]
    assert signers.string_to_sign(vector["path"], params) == vector["string_to_sign"]
    assert signer.sign(vector["secret"], vector["path"], params) == vector["sign"]


@given(st.dictionaries(st.text(min_size=1), st.text()), st.randoms())
def test_the_signature_does_not_depend_on_order(params, random):
    """Parameters are sorted before they are signed."""
    items = list(params.items())
    random.shuffle(items)
    assert signers.string_to_sign("/a", dict(items)) == signers.string_to_sign("/a", params)


@given(
    st.text(min_size=1, max_size=200),
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))),
    st.sampled_from(HMACS),
)
def test_the_prepared_key_gives_the_hmac_of_the_standard_library(secret, params, method):
    """Any key length, any text."""
    secret = secret.encode("utf-8", "replace").decode()
    signer = BY_METHOD[method]
    text = signers.string_to_sign("/a", params)
    expected = hmac.new(secret.encode(), text.encode(), getattr(hashlib, signer.algorithm))
    assert signer.sign(secret, "/a", params) == expected.hexdigest().upper()


def test_sign_itself_is_not_signed():
    """A request can be verified as it came."""
    assert signers.string_to_sign("/a", {"b": "1", "sign": "X"}) == "/ab1"


def test_every_signer_has_the_shape_of_the_protocol():
    """Ours can be replaced by any object of that shape."""
    assert all(isinstance(signer, Signer) for signer in BY_METHOD.values())
