defmodule FintechDatabase.Worker do
  @moduledoc """
  A process that holds a connection and runs the groups its lane gives it.

  There is one `:writer`; it commits each group and answers only after the commit is durable (WAL,
  `synchronous=FULL`). There are several readers; they see committed rows only, and in WAL mode a
  commit becomes visible after it is synced, so whatever was seen is durable.

  What does not live here: waiting and giving up (`Lane`), and what happens to the connection when
  this process is killed (`Ports`).
  """

  use GenServer, restart: :permanent

  alias FintechDatabase.{Lane, Limits, Outcome, Ports, Settings, Sqlite, Transaction}

  @type role :: :writer | {:reader, pos_integer}

  # How long to wait for another process that writes to the file (a restore, a shell).
  @busy_milliseconds 4_000
  # Pages of the log (16 MB) before a commit also folds it into the file.
  @checkpoint_pages 4_000
  # The log is cut to this after a checkpoint.
  @log_bytes_max 64 * 1024 * 1024

  @doc "Start a worker; it joins its lane once its connection is open."
  @spec start_link({role, Settings.t()}) :: GenServer.on_start()
  def start_link({role, settings}),
    do: GenServer.start_link(__MODULE__, {role, settings}, name: name(role))

  @doc false
  def child_spec({role, settings}) do
    %{
      id: role,
      start: {__MODULE__, :start_link, [{role, settings}]},
      shutdown: Limits.milliseconds(settings.limits.drain_seconds)
    }
  end

  @doc "The name that a worker goes by."
  @spec name(role) :: atom
  def name(:writer), do: FintechDatabase.Writer
  def name({:reader, number}), do: :"Elixir.FintechDatabase.Reader#{number}"

  @doc "Engine and version, such as `sqlite 3.40`, once the writer has started."
  @spec engine() :: String.t()
  def engine, do: :persistent_term.get({__MODULE__, :engine})

  @impl GenServer
  def init({role, settings}) do
    Process.flag(:trap_exit, true)

    with :ok <- prepare_file(role, settings.path),
         {:ok, connection} <- Ports.open(settings.path, mode(role)),
         :ok <- configure(connection, role) do
      if role == :writer, do: :persistent_term.put({__MODULE__, :engine}, version(connection))
      Lane.join(lane(role))
      {:ok, %{role: role, connection: connection, limits: settings.limits}}
    else
      {:error, message} ->
        {:stop, {:shutdown, {:unavailable, "#{settings.path} cannot be opened: #{message}"}}}
    end
  end

  @impl GenServer
  def handle_info({:group, group, jobs}, worker) do
    sequences = Enum.flat_map(jobs, fn {_from, sequences} -> sequences end)
    answer(jobs, run(worker, sequences))
    Lane.finish(lane(worker.role), group)
    {:noreply, worker}
  end

  def handle_info(_stray, worker), do: {:noreply, worker}

  @impl GenServer
  def terminate(_reason, worker), do: Sqlite.close(worker.connection)

  defp run(%{role: :writer} = worker, sequences) do
    Transaction.write(worker.connection, sequences, worker.limits)
  rescue
    # The worker must outlive whatever one group did; whether it was committed, nobody knows.
    error ->
      Sqlite.run(worker.connection, "ROLLBACK", [])
      unknown(sequences, error)
  end

  defp run(worker, sequences) do
    Transaction.read(worker.connection, sequences, worker.limits)
  rescue
    error -> unknown(sequences, error)
  end

  # The error's kind alone: its message may quote parameters.
  defp unknown(sequences, error) do
    :logger.error("a group of statements broke its worker: #{inspect(error.__struct__)}")
    Enum.map(sequences, &Outcome.unknown(&1, :internal, "the service failed; see its log"))
  end

  defp answer([], []), do: :ok

  defp answer([{from, sequences} | jobs], answers) do
    {mine, others} = Enum.split(answers, length(sequences))
    GenServer.reply(from, mine)
    answer(jobs, others)
  end

  defp lane(:writer), do: Lane.Write
  defp lane({:reader, _number}), do: Lane.Read

  defp mode(:writer), do: "rwc"
  defp mode({:reader, _number}), do: "rw"

  # A new file is for its owner alone; an existing one keeps its mode.
  defp prepare_file({:reader, _number}, _path), do: :ok

  defp prepare_file(:writer, path) do
    with {:ok, file} <- :file.open(path, [:write, :raw, :exclusive]),
         :ok <- :file.close(file),
         :ok <- :file.change_mode(path, 0o600) do
      :ok
    else
      {:error, :eexist} -> check_access(path)
      {:error, reason} -> {:error, :file.format_error(reason)}
    end
  end

  defp check_access(path) do
    case File.stat(path) do
      {:ok, %{type: :regular, access: :read_write}} -> :ok
      {:ok, %{type: :regular}} -> {:error, "no permission to read and write it"}
      {:ok, %{}} -> {:error, "it is not a file"}
      {:error, reason} -> {:error, :file.format_error(reason)}
    end
  end

  defp configure(connection, role) do
    with {:rows, _, [{"wal"}]} <- Sqlite.run(connection, "PRAGMA journal_mode=WAL", []),
         :ok <- pragmas(connection, pragmas(role)) do
      :ok
    else
      {:rows, _, _} -> {:error, "its file system cannot do write-ahead logging (WAL)"}
      {:error, _code, message} -> {:error, message}
    end
  end

  defp pragmas(connection, pragmas) do
    Enum.find_value(pragmas, :ok, fn pragma ->
      with {:error, _, _} = error <- Sqlite.run(connection, "PRAGMA " <> pragma, []),
           do: error,
           else: (_ -> nil)
    end)
  end

  defp pragmas(role) do
    cache_kib = if role == :writer, do: 64 * 1024, else: 16 * 1024

    [
      "busy_timeout=#{@busy_milliseconds}",
      "synchronous=FULL",
      "cache_size=-#{cache_kib}",
      "wal_autocheckpoint=#{@checkpoint_pages}",
      "journal_size_limit=#{@log_bytes_max}",
      "trusted_schema=OFF",
      "query_only=#{if role == :writer, do: "OFF", else: "ON"}"
    ]
  end

  defp version(connection) do
    {:rows, _, [{version}]} = Sqlite.run(connection, "SELECT sqlite_version()", [])
    [major, minor | _] = String.split(version, ".")
    "sqlite #{major}.#{minor}"
  end
end
