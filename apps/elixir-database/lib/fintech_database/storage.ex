defmodule FintechDatabase.Storage do
  @moduledoc """
  The supervisor of everything below HTTP, and the one door to it: `run/1`.

  The harbour comes first, since connections need it. Then each side is a lane with its workers
  behind it: a lost lane takes its workers along (they finish their group and come back), a lost
  worker takes nobody along.
  """

  use Supervisor

  alias FintechDatabase.{Lane, Outcome, Ports, Settings, Statement, Worker}

  # Reads that one reader takes at once: it bounds how many wait behind a slow one.
  @read_group_max 8

  @doc "Start the lanes and their workers."
  @spec start_link(Settings.t()) :: Supervisor.on_start()
  def start_link(settings), do: Supervisor.start_link(__MODULE__, settings, name: __MODULE__)

  @doc """
  Run every sequence; answer when what was applied is durable.

  Sequences are independent: those that only read go to the readers while the others are written.
  """
  @spec run([Statement.sequence()]) :: [[Outcome.t()]]
  def run(sequences) do
    case Enum.split_with(sequences, &Statement.writes?/1) do
      {[], reads} -> run(Lane.Read, reads)
      {writes, []} -> run(Lane.Write, writes)
      {writes, reads} -> run_both(sequences, writes, reads)
    end
  end

  @impl Supervisor
  def init(settings) do
    limits = settings.limits

    Supervisor.init(
      [
        Ports,
        side(:write, [
          {Lane, {Lane.Write, limits.group_statements_max, limits}},
          {Worker, {:writer, settings}}
        ]),
        side(:read, [
          {Lane, {Lane.Read, @read_group_max, limits}},
          readers(settings)
        ])
      ],
      strategy: :rest_for_one
    )
  end

  defp run(lane, sequences),
    do: lane |> Lane.send_sequences(sequences) |> Lane.receive_answers(sequences)

  defp run_both(sequences, writes, reads) do
    writing = Lane.send_sequences(Lane.Write, writes)
    reading = Lane.send_sequences(Lane.Read, reads)
    read = Lane.receive_answers(reading, reads)
    written = Lane.receive_answers(writing, writes)
    weave(sequences, written, read)
  end

  defp weave([], [], []), do: []

  defp weave([sequence | rest], written, read) do
    if Statement.writes?(sequence),
      do: [hd(written) | weave(rest, tl(written), read)],
      else: [hd(read) | weave(rest, written, tl(read))]
  end

  defp side(name, children) do
    %{
      id: name,
      type: :supervisor,
      start: {Supervisor, :start_link, [children, [strategy: :rest_for_one] ++ restarts()]}
    }
  end

  defp readers(settings) do
    workers = for number <- 1..settings.limits.readers, do: {Worker, {{:reader, number}, settings}}

    %{
      id: :readers,
      type: :supervisor,
      start: {Supervisor, :start_link, [workers, [strategy: :one_for_one] ++ restarts()]}
    }
  end

  # Whoever fails more often than this needs a new operating system process, not a new one of ours.
  defp restarts, do: [max_restarts: 20, max_seconds: 10]
end
