defmodule FintechDatabase.HttpTest do
  @moduledoc "The wire, byte by byte: what is malformed has a coded answer, and nothing is a 500."

  use ExUnit.Case

  import FintechDatabase.World, except: [word: 1]

  alias FintechDatabase.{Limits, Settings}

  @select ~S({"sql":"SELECT 1 AS x"})
  @nested String.duplicate("[", 500_000) <> String.duplicate("]", 500_000)

  defp word({status, %{"error" => %{"code" => code}}}), do: {status, code}

  test "a statement and a batch are answered" do
    serve()
    {200, %{"success" => true}} = exchange(post("/execute", ~S|{"sql":"CREATE TABLE t (a TEXT)"}|))
    insert = ~S|{"sql":"INSERT INTO t (a) VALUES (?), (?)","params":["é\u0001\"",null]}|

    assert exchange(post("/execute", insert)) ==
             {200, %{"success" => true, "data" => [], "rows_affected" => 2, "error" => :null}}

    assert {200, %{"results" => [[%{"data" => [%{"a" => "é\u0001\""}, %{"a" => :null}]}], []]}} =
             exchange(post("/batch", ~S({"sequences":[[{"sql":"SELECT a FROM t"}],[]]})))
  end

  test "a malformed body is refused with the contract's own" do
    serve()

    for body <- [
          "",
          "SELECT 1",
          ~S({"sql": "SELECT 1"),
          @select <> @select,
          "[]",
          "null",
          "{}",
          ~S({"sql": 1}),
          ~S({"sql": "SELECT 1 AS x", "params": {"a": 1}}),
          ~S({"sql": "SELECT 1 AS x", "timeout": 1}),
          ~S({"sql": "SELECT 1 AS x", "sql": "SELECT 2 AS x"}),
          ~S({"sql": "SELECT 1 AS x", "\u0073ql": "SELECT 2 AS x"}),
          ~S({"sql": "SELECT ? AS x", "params": [NaN]}),
          ~S({"sql": "SELECT ? AS x", "params": ["\ud800"]}),
          ~s({"sql": "SELECT \xff"}),
          ~s({"sql": "SELECT '\n' AS x"}),
          ~s({"sql": "SELECT \0"}),
          "\uFEFF" <> @select,
          @nested,
          ~S({"sql": "SELECT 1", "params": ) <> @nested <> "}",
          String.duplicate(~S({"a":), 100_000),
          ~S({"sql": "SELECT ? AS x", "params": [) <> String.duplicate("9", 100_000) <> "]}"
        ] do
      assert {400, "invalid_request"} = word(exchange(post("/execute", body)))
    end

    assert {400, "invalid_request"} = word(exchange(post("/batch", ~S({"sequences":[{}]}))))
  end

  test "a value that no column holds fails its own statement only" do
    serve()

    for value <- ~w(1.5 1.0 1e3 true [1] {} 9223372036854775808 -9223372036854775809 "a\\u0000b") do
      body =
        ~s({"sequences":[[{"sql":"SELECT ? AS x","params":[1]}],) <>
          ~s([{"sql":"SELECT ? AS x","params":[#{value}]}]]})

      assert {200, %{"results" => [[%{"success" => true}], [%{"error" => error}]]}} =
               exchange(post("/batch", body))

      assert {value, error["code"]} == {value, "unsupported"}
    end
  end

  test "a wrong number of parameters never reaches the driver" do
    serve()

    for params <- ["", "1, 2", "1, 2, 3"] do
      body = ~s({"sql":"SELECT ? AS x","params":[#{params}]})

      assert {200, answer} = exchange(post("/execute", body))
      assert answer["success"] == (params == "1")
      unless answer["success"], do: assert(answer["error"]["code"] == "syntax_error")
    end
  end

  test "a body over the limit is a 413 that the client can read, sent whole or in chunks" do
    serve()
    body = ~s({"sql":"SELECT ') <> String.duplicate("x", Limits.body_bytes_max()) <> ~s(' AS x"})
    assert {413, "too_large"} = word(exchange(post("/execute", body)))

    head =
      "POST /execute HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

    size = Integer.to_string(byte_size(body), 16)
    assert {413, "too_large"} = word(exchange([head, size, "\r\n", body, "\r\n0\r\n\r\n"]))
  end

  test "a body may come in chunks" do
    serve()

    head =
      "POST /execute HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

    {first, second} = String.split_at(@select, 7)
    size = Integer.to_string(byte_size(second), 16)

    assert {200, %{"data" => [%{"x" => 1}]}} =
             exchange([
               head,
               "7;a=b\r\n",
               first,
               "\r\n",
               size,
               "\r\n",
               second,
               "\r\n0\r\na: b\r\n\r\n"
             ])

    for broken <- ["x\r\n", "-1\r\n", "7\r\n1234567xx", String.duplicate("1", 300)],
        do: assert({400, "invalid_request"} = word(exchange([head, broken])))
  end

  test "what is not HTTP, or could be read in two ways, is refused" do
    serve()

    for bytes <- [
          "nonsense\r\n\r\n",
          "\0\0\0\0\r\n\r\n",
          "GET\r\n\r\n",
          "POST /execute HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
          "POST /execute HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
          "POST /execute HTTP/1.1\r\ncontent-length: 0x10\r\n\r\n",
          "POST /execute HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
          "POST /execute HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
          "POST /execute HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
          "POST /execute HTTP/1.1\r\nno colon\r\n\r\n"
        ],
        do: assert({_, {400, "invalid_request"}} = {bytes, word(exchange(bytes))})

    assert {431, "invalid_request"} =
             word(
               exchange(["GET /health HTTP/1.1\r\na: ", String.duplicate("x", 20_000), "\r\n\r\n"])
             )

    assert {200, %{"status" => "ok"}} = exchange("\r\nGET /health HTTP/1.1\r\n\r\n")
  end

  test "other paths, methods and types have coded answers, and the connection stays" do
    serve()
    socket = connect()

    for {request, status, code} <- [
          {"GET /execute HTTP/1.1\r\n\r\n", 405, "method_not_allowed"},
          {"POST /health HTTP/1.1\r\n\r\n", 405, "method_not_allowed"},
          {"POST /nothing HTTP/1.1\r\n\r\n", 404, "not_found"},
          {"POST /%65xecute?x=1 HTTP/1.1\r\n\r\n", 415, "invalid_request"},
          {post("/execute", @select, ["origin: https://example.com"]), 403, "invalid_request"}
        ] do
      :ok = :gen_tcp.send(socket, request)
      assert {status, code} == word(receive_reply(socket, ""))
    end

    :ok = :gen_tcp.send(socket, post("/execute", @select))
    assert {200, _} = receive_reply(socket, "")
  end

  test "requests may come in one piece or byte by byte" do
    serve()
    socket = connect()
    one = IO.iodata_to_binary(post("/execute", @select))

    for <<byte <- one>>, do: :ok = :gen_tcp.send(socket, <<byte>>)
    assert {200, _} = receive_reply(socket, "")
    :ok = :gen_tcp.send(socket, one <> one <> one)
    Process.sleep(100)
    {:ok, bytes} = :gen_tcp.recv(socket, 0, 1000)
    assert length(String.split(bytes, "HTTP/1.1 200")) == 4
  end

  test "a client that waits for permission to send is given it" do
    serve()
    socket = connect()

    [head, body] =
      :binary.split(
        IO.iodata_to_binary(post("/execute", @select, ["expect: 100-continue"])),
        "\r\n\r\n"
      )

    :ok = :gen_tcp.send(socket, head <> "\r\n\r\n")
    assert {:ok, "HTTP/1.1 100 Continue\r\n\r\n"} = :gen_tcp.recv(socket, 0, 1000)
    :ok = :gen_tcp.send(socket, body)
    assert {200, _} = receive_reply(socket, "")
  end

  test "a token is needed where one is set, except for health" do
    serve([], token_digest: Settings.digest("secret"))

    for headers <- [
          [],
          ["authorization: Bearer wrong"],
          ["authorization: Basic secret"],
          ["authorization: Bearer "]
        ],
        do: assert({401, "unauthorized"} = word(exchange(post("/execute", @select, headers))))

    assert {200, _} = exchange(post("/execute", @select, ["authorization: Bearer secret"]))
    assert {200, %{"contract" => "1"}} = exchange("GET /health HTTP/1.1\r\n\r\n")
  end

  test "a request that comes too slowly is given up" do
    serve(body_seconds: 0.2)
    assert {408, "invalid_request"} = word(exchange("POST /execute HTTP/1.1\r\ncontent-le"))

    assert {408, "invalid_request"} =
             word(
               exchange(
                 "POST /execute HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
               )
             )
  end

  test "a connection too many is told so" do
    serve(connections_max: 2)
    held = for _ <- 1..2, do: connect()
    for socket <- held, do: :ok = :gen_tcp.send(socket, "GET /health HTTP/1.1\r\n\r\n")
    for socket <- held, do: assert({200, _} = receive_reply(socket, ""))

    assert {503, "overloaded"} = word(receive_reply(connect(), ""))
  end

  test "bytes held at once are bounded, and a dead holder holds nothing" do
    serve(waiting_bytes_max: 300_000)
    body = ~s({"sql":"SELECT ') <> String.duplicate("x", 200_000) <> ~s(' AS x"})
    stalled = connect()
    :ok = :gen_tcp.send(stalled, binary_part(IO.iodata_to_binary(post("/execute", body)), 0, 1000))
    Process.sleep(50)

    assert {503, "overloaded"} = word(exchange(post("/execute", body)))
    assert {200, _} = exchange(post("/execute", @select))
    :gen_tcp.close(stalled)
    Process.sleep(50)
    assert {200, _} = exchange(post("/execute", body))
  end

  test "a batch of which nothing could be run is a 503" do
    serve(waiting_statements_max: 2)
    numbers("x", 1500)
    slow = ~s({"sql":"#{slow_select("x")}"})
    tasks = for _ <- 1..3, do: Task.async(fn -> exchange(post("/execute", slow)) end)
    replies = Enum.map(tasks, &Task.await(&1, 20_000))

    assert Enum.all?(replies, fn
             {200, %{"success" => true}} -> true
             {503, %{"error" => %{"code" => "overloaded"}}} -> true
             _ -> false
           end)
  end

  test "results that are neither text nor integers are refused, and large ones too" do
    serve(result_rows_max: 10)
    numbers("x", 20)

    for {sql, code} <- [
          {"SELECT 1.5 AS x", "unsupported"},
          {"SELECT n, n FROM x", "unsupported"},
          {"SELECT n FROM x", "too_large"},
          {"SELECT n FROM x LIMIT 11", "too_large"},
          {"SELECT n FROM x LIMIT -1", "too_large"},
          {"SELECT n FROM x ORDER BY n LIMIT 5 + 6", "too_large"}
        ] do
      assert {200, answer} = exchange(post("/execute", :jiffy.encode({[{"sql", sql}]})))
      assert {sql, answer["error"]["code"]} == {sql, code}
    end

    assert {200, %{"data" => rows}} =
             exchange(post("/execute", ~S({"sql":"SELECT n FROM x ORDER BY n DESC LIMIT 5 + 5"})))

    assert Enum.map(rows, & &1["n"]) == Enum.to_list(20..11)
  end
end
