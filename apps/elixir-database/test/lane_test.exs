defmodule FintechDatabase.LaneTest do
  @moduledoc "The queue by itself: the test is the worker that takes groups, or does not."

  use ExUnit.Case

  import FintechDatabase.World, only: [word: 1]

  alias FintechDatabase.{Lane, Limits, Statement}

  @sequence [%Statement{form: {:error, :unsupported, "", nil}}]

  defp start(limits, group_max \\ 10) do
    start_supervised!({Lane, {Lane.Write, group_max, struct!(Limits, limits)}})
    :ok
  end

  defp ask(sequences \\ [@sequence]) do
    Task.async(fn ->
      Lane.Write
      |> Lane.send_sequences(sequences)
      |> Lane.receive_answers(sequences)
      |> Enum.map(fn steps -> Enum.map(steps, &word/1) end)
    end)
  end

  defp wait_until_waiting(count) do
    unless :sys.get_state(Lane.Write).waiting == count, do: wait_until_waiting(count)
  end

  test "what gathers while the worker is busy leaves as one group, in order" do
    start([])
    Lane.join(Lane.Write)
    first = ask()
    assert_receive {:group, group, [{from, [_]}]}
    others = for _ <- 1..3, do: ask()
    wait_until_waiting(4)
    refute_received {:group, _, _}

    GenServer.reply(from, [[{:count, 1}]])
    Lane.finish(Lane.Write, group)

    assert Task.await(first) == [[:ok]]
    assert_receive {:group, _, jobs}
    assert length(jobs) == 3
    for {from, _} <- jobs, do: GenServer.reply(from, [[{:count, 1}]])
    for task <- others, do: assert(Task.await(task) == [[:ok]])
  end

  test "a group holds no more statements than its limit, except one job that is larger" do
    start([], 4)
    large = ask(List.duplicate(@sequence, 9))
    wait_until_waiting(9)
    small = for _ <- 1..5, do: ask()
    wait_until_waiting(14)
    Lane.join(Lane.Write)

    sizes =
      for _ <- 1..3 do
        assert_receive {:group, group, jobs}

        for {from, sequences} <- jobs,
            do: GenServer.reply(from, Enum.map(sequences, fn _ -> [{:count, 1}] end))

        Lane.finish(Lane.Write, group)
        jobs |> Enum.map(fn {_, sequences} -> length(sequences) end) |> Enum.sum()
      end

    assert sizes == [9, 4, 1]
    for task <- [large | small], do: Task.await(task)
  end

  test "a full queue refuses at once and says that nothing was run" do
    start(waiting_statements_max: 3)
    waiting = for _ <- 1..3, do: ask()
    wait_until_waiting(3)

    assert Task.await(ask([@sequence, @sequence ++ @sequence])) ==
             [[:overloaded], [:overloaded, :not_executed]]

    Lane.join(Lane.Write)
    assert_receive {:group, _, jobs}
    for {from, _} <- jobs, do: GenServer.reply(from, [[{:count, 1}]])
    assert Enum.map(waiting, &Task.await/1) == List.duplicate([[:ok]], 3)
  end

  test "a request larger than the whole queue is taken when nothing waits" do
    start(waiting_statements_max: 3)
    Lane.join(Lane.Write)
    ask(List.duplicate(@sequence, 5))

    assert_receive {:group, _, [{_from, sequences}]}
    assert length(sequences) == 5
  end

  test "who waited for too long without being run is told so" do
    start(statement_seconds: 0.1)

    assert Task.await(ask()) == [[:overloaded]]
    wait_until_waiting(0)
  end

  test "who is at work for too long is answered, and the late answer is lost" do
    start(statement_seconds: 0.1)
    Lane.join(Lane.Write)
    task = ask()
    assert_receive {:group, group, [{from, _}]}

    assert Task.await(task) == [[:timeout]]
    GenServer.reply(from, [[{:count, 1}]])
    Lane.finish(Lane.Write, group)
    wait_until_waiting(0)
  end

  test "a worker that dies leaves its callers with an unknown outcome and the others waiting" do
    start([])
    test = self()

    worker =
      spawn(fn ->
        Lane.join(Lane.Write)

        receive do
          {:group, _, _} = group -> send(test, group)
        end

        Process.sleep(:infinity)
      end)

    first = ask()
    assert_receive {:group, _, _}
    second = ask()
    wait_until_waiting(2)
    Process.exit(worker, :kill)

    assert Task.await(first) == [[:internal]]
    Lane.join(Lane.Write)
    assert_receive {:group, _, [{from, _}]}
    GenServer.reply(from, [[{:count, 1}]])
    assert Task.await(second) == [[:ok]]
  end

  test "a lane that is not there runs nothing" do
    assert Task.await(ask()) == [[:overloaded]]
  end
end
