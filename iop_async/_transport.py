from ._models import HttpRequest, HttpResponse


class HttpxTransport:
    async def send(self, request: HttpRequest) -> HttpResponse:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass
