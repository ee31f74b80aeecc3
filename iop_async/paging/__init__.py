"""Walk through an API that answers in pages.

One market has up to ten names for the same two parameters, so the style of an API is a value with
the names in it: ``Numbered("pageNo", "pageSize")``. :func:`pages` walks.

Example::

    style = iop.paging.Numbered("page", "page_size")
    products = iop.pages(seller, "/products/search", items="products", style=style)
"""

from ._pages import Pages, pages
from ._styles import Cursor, Numbered, Offset, PageParams, Style

__all__ = ["Cursor", "Numbered", "Offset", "PageParams", "Pages", "Style", "pages"]
