defmodule FintechDatabase.Sqlite do
  @moduledoc """
  One connection to SQLite through the port driver of Debian's `erlang-p1-sqlite3`.

  Only the driver is used, not its Erlang module: that one takes any message for a reply, so that
  one late answer shifts all that follow. Here a connection belongs to one process, which sends one
  command at a time and takes nothing but this port's own reply.

  What the driver cannot do, and what follows from it:

  - It cannot interrupt a statement. `Lane` answers the caller in time; the statement runs on.
  - A port that closes while a command runs frees memory under that command. So the port is not
    linked to its process; `Ports` closes the ports of the dead, after their command has ended.
  - A parameter of null leaks its name's bytes. Nulls are left unbound, which SQLite reads as null.
  - Connections of one file name share one thread, unless their names differ: `slot` picks a thread.
  - Integers beyond 64 bits, missing or named parameters, a second statement: never sent (`Form`,
    `Wire`).

  What does not live here: transactions (`Transaction`) and the meaning of errors (`Outcome`).
  """

  alias FintechDatabase.Outcome

  @enforce_keys [:port, :busy]
  defstruct [:port, :busy]

  @typedoc "A connection. `busy` holds 1 while a command is with the driver: `Ports` reads it."
  @type t :: %__MODULE__{port: port, busy: :atomics.atomics_ref()}

  @type reply ::
          :ok
          | {:rows, [String.t()], [tuple]}
          | {:error, code :: integer, message :: String.t()}

  @exec 2
  @bind_and_exec 4
  @exec_script 12
  @changes 14

  @doc """
  Load the driver for as long as the calling process lives.

  Answers what is missing where the package is not installed.
  """
  @spec load() :: :ok | {:error, String.t()}
  def load do
    with path when is_list(path) <- :code.lib_dir(:p1_sqlite3),
         {:error, reason} when reason != :permanent <-
           :erl_ddll.load(:filename.join(path, 'priv'), 'sqlite3_drv') do
      {:error, "the SQLite driver cannot be loaded: #{:erl_ddll.format_error(reason)}"}
    else
      {:error, :bad_name} -> {:error, "Debian's package erlang-p1-sqlite3 is not installed"}
      _loaded -> :ok
    end
  end

  @doc """
  Open a connection that runs on the driver's thread number `slot`.

  The calling process becomes its owner, and the port outlives it: register it with `Ports`.
  """
  @spec open(Path.t(), mode :: String.t(), slot :: non_neg_integer) ::
          {:ok, t} | {:error, String.t()}
  def open(path, mode, slot) do
    name = name_for_slot("file:" <> URI.encode(path, &unescaped?/1) <> "?mode=" <> mode, slot, 0)
    port = Port.open({:spawn, "sqlite3_drv " <> name}, [:binary])
    connection = %__MODULE__{port: port, busy: :atomics.new(1, [])}

    case await(port) do
      :ok ->
        Process.unlink(port)
        {:ok, connection}

      {:error, _code, message} ->
        Port.close(port)
        {:error, message}
    end
  end

  @doc "Run one statement. Where it has parameters, `Wire` has checked their number and types."
  @spec run(t, binary, [Outcome.value()]) :: reply
  def run(connection, sql, []), do: command(connection, @exec, sql)

  def run(connection, sql, params),
    do: command(connection, @bind_and_exec, :erlang.term_to_binary({sql, bound(params)}))

  @doc "How many rows the last INSERT, UPDATE or DELETE changed."
  @spec changes(t) :: non_neg_integer
  def changes(connection), do: command(connection, @changes, "")

  @doc "Close; the last connection of a file folds the log into it."
  @spec close(t) :: :ok
  def close(%__MODULE__{port: port}) do
    Port.close(port)
    :ok
  rescue
    # It is closed already.
    ArgumentError -> :ok
  end

  @doc """
  Take over the port of a dead process, wait for its command to end, roll back, close.

  A reply that reached the dead process is lost, so waiting for it has an end; then a script goes
  behind whatever still runs, and its reply (a list with one plain result) is told from any other.
  """
  @spec bury(t, patience_milliseconds :: non_neg_integer) :: :ok
  def bury(%__MODULE__{port: port, busy: busy} = connection, patience) do
    Port.connect(port, self())

    if :atomics.get(busy, 1) == 1 do
      receive do
        {^port, _reply} -> :ok
      after
        patience -> :ok
      end

      :erlang.port_control(port, @exec_script, "ROLLBACK")
      await_script(port)
    end

    close(connection)
  rescue
    # The owner closed it on its way out.
    ArgumentError -> :ok
  end

  defp await_script(port) do
    receive do
      {^port, [:ok]} -> :ok
      {^port, [{:error, _code, _message}]} -> :ok
      {^port, _late} -> await_script(port)
    end
  end

  defp command(%__MODULE__{port: port, busy: busy}, number, payload) do
    :atomics.put(busy, 1, 1)
    :erlang.port_control(port, number, payload)
    reply = await(port)
    :atomics.put(busy, 1, 0)
    reply
  end

  defp await(port) do
    receive do
      {^port, reply} -> reply(reply)
    end
  end

  defp reply(:ok), do: :ok
  defp reply({:rowid, _rowid}), do: :ok
  defp reply(count) when is_integer(count), do: count
  defp reply({:error, code, message}), do: {:error, code, text(message)}

  defp reply([{:columns, columns}, {:rows, rows}]), do: {:rows, Enum.map(columns, &text/1), rows}

  defp reply([{:columns, _columns}, {:rows, _rows}, {:error, code, message}]),
    do: {:error, code, text(message)}

  # The driver's strings are lists of bytes.
  defp text(bytes), do: :erlang.list_to_binary(bytes)

  defp bound(params) do
    if :null in params,
      do: for({value, index} <- Enum.with_index(params, 1), value != :null, do: {index, value}),
      else: params
  end

  # A URI may carry parameters that SQLite does not know, and the driver picks the thread by a hash
  # of the whole name. Any number will do that hashes to the slot.
  defp name_for_slot(name, slot, number) do
    candidate = name <> "&slot=" <> Integer.to_string(number)

    if rem(hash(candidate), slots()) == rem(slot, slots()),
      do: candidate,
      else: name_for_slot(name, slot, number + 1)
  end

  @doc "How many threads the driver has (`+A` of the emulator)."
  @spec slots() :: pos_integer
  def slots, do: :erlang.system_info(:thread_pool_size)

  # sdbm, as the driver computes it: the terminating zero is not hashed.
  defp hash(name) do
    for <<byte <- name>>, reduce: 0 do
      hash -> rem(byte + Bitwise.bsl(hash, 6) + Bitwise.bsl(hash, 16) - hash, 0x100000000)
    end
    |> Integer.mod(0x100000000)
  end

  defp unescaped?(c), do: URI.char_unreserved?(c) or c == ?/
end
