defmodule FintechDatabase.Http.Listener do
  @moduledoc """
  The process that owns the listening socket.

  Port 0 takes a free port; it is remembered, so that a restarted listener listens where the
  clients expect it.
  """

  use GenServer

  alias FintechDatabase.Settings

  @backlog 2048
  @send_milliseconds 30_000

  @doc "Take the address."
  @spec start_link(Settings.t()) :: GenServer.on_start()
  def start_link(settings), do: GenServer.start_link(__MODULE__, settings, name: __MODULE__)

  @doc "The listening socket."
  @spec socket() :: :gen_tcp.socket()
  def socket, do: GenServer.call(__MODULE__, :socket)

  @doc "The port that is listened on."
  @spec port() :: :inet.port_number()
  def port, do: :persistent_term.get(__MODULE__)

  @doc "Forget the port, so that the next start with port 0 takes a new one."
  @spec forget() :: boolean
  def forget, do: :persistent_term.erase(__MODULE__)

  @impl GenServer
  def init(settings) do
    port = if settings.port == 0, do: :persistent_term.get(__MODULE__, 0), else: settings.port

    options = [
      :binary,
      if(tuple_size(settings.host) == 8, do: :inet6, else: :inet),
      ip: settings.host,
      active: false,
      nodelay: true,
      reuseaddr: true,
      backlog: @backlog,
      # One read takes a whole request of usual size.
      buffer: 16 * 1024,
      send_timeout: @send_milliseconds,
      send_timeout_close: true
    ]

    case :gen_tcp.listen(port, options) do
      {:ok, socket} ->
        {:ok, port} = :inet.port(socket)
        :persistent_term.put(__MODULE__, port)
        {:ok, socket}

      {:error, reason} ->
        {:stop, {:shutdown, {:unavailable, message(settings, port, reason)}}}
    end
  end

  @impl GenServer
  def handle_call(:socket, _from, socket), do: {:reply, socket, socket}

  defp message(settings, port, reason) do
    "cannot listen on #{:inet.ntoa(settings.host)}:#{port} (#{:inet.format_error(reason)}):" <>
      " choose another with --host and --port, or stop what listens there" <>
      " (--port 0 takes a free one)"
  end
end
