defmodule FintechDatabase.Http do
  @moduledoc """
  The supervisor of everything in front of the lanes.

  Children stop in reverse order: first nobody accepts, then the open connections finish what they
  are at, and only then the storage below goes.
  """

  use Supervisor

  alias FintechDatabase.{Admission, Settings}
  alias FintechDatabase.Form.Cache
  alias FintechDatabase.Http.{Acceptor, Listener}

  @acceptors 4

  @doc "Start to serve."
  @spec start_link(Settings.t()) :: Supervisor.on_start()
  def start_link(settings), do: Supervisor.start_link(__MODULE__, settings, name: __MODULE__)

  @impl Supervisor
  def init(settings) do
    limits = settings.limits

    acceptors =
      for number <- 1..@acceptors,
          do: Supervisor.child_spec({Acceptor, settings}, id: {Acceptor, number})

    Supervisor.init(
      [
        Cache,
        {Admission, limits.waiting_bytes_max},
        {Task.Supervisor, name: FintechDatabase.Http.Peers, max_children: limits.connections_max},
        {Listener, settings},
        acceptors(acceptors)
      ],
      strategy: :rest_for_one
    )
  end

  defp acceptors(children) do
    %{
      id: :acceptors,
      type: :supervisor,
      start: {Supervisor, :start_link, [children, [strategy: :one_for_one]]}
    }
  end
end
