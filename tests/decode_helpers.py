"""An answer of an IOP gateway, decoded for a call that carries a secret."""

import json

import iop_async as iop

GATEWAY = iop.gateways.TAOBAO_GLOBAL
CANARY = "50000601c30canary3mSoB7701"
PATH = iop.Call("/order/get", {"refresh_token": CANARY}, access_token=CANARY)
DOTTED = iop.Call("aliexpress.solution.order.get")


def decode(body, call=PATH, *, status=200, headers=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return GATEWAY.decode(call, iop.HttpResponse(status, headers or {}, content))
