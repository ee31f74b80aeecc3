"""Say which extra is missing before an import deeper down fails without a hint."""

from __future__ import annotations

from importlib import import_module

for _name in ("python_multipart", "starlette", "uvicorn"):
    try:
        import_module(_name)
    except ImportError as error:
        msg = f"iop_async.sandbox needs {_name}: install iop-async[sandbox]"
        raise ImportError(msg, name=_name) from error
