defmodule FintechDatabase.Service do
  @moduledoc """
  The whole service as one supervisor: the storage, and HTTP in front of it.

  HTTP starts when the storage is ready and stops before the storage does.
  """

  use Supervisor

  alias FintechDatabase.{Http, Settings, Storage}

  @doc "Start to serve."
  @spec start_link(Settings.t()) :: Supervisor.on_start()
  def start_link(settings), do: Supervisor.start_link(__MODULE__, settings, name: __MODULE__)

  @impl Supervisor
  def init(settings),
    do: Supervisor.init([{Storage, settings}, {Http, settings}], strategy: :rest_for_one)
end
