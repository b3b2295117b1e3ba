defmodule FintechDatabase.World do
  @moduledoc """
  What the tests share: a service on a file of its own, and a client that sends exact bytes.
  """

  alias FintechDatabase.{Limits, Service, Settings, Storage, Wire, Worker}
  alias FintechDatabase.Http.Listener

  @doc "Start a service for one test, with these limits changed; answers its settings."
  @spec serve(keyword, keyword) :: Settings.t()
  def serve(limits \\ [], settings \\ []) do
    number = System.unique_integer([:positive])
    path = Path.join(System.tmp_dir!(), "fintech-#{System.pid()}-#{number}.db")

    ExUnit.Callbacks.on_exit(fn ->
      for end_ <- ["", "-wal", "-shm"], do: File.rm(path <> end_)
      Listener.forget()
    end)

    settings = struct!(%Settings{path: path, limits: struct!(Limits, limits)}, settings)
    ExUnit.Callbacks.start_supervised!({Service, settings})
    settings
  end

  @doc "Run one statement below HTTP."
  @spec run(String.t(), list) :: tuple
  def run(sql, params \\ []) do
    [[outcome]] = Storage.run([[statement(sql, params)]])
    outcome
  end

  @doc "A statement as the wire makes it."
  @spec statement(String.t(), list) :: FintechDatabase.Statement.t()
  def statement(sql, params \\ []) do
    body = :jiffy.encode({[{"sql", sql}, {"params", params}]})
    {:ok, statement} = Wire.decode_execute(IO.iodata_to_binary(body))
    statement
  end

  @doc "The error word of an outcome, or `:ok`."
  @spec word(tuple) :: atom
  def word({:error, code, _message, _constraint}), do: code
  def word(_applied), do: :ok

  @doc "A table with so many rows, numbered from 1."
  @spec numbers(String.t(), pos_integer) :: :ok
  def numbers(table, count) do
    {:count, 0} = run("CREATE TABLE #{table} (n BIGINT NOT NULL PRIMARY KEY, m BIGINT)")

    for chunk <- Enum.chunk_every(1..count, 1000) do
      {:count, _} =
        run("INSERT INTO #{table} (n) VALUES " <> Enum.map_join(chunk, ", ", &"(#{&1})"))
    end

    :ok
  end

  @doc "A SELECT over `numbers` that runs for some seconds before it has its one row."
  @spec slow_select(String.t()) :: String.t()
  def slow_select(table),
    do: "SELECT COUNT(*) AS c FROM #{table} AS a JOIN #{table} AS b ON a.n + b.n > 0"

  @doc "Wait until a worker that is not `dead` goes by its name."
  @spec reborn(Worker.role(), pid) :: pid
  def reborn(role, dead) do
    case Process.whereis(Worker.name(role)) do
      pid when pid in [nil, dead] ->
        Process.sleep(5)
        reborn(role, dead)

      pid ->
        pid
    end
  end

  @doc "Open a connection to the service."
  @spec connect() :: :gen_tcp.socket()
  def connect do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, Listener.port(), [:binary, active: false])
    socket
  end

  @doc "Send bytes on a connection of their own and answer `{status, decoded body}`."
  @spec exchange(iodata) :: {pos_integer, term} | :closed
  def exchange(bytes) do
    socket = connect()
    :ok = :gen_tcp.send(socket, bytes)
    reply = receive_reply(socket, "")
    :gen_tcp.close(socket)
    reply
  end

  @doc "Read one reply from a connection."
  @spec receive_reply(:gen_tcp.socket(), binary) :: {pos_integer, term} | :closed
  def receive_reply(socket, bytes) do
    case Regex.run(~r/\AHTTP\/1.1 (\d+) .*?content-length: (\d+).*?\r\n\r\n/s, bytes) do
      [head, status, length] when byte_size(bytes) - byte_size(head) >= 0 ->
        length = String.to_integer(length)

        body =
          receive_body(
            socket,
            binary_part(bytes, byte_size(head), byte_size(bytes) - byte_size(head)),
            length
          )

        {String.to_integer(status), :jiffy.decode(body, [:return_maps])}

      nil ->
        case :gen_tcp.recv(socket, 0, 10_000) do
          {:ok, more} -> receive_reply(socket, bytes <> more)
          {:error, _} -> :closed
        end
    end
  end

  defp receive_body(_socket, bytes, length) when byte_size(bytes) >= length,
    do: binary_part(bytes, 0, length)

  defp receive_body(socket, bytes, length) do
    {:ok, more} = :gen_tcp.recv(socket, 0, 10_000)
    receive_body(socket, bytes <> more, length)
  end

  @doc "A POST with these headers added."
  @spec post(String.t(), iodata, [String.t()]) :: iodata
  def post(path, body, headers \\ []) do
    [
      "POST #{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n",
      Enum.map(headers, &[&1, "\r\n"]),
      "content-length: #{IO.iodata_length(body)}\r\n\r\n",
      body
    ]
  end
end
