"""What the pages say, in the languages that sellers of the platforms read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen


@frozen
class Words:
    """One page, in one language."""

    title: str
    text: str


AGAIN: Final = {"en": "Start again", "zh": "重新开始", "es": "Empezar de nuevo"}

STATUSES: Final = {
    "connected": 200,
    "declined": 403,
    "failed": 502,
    "expired": 400,
    "used": 409,
    "foreign": 403,
    "broken": 400,
    "refused": 400,
    "unavailable": 503,
    "unfinished": 500,
}

PAGES: Final[Mapping[str, Mapping[str, Words]]] = {
    "en": {
        "connected": Words(
            "Your shop is connected",
            "Everything went well. You can close this window, or go back to where you came from.",
        ),
        "declined": Words(
            "Your shop was not connected",
            "You declined, and nothing was changed. If that was a mistake, you can start again.",
        ),
        "failed": Words(
            "The platform could not connect your shop",
            "It reported a problem of its own. Nothing was changed; please try again in a while.",
        ),
        "expired": Words(
            "This took too long",
            "For your safety an authorization must be completed within minutes. Nothing was "
            "changed; please start again.",
        ),
        "used": Words(
            "This link was used already",
            "If your shop was connected a moment ago, there is nothing left to do. Otherwise "
            "please start again.",
        ),
        "foreign": Words(
            "This was not started in this browser",
            "For your safety an authorization must be completed in the browser in which it was "
            "started, with cookies allowed. Nothing was changed; please start again here.",
        ),
        "broken": Words(
            "This link is not complete",
            "Something is missing from it, or is there twice. Nothing was changed; please start "
            "again.",
        ),
        "refused": Words(
            "The authorization was not accepted",
            "The platform did not accept it any more: it may have expired, or been used. Please "
            "start again.",
        ),
        "unavailable": Words(
            "Your shop could not be connected just now",
            "Something on the way does not work at the moment. Please try again in a few minutes.",
        ),
        "unfinished": Words(
            "Your shop is connected, but something went wrong after that",
            "The authorization is kept. Please tell the support of this application.",
        ),
    },
    "zh": {
        "connected": Words("店铺已连接", "一切顺利。您可以关闭此窗口，或返回之前的页面。"),
        "declined": Words(
            "店铺未连接", "您拒绝了授权，没有任何更改。如果这是误操作，可以重新开始。"
        ),
        "failed": Words("平台无法连接您的店铺", "平台自身报告了问题。没有任何更改，请稍后再试。"),
        "expired": Words(
            "操作超时", "为了您的安全，授权必须在几分钟内完成。没有任何更改，请重新开始。"
        ),
        "used": Words(
            "此链接已被使用", "如果您的店铺刚刚已连接，则无需再做任何操作；否则请重新开始。"
        ),
        "foreign": Words(
            "授权不是在此浏览器中发起的",
            "为了您的安全，授权必须在发起它的浏览器中完成，并且需要允许 Cookie。没有任何更改，"
            "请在此处重新开始。",
        ),
        "broken": Words("链接不完整", "链接缺少内容，或有内容重复。没有任何更改，请重新开始。"),
        "refused": Words(
            "授权未被接受", "平台不再接受此授权：它可能已过期或已被使用。请重新开始。"
        ),
        "unavailable": Words("暂时无法连接您的店铺", "中间某个环节目前无法工作。请几分钟后再试。"),
        "unfinished": Words("店铺已连接，但随后出现了问题", "授权已保存。请联系此应用的客服。"),
    },
    "es": {
        "connected": Words(
            "Tu tienda está conectada",
            "Todo ha ido bien. Puedes cerrar esta ventana o volver a la página anterior.",
        ),
        "declined": Words(
            "Tu tienda no se ha conectado",
            "Has rechazado la autorización y no se ha cambiado nada. Si ha sido un error, puedes "
            "empezar de nuevo.",
        ),
        "failed": Words(
            "La plataforma no ha podido conectar tu tienda",
            "Ha comunicado un problema propio. No se ha cambiado nada; inténtalo más tarde.",
        ),
        "expired": Words(
            "Ha pasado demasiado tiempo",
            "Por seguridad, la autorización debe completarse en unos minutos. No se ha cambiado "
            "nada; empieza de nuevo.",
        ),
        "used": Words(
            "Este enlace ya se ha usado",
            "Si tu tienda se acaba de conectar, no hay nada más que hacer. Si no, empieza de "
            "nuevo.",
        ),
        "foreign": Words(
            "Esto no se inició en este navegador",
            "Por seguridad, la autorización debe completarse en el navegador en el que se inició, "
            "con las cookies permitidas. No se ha cambiado nada; empieza de nuevo aquí.",
        ),
        "broken": Words(
            "Este enlace no está completo",
            "Le falta algo, o lo tiene dos veces. No se ha cambiado nada; empieza de nuevo.",
        ),
        "refused": Words(
            "No se ha aceptado la autorización",
            "La plataforma ya no la acepta: puede que haya caducado o que ya se haya usado. "
            "Empieza de nuevo.",
        ),
        "unavailable": Words(
            "Ahora mismo no se puede conectar tu tienda",
            "Algo no funciona en este momento. Inténtalo de nuevo dentro de unos minutos.",
        ),
        "unfinished": Words(
            "Tu tienda está conectada, pero después algo ha fallado",
            "La autorización está guardada. Avisa al soporte de esta aplicación.",
        ),
    },
}


def language_of(accept: str) -> str:
    """The language among those of the pages that a browser likes most; English where none is."""
    best, liked = "en", 0.0
    for part in accept[:500].lower().split(","):
        tag, _, weight = part.strip().partition(";q=")
        language = tag.partition("-")[0].strip()
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        if language in PAGES and liked < quality <= 1:
            best, liked = language, quality
    return best
