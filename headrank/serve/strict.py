"""Bodies read as files are: JSON that every reader takes in the same way, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from headrank.io.texts import MARK, JsonRefused, strict_json
from headrank.serve.wire import RerankRequest


class StrictRequest(Request):
    """A request whose JSON gives no key twice."""

    async def json(self) -> Any:
        """Return the body's value.

        Raises:
            json.JSONDecodeError: it is no JSON; FastAPI tells from which character on.
            HTTPException: 400 if it is no text in UTF-8 or cannot be a value, 422 if two readers
                would take it in two ways.
        """
        try:
            value = strict_json((await self.body()).removeprefix(MARK).decode("utf-8"))
        except json.JSONDecodeError:
            raise
        except UnicodeDecodeError:
            raise HTTPException(400, "the body is not UTF-8; send JSON in UTF-8") from None
        except JsonRefused as error:
            raise HTTPException(422, f"the body: {error}") from None
        except ValueError as error:
            raise HTTPException(400, f"the body is no JSON that can be read: {error}") from None
        if isinstance(value, dict):
            # The first unknown key is kept, to be refused. Each would be an error of its own, and a
            # body has room for a million.
            known = RerankRequest.model_fields
            unknown = next((key for key in value if key not in known), None)
            value = {key: one for key, one in value.items() if key in known or key == unknown}
        return value


class StrictRoute(APIRoute):
    """A route whose bodies are those of a ``StrictRequest``."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a request."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
