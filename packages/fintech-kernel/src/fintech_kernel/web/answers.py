"""Answers: what a presenter made of a stored result, as HTTP."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fintech_kernel.domain.execution import OperationState
from fintech_kernel.domain.operations import Answer
from fintech_kernel.hooks import Presented
from fintech_kernel.web.context import context_of
from fintech_kernel.web.problems import ProblemCatalog, json_bytes, problem_response

REPLAYED_HEADER: Final = "Idempotent-Replayed"

_FIRST_ERROR_STATUS: Final = 400


def answer_response(request: Request, answer: Answer) -> Response:
    """Return a finished operation as its kind presents it; a refusal from its code and facts alone."""
    if answer.state is OperationState.REFUSED:
        catalog: ProblemCatalog = request.app.state.problems
        status, body = catalog.present(answer.result["code"], answer.result["facts"])
        return presented_response(Presented(status=status, body=body), replayed=answer.replayed)
    handler = context_of(request).operations.handler(answer.kind)
    return presented_response(handler.present(answer.result), replayed=answer.replayed)


def presented_response(presented: Presented, *, replayed: bool = False) -> Response:
    """Return status and body of a finished operation; a refusal becomes a problem document.

    A replay differs from the first answer in ``Idempotent-Replayed: true`` and, where it is a problem,
    in the request that it names.
    """
    headers = {REPLAYED_HEADER: "true"} if replayed else {}
    if presented.status >= _FIRST_ERROR_STATUS:
        return problem_response(presented.status, presented.body, headers=headers)
    return json_response(presented.body, status=presented.status, headers=headers)


def json_response(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a body as JSON, serialized once."""
    return Response(
        json_bytes(body), status_code=status, media_type="application/json", headers=headers
    )
