defmodule FintechDatabase.Admission do
  @moduledoc """
  How many bytes of large requests and answers may be held at once.

  Small ones are bounded by the number of connections and ask nobody. Who holds a large one asks
  here first and gives it back; a holder that dies has given everything back. What does not live
  here: how many statements may wait (`Lane`).
  """

  use GenServer

  # What is smaller than this does not ask: with 1,024 connections that is 64 MiB at most.
  @small_bytes 64 * 1024

  @doc "Start with the number of bytes that may be held."
  @spec start_link(bytes_max :: pos_integer) :: GenServer.on_start()
  def start_link(bytes_max), do: GenServer.start_link(__MODULE__, bytes_max, name: __MODULE__)

  @doc "Ask to hold so many bytes, until `release/0`."
  @spec hold(non_neg_integer) :: :ok | :full
  def hold(bytes) when bytes < @small_bytes, do: :ok
  def hold(bytes), do: GenServer.call(__MODULE__, {:hold, bytes, :ask})

  @doc "Say that so many bytes are held: they are made already, so this is never refused."
  @spec count(non_neg_integer) :: :ok
  def count(bytes) when bytes < @small_bytes, do: :ok
  def count(bytes), do: GenServer.call(__MODULE__, {:hold, bytes, :tell})

  @doc "Give back everything that the calling process holds."
  @spec release(held :: non_neg_integer) :: :ok
  def release(bytes) when bytes < @small_bytes, do: :ok
  def release(_bytes), do: GenServer.call(__MODULE__, :release)

  @impl GenServer
  def init(bytes_max), do: {:ok, %{max: bytes_max, total: 0, holders: %{}}}

  @impl GenServer
  def handle_call({:hold, bytes, manner}, {pid, _tag}, state) do
    if manner == :ask and state.total + bytes > state.max,
      do: {:reply, :full, state},
      else: {:reply, :ok, add(state, pid, bytes)}
  end

  def handle_call(:release, {pid, _tag}, state) do
    with %{^pid => {monitor, _bytes}} <- state.holders, do: Process.demonitor(monitor, [:flush])
    {:reply, :ok, remove(state, pid)}
  end

  @impl GenServer
  def handle_info({:DOWN, _monitor, :process, pid, _reason}, state),
    do: {:noreply, remove(state, pid)}

  defp add(state, pid, bytes) do
    {monitor, held} = Map.get_lazy(state.holders, pid, fn -> {Process.monitor(pid), 0} end)
    holders = Map.put(state.holders, pid, {monitor, held + bytes})
    %{state | total: state.total + bytes, holders: holders}
  end

  defp remove(state, pid) do
    {{_monitor, bytes}, holders} = Map.pop(state.holders, pid, {nil, 0})
    %{state | total: state.total - bytes, holders: holders}
  end
end
