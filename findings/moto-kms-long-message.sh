#!/usr/bin/env bash
# moto 5.2.5 (its KMS), boto3 1.43.117, Python 3.11, 2026-11-27
#
# The API reference of AWS KMS gives GenerateMac messages of 1 to 4,096 bytes.
# Expected: a stand-in for tests refuses a longer message, as the service does.
# Seen: 5,000 bytes get their MAC. Who signs requests by such a key (parameters of a marketplace's
# upload are soon longer) is green in tests and refused in production.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet 'moto[kms]==5.2.5' boto3==1.43.117
"$folder/env/bin/python" - <<'PY'
import boto3
from moto import mock_aws

with mock_aws():
    kms = boto3.client(
        "kms", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    key = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]
    for length in (4096, 5000):
        answer = kms.generate_mac(
            KeyId=key["KeyId"], MacAlgorithm="HMAC_SHA_256", Message=b"a" * length
        )
        print(length, "bytes:", len(answer["Mac"]), "bytes of MAC")
PY
