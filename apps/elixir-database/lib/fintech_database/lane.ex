defmodule FintechDatabase.Lane do
  @moduledoc """
  The queue in front of the processes that hold connections: one lane to write, one to read.

  What is sent while every worker is busy gathers here and leaves together as one group (for
  writes: one commit). A lane never waits for anything itself, so it can always answer:

  - more waiting statements than the limit: `overloaded`, not run;
  - waited for the whole statement time without being run: `overloaded`, not run;
  - with a worker for longer than that: `timeout`, nobody knows;
  - its worker died: `internal`, nobody knows.

  A worker says `{:free, pid}`, is given `{:group, ref, jobs}`, answers each caller itself and says
  `{:done, pid, ref}`. An answer that comes late falls on the caller's deactivated alias and is
  lost, as it should be. What does not live here: SQL and connections.
  """

  use GenServer

  alias FintechDatabase.{Limits, Outcome, Statement}

  # How often the clock is looked at.
  @tick_milliseconds 50

  @type name :: FintechDatabase.Lane.Write | FintechDatabase.Lane.Read

  @typedoc "Sequences of one request, and whom to answer."
  @type job :: {GenServer.from(), [Statement.sequence()]}

  @doc "Start a lane that gathers groups of so many statements."
  @spec start_link({name, group_max :: pos_integer, Limits.t()}) :: GenServer.on_start()
  def start_link({name, group_max, limits}),
    do: GenServer.start_link(__MODULE__, {group_max, limits}, name: name)

  @doc false
  def child_spec({name, _, _} = argument),
    do: %{id: name, start: {__MODULE__, :start_link, [argument]}}

  @doc "Send sequences to a lane without waiting; `receive_answers/2` has the answers."
  @spec send_sequences(name, [Statement.sequence()]) :: :gen_server.request_id()
  def send_sequences(name, sequences), do: :gen_server.send_request(name, {:run, sequences})

  @doc "Wait for the answers to sequences: one list per sequence, one outcome per statement."
  @spec receive_answers(:gen_server.request_id(), [Statement.sequence()]) :: [[Outcome.t()]]
  def receive_answers(request, sequences) do
    case :gen_server.receive_response(request, :infinity) do
      {:reply, answers} ->
        answers

      {:error, {:noproc, _name}} ->
        Enum.map(sequences, &Outcome.refused(&1, :overloaded, "the service is starting"))

      {:error, {_reason, _name}} ->
        Enum.map(sequences, &Outcome.unknown(&1, :internal, "the queue was lost; see the log"))
    end
  end

  @doc "Tell a lane that the calling process takes groups."
  @spec join(name) :: :ok
  def join(name), do: GenServer.cast(name, {:free, self()})

  @doc "Tell a lane that the calling process has answered its group."
  @spec finish(name, reference) :: :ok
  def finish(name, group), do: GenServer.cast(name, {:done, self(), group})

  @doc "Whether a lane has a worker, busy or not."
  @spec is_staffed?(name) :: boolean
  def is_staffed?(name) do
    GenServer.call(name, :is_staffed?)
  catch
    :exit, _ -> false
  end

  @impl GenServer
  def init({group_max, limits}) do
    Process.send_after(self(), :tick, @tick_milliseconds)

    {:ok,
     %{
       group_max: group_max,
       waiting_max: limits.waiting_statements_max,
       patience: Limits.milliseconds(limits.statement_seconds),
       # Jobs {from, sequences, size, since}, oldest first.
       queue: :queue.new(),
       # Statements in the queue and with workers.
       waiting: 0,
       free: [],
       # Worker => its monitor.
       workers: %{},
       # Worker => {group, jobs, size, since or nil once its callers were answered `timeout`}.
       groups: %{}
     }}
  end

  @impl GenServer
  def handle_call(:is_staffed?, _from, lane), do: {:reply, map_size(lane.workers) > 0, lane}

  def handle_call({:run, sequences}, from, lane) do
    size = sequences |> Enum.map(&length/1) |> Enum.sum()

    if lane.waiting + size > lane.waiting_max and lane.waiting > 0 do
      {:reply, refused(sequences, "too many statements wait; nothing was run"), lane}
    else
      job = {from, sequences, size, now()}

      {:noreply,
       dispatch(%{lane | queue: :queue.in(job, lane.queue), waiting: lane.waiting + size})}
    end
  end

  @impl GenServer
  def handle_cast({:free, worker}, lane) do
    monitor = Process.monitor(worker)
    workers = Map.put(lane.workers, worker, monitor)
    {:noreply, dispatch(%{lane | workers: workers, free: [worker | lane.free]})}
  end

  def handle_cast({:done, worker, group}, lane) do
    {{^group, _jobs, size, _since}, groups} = Map.pop!(lane.groups, worker)
    lane = %{lane | groups: groups, waiting: lane.waiting - size, free: [worker | lane.free]}
    {:noreply, dispatch(lane)}
  end

  @impl GenServer
  def handle_info(:tick, lane) do
    Process.send_after(self(), :tick, @tick_milliseconds)
    late = now() - lane.patience
    {:noreply, lane |> give_up_groups(late) |> give_up_queue(late)}
  end

  def handle_info({:DOWN, _monitor, :process, worker, _reason}, lane) do
    {group, groups} = Map.pop(lane.groups, worker, {nil, [], 0, nil})
    {_, jobs, size, since} = group
    if since, do: answer_unknown(jobs, :internal, "the process at work died")

    {:noreply,
     %{
       lane
       | groups: groups,
         waiting: lane.waiting - size,
         workers: Map.delete(lane.workers, worker),
         free: List.delete(lane.free, worker)
     }}
  end

  defp dispatch(%{free: [worker | free], queue: queue} = lane) do
    case gather(queue, lane.group_max, [], 0) do
      {[], _queue, 0} ->
        lane

      {jobs, queue, size} ->
        group = make_ref()
        send(worker, {:group, group, jobs})
        groups = Map.put(lane.groups, worker, {group, jobs, size, now()})
        dispatch(%{lane | free: free, queue: queue, groups: groups})
    end
  end

  defp dispatch(lane), do: lane

  # As many jobs as fit, oldest first; one at least.
  defp gather(queue, room, jobs, total) do
    case :queue.peek(queue) do
      {:value, {from, sequences, size, _since}} when jobs == [] or size <= room ->
        gather(:queue.drop(queue), room - size, [{from, sequences} | jobs], total + size)

      _full_or_empty ->
        {Enum.reverse(jobs), queue, total}
    end
  end

  defp give_up_groups(lane, late) do
    groups =
      Map.new(lane.groups, fn
        {worker, {group, jobs, size, since}} when since != nil and since < late ->
          answer_unknown(jobs, :timeout, "the statement runs for too long")
          {worker, {group, [], size, nil}}

        in_time ->
          in_time
      end)

    %{lane | groups: groups}
  end

  defp give_up_queue(lane, late) do
    case :queue.peek(lane.queue) do
      {:value, {from, sequences, size, since}} when since < late ->
        GenServer.reply(from, refused(sequences, "waited for too long; nothing was run"))
        queue = :queue.drop(lane.queue)
        give_up_queue(%{lane | queue: queue, waiting: lane.waiting - size}, late)

      _in_time ->
        lane
    end
  end

  defp refused(sequences, why), do: Enum.map(sequences, &Outcome.refused(&1, :overloaded, why))

  defp answer_unknown(jobs, code, why) do
    for {from, sequences} <- jobs,
        do: GenServer.reply(from, Enum.map(sequences, &Outcome.unknown(&1, code, why)))
  end

  defp now, do: System.monotonic_time(:millisecond)
end
