"""Asyncio client for Alibaba's open platforms: signed calls, tokens, a local gateway."""
