"""Answers: what a presenter made of a stored result, as HTTP."""

from typing import Final

from starlette.responses import Response

from fintech_kernel.hooks import Presented
from fintech_kernel.web.problems import json_bytes, problem_response

REPLAYED_HEADER: Final = "Idempotent-Replayed"

_FIRST_ERROR_STATUS: Final = 400


def presented_response(presented: Presented, *, replayed: bool = False) -> Response:
    """Return status and body of a finished operation; a refusal becomes a problem document.

    A replay differs from the first answer in ``Idempotent-Replayed: true`` and, where it is a problem,
    in the request that it names.
    """
    headers = {REPLAYED_HEADER: "true"} if replayed else {}
    if presented.status >= _FIRST_ERROR_STATUS:
        return problem_response(presented.status, presented.body, headers=headers)
    return Response(
        json_bytes(presented.body),
        status_code=presented.status,
        media_type="application/json",
        headers=headers,
    )
