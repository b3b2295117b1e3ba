"""Requests that are not of the contract's shape: each has a coded answer, and nothing is run."""

import json

import pytest

NESTED = b"[" * 500_000 + b"]" * 500_000

MALFORMED = {
    "empty": b"",
    "not JSON": b"SELECT 1",
    "cut off": b'{"sql": "SELECT 1"',
    "two documents": b'{"sql":"SELECT 1"}{"sql":"SELECT 1"}',
    "a list": b"[]",
    "a string": b'"SELECT 1"',
    "null": b"null",
    "no sql": b"{}",
    "sql is a number": b'{"sql": 1}',
    "sql is null": b'{"sql": null}',
    "sql is a list": b'{"sql": ["SELECT 1"]}',
    "params is a string": b'{"sql": "SELECT 1 AS x", "params": "x"}',
    "params is an object": b'{"sql": "SELECT 1 AS x", "params": {"a": 1}}',
    "an unknown field": b'{"sql": "SELECT 1 AS x", "parameters": []}',
    "one field too many": b'{"sql": "SELECT 1 AS x", "params": [], "timeout": 1}',
    "a key twice": b'{"sql": "SELECT 1 AS x", "sql": "SELECT 2 AS x"}',
    "a key twice, compact": b'{"sql":"SELECT 1 AS x","sql":"SELECT 2 AS x"}',
    "a key twice, escaped": b'{"sql":"SELECT 1 AS x","\\u0073ql":"SELECT 2 AS x"}',
    "a deep value behind a key twice": b'{"sql":' + b"[" * 900 + b"]" * 900 + b',"sql":"SELECT 1"}',
    "NaN": b'{"sql": "SELECT ? AS x", "params": [NaN]}',
    "Infinity": b'{"sql": "SELECT ? AS x", "params": [Infinity]}',
    "invalid UTF-8": b'{"sql": "SELECT \xff"}',
    "UTF-16": '{"sql": "SELECT 1"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"sql": "SELECT 1"}',
    "a lone surrogate": b'{"sql": "SELECT ? AS x", "params": ["\\ud800"]}',
    "a NUL byte": b'{"sql": "SELECT \x00"}',
    "one megabyte of nesting": NESTED,
    "nesting in params": b'{"sql": "SELECT 1", "params": ' + NESTED + b"}",
    "nesting in objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_with_the_contracts_body(on_sqlite, name):
    reply = on_sqlite.send(MALFORMED[name])

    assert reply.status_code == 400
    body = reply.json()
    assert body["error"]["code"] == "invalid_request"
    assert (body["success"], body["data"], body["rows_affected"]) == (False, None, 0)


REFUSED_VALUES = {
    "a float": (b"1.5", "unsupported"),
    "an integral float": (b"1.0", "unsupported"),
    "1e400": (b"1e400", "unsupported"),
    "true": (b"true", "unsupported"),
    "a list": (b"[1]", "unsupported"),
    "an object": (b"{}", "unsupported"),
    "2**63": (b"9223372036854775808", "unsupported"),
    "-2**63-1": (b"-9223372036854775809", "unsupported"),
    "2**64": (b"18446744073709551616", "unsupported"),
    "6,000 digits": (b"9" * 6000, "unsupported"),
    "a NUL character": (b'"a\\u0000b"', "unsupported"),
}


@pytest.mark.parametrize("name", REFUSED_VALUES)
def test_a_value_that_no_column_holds_fails_its_own_statement_only(db, name):
    value, code = REFUSED_VALUES[name]
    good = b'[{"sql":"SELECT ? AS x","params":[1]}]'
    bad = b'[{"sql":"SELECT ? AS x","params":[' + value + b"]}]"

    reply = db.send(b'{"sequences":[' + good + b"," + bad + b"," + good + b"]}", "/batch")

    if reply.status_code == 400:
        # A number that JSON parsers refuse makes the document malformed.
        assert reply.json()["error"]["code"] == "invalid_request"
        assert name in {"1e400", "6,000 digits"}
    else:
        first, second, third = reply.json()["results"]
        assert first[0]["data"] == third[0]["data"] == [{"x": 1}]
        assert second[0]["error"]["code"] == code


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"sequences": {}}',
        b'{"sequences": [{"sql": "SELECT 1 AS x"}]}',
        b'{"sequences": [["SELECT 1 AS x"]]}',
        b'{"sequences": [[{"sql": "SELECT 1 AS x", "x": 1}]]}',
        b'{"sequences": [], "sequences": []}',
        b'{"sequences": [], "more": 1}',
        b'{"sequences": null}',
    ],
)
def test_a_malformed_batch_is_refused_whole(on_sqlite, body):
    reply = on_sqlite.send(body, "/batch")

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_request"


def test_a_body_may_be_written_with_any_white_space_and_escapes(on_sqlite):
    reply = on_sqlite.send(b' { "params" : [ "\\u00e9" ] ,\n "sql" : "SELECT ? AS x" } ')

    assert reply.json()["data"] == [{"x": "é"}]


def test_params_may_be_left_out_or_null(on_sqlite):
    assert on_sqlite.send(b'{"sql":"SELECT 1 AS x"}').json()["data"] == [{"x": 1}]
    assert on_sqlite.send(b'{"sql":"SELECT 1 AS x","params":null}').json()["data"] == [{"x": 1}]


@pytest.mark.parametrize(("size", "status"), [(512, 200), (513, 413), (5_000, 413)])
def test_a_batch_holds_512_statements(on_sqlite, size, status):
    sequences = [[{"sql": "SELECT 1 AS x"}]] * size

    reply = on_sqlite.http.post("/batch", json={"sequences": sequences})

    assert reply.status_code == status
    if status == 413:
        assert reply.json()["error"]["code"] == "too_large"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(on_sqlite, chunked):
    body = json.dumps({"sql": "SELECT '" + "x" * 5_000_000 + "' AS x"}).encode()
    parts = (body[i : i + 65536] for i in range(0, len(body), 65536))

    reply = on_sqlite.http.post(
        "/execute",
        content=parts if chunked else body,
        headers={"content-type": "application/json"},
    )

    assert reply.status_code == 413
    assert reply.json()["error"]["code"] == "too_large"


def test_empty_batches_and_sequences_are_answered(db):
    assert db.send(b'{"sequences":[]}', "/batch").json() in ({"results": []}, {"results": [[]]})
    assert db.send(b'{"sequences":[[],[]]}', "/batch").json() == {"results": [[], []]}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/execute", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("POST", "/nothing", 404, "not_found"),
        ("POST", "/execute/", 404, "not_found"),
        ("POST", "/%65xecute?x=1", 415, "invalid_request"),
    ],
)
def test_other_paths_and_methods_have_coded_answers(on_sqlite, method, path, status, code):
    reply = on_sqlite.http.request(method, path)

    assert reply.status_code == status
    assert reply.json()["error"]["code"] == code


def test_browsers_are_refused(on_sqlite):
    body = b'{"sql":"SELECT 1 AS x"}'
    assert on_sqlite.send(body, kind="text/plain").status_code == 415
    reply = on_sqlite.http.post(
        "/execute",
        content=body,
        headers={"content-type": "application/json", "origin": "https://example.com"},
    )
    assert reply.status_code == 403


def test_health_says_what_the_contract_says(db):
    reply = db.http.get("/health")

    assert reply.status_code == 200
    health = reply.json()
    assert health.pop("engine").startswith(db.engine + " ")
    assert health == {
        "status": "ok",
        "contract": "1",
        "capabilities": ["params", "batch"],
        "max_batch": 512,
    }
