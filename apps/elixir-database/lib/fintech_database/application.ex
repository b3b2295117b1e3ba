defmodule FintechDatabase.Application do
  @moduledoc """
  The OTP application. Without settings (in tests, in a shell) it starts empty.

  It holds the SQLite driver in memory, because a driver that is unloaded takes its ports along.
  """

  use Application

  alias FintechDatabase.{Service, Settings, Sqlite}

  @application :fintech_database

  @doc "Say what is to be served when the application starts."
  @spec configure(Settings.t()) :: :ok
  def configure(settings), do: Application.put_env(@application, :settings, settings)

  @impl Application
  def start(_type, _arguments) do
    with :ok <- Sqlite.load(), do: start(Application.get_env(@application, :settings))
  end

  @impl Application
  def prep_stop(state) do
    # The application controller is busy with this very stop: it cannot be asked to keep anything.
    :persistent_term.put(__MODULE__, :stopping)
    state
  end

  # A statement that still runs would keep the emulator from stopping. What was answered is durable
  # and what was not is unknown anyway, so nobody waits for it longer than the drain took.
  @impl Application
  def stop(_state) do
    if Application.get_env(@application, :settings) do
      :logger.info("stopped")
      status = if :persistent_term.get(__MODULE__, nil) == :stopping, do: 0, else: 1
      :erlang.halt(status, flush: false)
    end
  end

  defp start(nil), do: Supervisor.start_link([], strategy: :one_for_one)
  defp start(settings), do: Service.start_link(settings)
end
