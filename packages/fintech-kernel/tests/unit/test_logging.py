import asyncio
import io
import json
import logging
import warnings

import pytest
from fintech_dbclient.errors import Unreachable
from fintech_kernel.errors import InvalidRequest, InvariantBroken
from fintech_kernel.observability.context import (
    LogContext,
    current_request_id,
    log_context,
    logging_as,
    note_operation,
    note_principal,
)
from fintech_kernel.observability.logging import (
    FRAMES_MAX,
    TEXT_CHARACTERS_MAX,
    WITHHELD,
    configure_logging,
)
from loguru import logger

CANARY = "canary-9d1f"


def test_a_line_is_one_json_object_with_allowed_fields_only(lines) -> None:
    logger.info(
        "payment captured", operation_id="op_1", attempts=2, body=CANARY, authorization=CANARY
    )
    (line,) = lines()
    assert line["message"] == "payment captured"
    assert line["level"] == "INFO"
    assert line["time"].endswith("+00:00")
    assert ".test_logging:" in f".{line['place']}"
    assert (line["operation_id"], line["attempts"]) == ("op_1", 2)
    assert CANARY not in str(line)


def test_an_allowed_field_takes_plain_values_only(lines) -> None:
    logger.bind(reason={"token": CANARY}, status=None, count=True).info("x")
    assert lines()[0] | {"reason": "<dict>", "status": None, "count": True} == lines()[0]
    assert CANARY not in str(lines())


def test_control_characters_cannot_forge_a_line(lines) -> None:
    logger.info("one", reason='a\n{"level":"INFO"}\r\x1b[31m\u2028\x00')
    assert len(lines()) == 1
    assert lines()[0]["reason"].startswith("a\n")


def test_long_texts_are_cut_and_card_numbers_withheld(lines) -> None:
    logger.info("x", reason="y" * 10_000, subject="4111 1111 1111 1111")
    logger.info("seen 4111111111111111")
    assert len(lines()[0]["reason"]) == TEXT_CHARACTERS_MAX + 3
    assert (lines()[0]["subject"], lines()[1]["message"]) == (WITHHELD, WITHHELD)


def fail(secret: str) -> None:
    raise ValueError(f"could not use {secret}")


def test_an_exception_is_its_type_and_places(lines) -> None:
    try:
        fail(CANARY)
    except ValueError as error:
        logger.opt(exception=error).error("failed")
    (line,) = lines()
    assert line["exception"]["type"] == "builtins.ValueError"
    modules = [frame.split(":")[0] for frame in line["exception"]["frames"]]
    assert modules == [__name__] * 2
    assert "message" not in line["exception"]
    assert CANARY not in str(line)


@pytest.mark.parametrize(
    "error", [InvariantBroken("stream s_1"), Unreachable("refused"), InvalidRequest("/a", "must")]
)
def test_our_own_errors_say_their_text(lines, error: Exception) -> None:
    logger.opt(exception=error).error("failed")
    assert lines()[0]["exception"]["message"] == str(error)


def test_causes_and_groups_are_named_without_messages(lines) -> None:
    try:
        try:
            fail(CANARY)
        except ValueError as cause:
            raise KeyError(CANARY) from cause
    except KeyError as error:
        group = ExceptionGroup(CANARY, [error, OSError(CANARY)])
    logger.opt(exception=group).error("failed")
    causes = [cause["type"] for cause in lines()[0]["exception"]["causes"]]
    assert causes == ["builtins.KeyError", "builtins.OSError", "builtins.ValueError"]
    assert CANARY not in str(lines())


def test_endless_causes_and_deep_stacks_are_bounded(lines) -> None:
    def deep(left: int) -> None:
        if left == 0:
            raise RuntimeError
        deep(left - 1)

    try:
        deep(100)
    except RuntimeError as error:
        for _ in range(50):
            error = RuntimeError().with_traceback(error.__traceback__)
            error.__cause__ = RuntimeError()
        logger.opt(exception=error).error("failed")
    assert len(lines()[0]["exception"]["frames"]) == FRAMES_MAX


