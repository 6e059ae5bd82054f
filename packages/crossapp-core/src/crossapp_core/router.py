"""
The pages of account linking as a FastAPI router.
"""

# annotations are objects here, not texts: FastAPI looks them up, and its own names exist only where it is installed

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crossapp_core.columns import HostId
from crossapp_core.web import LONGEST_BODY, PATHS, LinkPages, LinkRequest, LinkResponse

if TYPE_CHECKING:
    from fastapi import APIRouter

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def link_router(pages: LinkPages, current_user: Callable[..., Any], *, is_async: bool) -> "APIRouter":
    """
    Make the router.

    Args:
        pages: What answers.
        current_user: A dependency, sync or async: the person who is signed in, as an object with `id` or as the id
            itself, or None.
        is_async: Whether the app's engine is; a sync one blocks, so its routes run in threads.

    Raises:
        ImportError: FastAPI isn't installed.
    """
    try:
        from fastapi import APIRouter, Depends, Request, Response
    except ImportError as error:
        msg = "the router of account linking needs FastAPI: pip install 'crossapp-core[fastapi]'"
        raise ImportError(msg) from error

    async def read(request: Request) -> LinkRequest:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_BODY:
                break
        headers = dict(request.headers)
        headers["cookie"] = "; ".join(request.headers.getlist("cookie"))  # HTTP/2 may send one by one
        query = request.scope["query_string"].decode("latin-1")
        return LinkRequest(request.method, query, headers, bytes(body))

    def answer(response: LinkResponse) -> Response:
        return Response(response.body, response.status, dict(response.headers))

    def route(path: str) -> Callable[..., Any]:
        async def waiting(
            request: LinkRequest = Depends(read),  # noqa: B008
            user: Any = Depends(current_user),  # noqa: B008
        ) -> Response:
            return answer(await pages.respond(path, request, id_of(user)))

        def blocking(
            request: LinkRequest = Depends(read),  # noqa: B008
            user: Any = Depends(current_user),  # noqa: B008
        ) -> Response:
            return answer(pages.respond_sync(path, request, id_of(user)))

        return waiting if is_async else blocking

    router = APIRouter(include_in_schema=False)
    for path in PATHS:
        router.add_api_route(path, route(path), methods=_METHODS, response_model=None)
    return router


def id_of(user: object) -> str | None:
    """
    The id of whoever is signed in, given as an object or as the id itself.

    Raises:
        TypeError: It is neither.
    """
    found = getattr(user, "id", user)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, HostId):
        msg = f"current_user must return an object with an id, the id itself or None, got {type(user).__name__}"
        raise TypeError(msg)
    return str(found)
