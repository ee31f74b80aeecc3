"""What is not to be believed, or not to be read, of what a platform sends by itself."""

from __future__ import annotations

from .calls import IopError


class WebhookError(IopError):
    """What came to an endpoint of yours is not to be acted on.

    Its words repeat nothing that came.

    Example::

        try:
            iop.webhooks.verify_push(app, body=b"[]", authorization="0" * 64)
        except iop.WebhookError as error:
            status = 400
    """


class WebhookSignatureError(WebhookError):
    """The platform did not sign it with this app's secret, or signed it too long ago.

    Answer 401 or 403. Where *everything* is refused so, the app key or the secret is another app's,
    or something before you changes bodies.

    Example::

        try:
            iop.webhooks.verify_push(app, body=raw_body + b" ", authorization=authorization)
        except iop.WebhookSignatureError as error:
            status = 401
    """


class WebhookMessageError(WebhookError):
    """The platform signed it, and it is no message that can be read.

    Answer 400: sent again, it is the same.

    Example::

        try:
            iop.webhooks.verify_push(app, body=raw_body, authorization=authorization)
        except iop.WebhookMessageError as error:
            status = 400
    """
