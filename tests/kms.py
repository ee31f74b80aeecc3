"""A key service on this machine, with the app's secret as a key: moto's server, and its client."""

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from aiobotocore.session import get_session

import iop_async as iop

ALIAS = "alias/iop"


@dataclass
class KeyService:
    """Where it listens. ``stop`` and ``start`` make an outage; keys outlive it."""

    secret: str
    port: int = 0
    _server: object = field(default=None, repr=False)

    def start(self):
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self):
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def environment(self):
        """By which a client of AWS finds it."""
        return {
            "AWS_ENDPOINT_URL_KMS": f"http://127.0.0.1:{self.port}",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "anything",
        }

    async def import_secret(self, kms):
        """A key with the app's secret; moto has no ImportKeyMaterial, so it is put there."""
        from moto.kms.models import kms_backends

        made = await kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")
        key_id = made["KeyMetadata"]["KeyId"]
        kms_backends["123456789012"]["us-east-1"].keys[key_id].key_material = self.secret.encode()
        await kms.create_alias(AliasName=ALIAS, TargetKeyId=key_id)


@contextmanager
def running_kms(secret, monkeypatch):
    service = KeyService(secret)
    service.start()
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    try:
        yield service
    finally:
        service.stop()


@asynccontextmanager
async def kms_client(service):
    async with get_session().create_client("kms") as kms:
        await service.import_secret(kms)
        try:
            yield kms
        finally:
            service.stop()
            service.start()  # where a test stopped it
            await kms.delete_alias(AliasName=ALIAS)


class KmsSigner:
    """As the README has it."""

    sign_method = "sha256"

    def __init__(self, kms, key_id=ALIAS):
        self.kms, self.key_id = kms, key_id
        self.signatures = []

    async def sign(self, secret, path, params):
        assert secret == ""
        text = iop.signers.string_to_sign(path, params).encode()
        if len(text) > 4096:
            raise ValueError(f"KMS signs 4,096 bytes at most, and this call has {len(text)}")
        mac = await self.kms.generate_mac(
            KeyId=self.key_id, Message=text, MacAlgorithm="HMAC_SHA_256"
        )
        signature = mac["Mac"].hex().upper()
        self.signatures.append((signature, path, dict(params)))
        return signature
