defmodule FintechDatabase.Ports do
  @moduledoc """
  The harbour: who holds which connection, on which of the driver's threads.

  A process that opens a connection asks here for a thread of its own and registers the port. When
  that process dies, however it dies, the port is taken in, its running command is waited for, an
  open transaction is rolled back, and only then the port is closed. So killing a writer or a
  reader never tears a command apart, never leaves a lock behind and never brings the machine down.

  What does not live here: what runs on a connection.
  """

  use GenServer

  alias FintechDatabase.Sqlite

  # How long to wait for a reply that may have reached a dead process.
  @patience_milliseconds 1_000

  @doc "Start the harbour."
  @spec start_link(term) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Open a connection for the calling process, on a thread that nobody uses where there is one."
  @spec open(Path.t(), mode :: String.t()) :: {:ok, Sqlite.t()} | {:error, String.t()}
  def open(path, mode) do
    slot = GenServer.call(__MODULE__, :reserve)

    with {:ok, connection} <- Sqlite.open(path, mode, slot) do
      :ok = GenServer.call(__MODULE__, {:register, connection})
      {:ok, connection}
    end
  end

  @impl GenServer
  def init(_argument), do: {:ok, %{}}

  # The state: monitor => {owner, slot, connection or nil}; a burial's slot stays taken to its end.
  @impl GenServer
  def handle_call(:reserve, {owner, _tag}, held) do
    taken = for {_, {_, slot, _}} <- held, do: slot
    slot = Enum.min_by(0..(Sqlite.slots() - 1), fn slot -> Enum.count(taken, &(&1 == slot)) end)
    {:reply, slot, Map.put(held, Process.monitor(owner), {owner, slot, nil})}
  end

  def handle_call({:register, connection}, {owner, _tag}, held) do
    {monitor, {_, slot, nil}} = Enum.find(held, &match?({_, {^owner, _slot, nil}}, &1))

    {:reply, :ok, Map.put(held, monitor, {owner, slot, connection})}
  end

  @impl GenServer
  def handle_info({:DOWN, monitor, :process, _pid, _reason}, held) do
    case Map.pop(held, monitor) do
      {{_owner, slot, %Sqlite{} = connection}, held} -> {:noreply, bury(connection, slot, held)}
      {_nothing_open, held} -> {:noreply, held}
    end
  end

  defp bury(connection, slot, held) do
    {pid, monitor} = spawn_monitor(fn -> Sqlite.bury(connection, @patience_milliseconds) end)
    Map.put(held, monitor, {pid, slot, nil})
  end
end