def test_what_libraries_log_has_no_arguments(lines) -> None:
    logging.getLogger("some.library").error("token %s of %s", CANARY, "ann")
    logging.getLogger("uvicorn.error").info("Uvicorn running on %s", CANARY)
    task = "Task exception was never retrieved\nfuture: " + CANARY  # as asyncio words it
    logging.getLogger("asyncio").error(task)
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7)
    logging.getLogger("uvicorn.access").info("GET /%s", CANARY)
    logging.getLogger("httpx").info("HTTP Request: %s", CANARY)
    logging.getLogger("fintech_dbclient").warning("slow database call: %.3f s for %s", 1.0, CANARY)
    first, second, third, fourth, fifth = lines()
    assert fifth["message"].startswith("slow database call")
    assert fourth["message"] == "Started server process [7]"
    assert (first["message"], first["library"]) == ("message of a library", "some.library")
    assert second["message"] == "Uvicorn running on %s"
    assert third["message"] == "Task exception was never retrieved"
    assert CANARY not in str(lines())


def test_a_librarys_exception_is_logged_like_ours(lines) -> None:
    try:
        fail(CANARY)
    except ValueError:
        logging.getLogger("some.library").exception("failed with {braces} %s", CANARY)
    assert lines()[0]["exception"]["type"] == "builtins.ValueError"
    assert CANARY not in str(lines())


def test_braces_of_a_library_are_no_format(lines) -> None:
    logging.getLogger("uvicorn.error").warning("odd {request} <red>text</red>")
    assert lines()[0]["message"] == "odd {request} <red>text</red>"


def test_lines_say_the_context_of_their_request(lines) -> None:
    logger.info("before")
    with logging_as(LogContext(request_id="r1", trace_id="t1")):
        assert current_request_id() == "r1"
        note_principal("ann", "mch_1")
        note_operation("op_1")
        logger.info("inside")
    logger.info("after")
    before, inside, after = lines()
    assert "request_id" not in before
    assert "request_id" not in after
    expected = {"request_id": "r1", "trace_id": "t1", "subject": "ann", "merchant_id": "mch_1"}
    assert inside | expected | {"operation_id": "op_1"} == inside
    assert log_context() is None
    assert current_request_id() == ""


@pytest.mark.anyio
async def test_requests_at_once_do_not_mix_and_their_tasks_share(lines) -> None:
    async def request(name: str) -> None:
        with logging_as(LogContext(request_id=name)):
            task = asyncio.create_task(work(name))
            await task
            logger.info("done", reason=name)

    async def work(name: str) -> None:
        await asyncio.sleep(0)
        note_operation(f"op_{name}")

    await asyncio.gather(*(request(f"r{number}") for number in range(20)))
    for line in lines():
        assert line["request_id"] == line["reason"]
        assert line["operation_id"] == f"op_{line['reason']}"


def test_people_read_plain_lines_in_development(lines) -> None:
    written = io.StringIO()
    configure_logging("INFO", sink=written, json=False)
    try:
        fail(CANARY)
    except ValueError as error:
        logger.opt(exception=error).error("failed\nforged", operation_id="op_1", body=CANARY)
    logger.debug("too quiet")
    text = written.getvalue()
    assert "ERROR" in text
    assert 'operation_id="op_1"' in text
    assert "failed\\nforged" in text
    assert "builtins.ValueError" in text
    assert CANARY not in text
    assert "too quiet" not in text


def test_levels_are_respected(lines) -> None:
    written = io.StringIO()
    configure_logging("WARNING", sink=written)
    logger.info("quiet")
    logging.getLogger("some.library").info("quiet")
    logger.warning("loud")
    assert [json.loads(line)["message"] for line in written.getvalue().splitlines()] == ["loud"]


def test_importing_configures_nothing() -> None:
    with warnings.catch_warnings():
        import fintech_kernel.observability.logging as module
    assert module.configure_logging


def test_a_line_past_loguru_is_made_by_the_same_filter() -> None:
    written = io.StringIO()
    lines = configure_logging("INFO", sink=written)
    fields = {"status": 201, "body": CANARY, "reason": "4111 1111 1111 1111"}
    with logging_as(LogContext(request_id="req_1", subject="ann")):
        logger.info("request", **fields)
        lines.say("INFO", "request", place="here:access", fields=fields)
        lines.say("DEBUG", "request", place="here:access", fields=fields)
    through, past = map(json.loads, written.getvalue().splitlines())
    assert past["place"] == "here:access"
    differs = {"place", "time"}
    assert {name: one for name, one in past.items() if name not in differs} == {
        name: one for name, one in through.items() if name not in differs
    }
    assert list(past) == list(through)
    assert past["reason"] == WITHHELD
    assert CANARY not in written.getvalue()
    written.close()
    lines.say("INFO", "request", place="here:access", fields=fields)
    logger.remove()
