defmodule FintechDatabase.Http.Acceptor do
  @moduledoc """
  A process that takes connections from the listening socket and gives each to a `Http.Peer`.
  """

  use Task, restart: :permanent

  alias FintechDatabase.{Http, Limits, Settings}
  alias FintechDatabase.Http.{Listener, Peer}

  # No file descriptors are left: wait for some to be closed.
  @pause_milliseconds 100

  @doc "Start to accept."
  @spec start_link(Settings.t()) :: {:ok, pid}
  def start_link(settings), do: Task.start_link(__MODULE__, :accept, [Listener.socket(), settings])

  @doc false
  @spec accept(:gen_tcp.socket(), Settings.t()) :: no_return
  def accept(listening, settings) do
    case :gen_tcp.accept(listening) do
      {:ok, socket} -> give(socket, settings)
      {:error, reason} when reason in [:emfile, :enfile] -> Process.sleep(@pause_milliseconds)
      {:error, :econnaborted} -> :ok
    end

    accept(listening, settings)
  end

  defp give(socket, settings) do
    arguments = [socket, settings]
    patience = [shutdown: Limits.milliseconds(settings.limits.drain_seconds)]

    case Task.Supervisor.start_child(Http.Peers, Peer, :serve, arguments, patience) do
      {:ok, peer} ->
        with :ok <- :gen_tcp.controlling_process(socket, peer), do: send(peer, :yours)

      {:error, :max_children} ->
        Peer.turn_away(socket)
    end
  end
end
