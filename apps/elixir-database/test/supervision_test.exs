defmodule FintechDatabase.SupervisionTest do
  @moduledoc "What is left of the service's promises when parts of it are killed."

  use ExUnit.Case

  import FintechDatabase.World

  alias FintechDatabase.{Lane, Ports, Storage, Worker}

  defp insert(key), do: word(run("INSERT INTO t (id) VALUES (?)", [key]))

  defp create, do: run("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY)")

  defp ids do
    {:rows, _, rows} = run("SELECT id FROM t")
    MapSet.new(rows, fn {id} -> id end)
  end

  # Clients insert until told to stop; answers what each insert came to.
  defp under_load(clients, killing) do
    test = self()
    stop = :counters.new(1, [])

    tasks =
      for client <- 1..clients do
        Task.async(fn -> insert_until(stop, client, 0, []) end)
      end

    killing.()
    :counters.add(stop, 1, 1)
    assert self() == test
    Enum.flat_map(tasks, &Task.await(&1, 30_000))
  end

  defp insert_until(stop, client, number, done) do
    key = "#{client}-#{number}"
    done = [{key, insert(key)} | done]
    if :counters.get(stop, 1) > 0, do: done, else: insert_until(stop, client, number + 1, done)
  end

  test "a killed writer comes back and loses no acknowledged row" do
    serve()
    create()

    answers =
      under_load(16, fn ->
        for _ <- 1..5 do
          Process.sleep(60)
          writer = Process.whereis(Worker.name(:writer))
          Process.exit(writer, :kill)
          reborn(:writer, writer)
        end

        Process.sleep(60)
      end)

    found = ids()
    words = answers |> Enum.map(&elem(&1, 1)) |> MapSet.new()
    assert for({key, :ok} <- answers, not MapSet.member?(found, key), do: key) == []
    assert MapSet.subset?(words, MapSet.new([:ok, :internal, :overloaded]))
    assert :internal in words
    assert insert("after") == :ok
  end

  test "a row that is refused as unknown can be sent again" do
    serve()
    create()

    answers =
      under_load(8, fn ->
        Process.sleep(30)
        Process.exit(Process.whereis(Worker.name(:writer)), :kill)
        Process.sleep(30)
      end)

    for {key, :internal} <- answers, do: assert(insert(key) in [:ok, :unique_violation])
    found = ids()
    assert Enum.all?(answers, fn {key, word} -> word == :overloaded or key in found end)
  end

  @tag :threads
  test "a writer killed in the middle of a statement leaves no lock behind" do
    serve()
    numbers("x", 3000)
    create()
    writer = Process.whereis(Worker.name(:writer))

    slow =
      "UPDATE x SET m = (SELECT COUNT(*) FROM x AS a JOIN x AS b ON a.n + b.n > x.n) WHERE n = 1"

    task = Task.async(fn -> run(slow) end)
    Process.sleep(100)

    Process.exit(writer, :kill)

    assert word(Task.await(task)) == :internal
    reborn(:writer, writer)
    # The new writer waits for the dead one's statement, which ended whole or not at all.
    assert insert("a") == :ok
    assert {:rows, _, [{m}]} = run("SELECT m FROM x WHERE n = 1")
    assert m in [:null, 9_000_000]
  end

  @tag :threads
  test "a killed reader takes its own read along and nothing else" do
    serve(readers: 2)
    numbers("x", 4000)
    task = Task.async(fn -> run(slow_select("x")) end)
    Process.sleep(100)
    %{groups: groups} = :sys.get_state(Lane.Read)
    [reader] = Map.keys(groups)

    Process.exit(reader, :kill)

    assert word(Task.await(task)) == :internal
    assert {:rows, _, [{1}]} = run("SELECT n FROM x WHERE n = ?", [1])
    assert run("UPDATE x SET m = 1 WHERE n = 1") == {:count, 1}
  end

  test "killed readers come back while reads go on" do
    serve(readers: 2)
    numbers("x", 10)

    for number <- [1, 2, 1, 2] do
      reader = Process.whereis(Worker.name({:reader, number}))
      Process.exit(reader, :kill)
      # A read that was given to the dying reader is told that it failed; the next is answered.
      assert eventually(fn -> match?({:rows, _, [{3}]}, run("SELECT n FROM x WHERE n = 3")) end, 3)
      reborn({:reader, number}, reader)
    end
  end

  for name <- [Lane.Write, Lane.Read, Ports] do
    test "#{inspect(name)} killed: callers are told, and the service goes on" do
      serve()
      create()

      answers =
        under_load(4, fn ->
          Process.sleep(30)
          Process.exit(Process.whereis(unquote(name)), :kill)
          Process.sleep(100)
        end)

      assert eventually(fn -> insert("after") in [:ok, :unique_violation] end)
      assert eventually(fn -> match?({:rows, _, _}, run("SELECT id FROM t")) end)
      found = ids()
      assert for({key, :ok} <- answers, not MapSet.member?(found, key), do: key) == []
    end
  end

  @tag :threads
  test "a statement that runs for too long is answered in time and holds up nobody else" do
    serve(statement_seconds: 0.2, readers: 2)
    numbers("x", 6000)
    {microseconds, outcome} = :timer.tc(fn -> run(slow_select("x")) end)

    assert word(outcome) == :timeout
    assert microseconds < 1_000_000
    assert {:rows, _, [{5}]} = run("SELECT n FROM x WHERE n = 5")
    assert run("UPDATE x SET m = 1 WHERE n = 1") == {:count, 1}
  end

  @tag :threads
  test "writes that wait behind a long one are told that they were not run" do
    serve(statement_seconds: 0.2)
    numbers("x", 5000)
    create()

    slow =
      "UPDATE x SET m = (SELECT COUNT(*) FROM x AS a JOIN x AS b ON a.n + b.n > x.n) WHERE n = 1"

    task = Task.async(fn -> run(slow) end)
    Process.sleep(50)

    assert insert("waits") == :overloaded
    assert word(Task.await(task)) == :timeout
    assert eventually(fn -> insert("later") == :ok end)
    assert MapSet.member?(ids(), "later")
    refute MapSet.member?(ids(), "waits")
  end

  test "a poisoned statement fails alone: its neighbours in the commit are applied" do
    serve()
    numbers("x", 3)
    create()
    run("UPDATE x SET m = 9223372036854775807 WHERE n = 3")
    # It fails at its third row, when two are changed already.
    poison = "UPDATE x SET m = (SELECT SUM(b.m) FROM x AS b WHERE b.n >= 4 - x.n) + 0"
    run("INSERT INTO x (n, m) VALUES (4, 9223372036854775807)")

    answers =
      Storage.run([
        [statement("INSERT INTO t (id) VALUES ('before')")],
        [statement(poison), statement("INSERT INTO t (id) VALUES ('never')")],
        [statement("INSERT INTO t (id) VALUES ('behind')")]
      ])

    assert Enum.map(answers, fn steps -> Enum.map(steps, &word/1) end) ==
             [[:ok], [:too_large, :not_executed], [:ok]]

    assert ids() == MapSet.new(["before", "behind"])
    assert {:rows, _, rows} = run("SELECT m FROM x ORDER BY n")
    assert rows == [{:null}, {:null}, {9_223_372_036_854_775_807}, {9_223_372_036_854_775_807}]
  end

  test "what was acknowledged is there after the whole service was restarted" do
    settings = serve()
    create()
    assert insert("a") == :ok
    stop_supervised!(FintechDatabase.Service)

    start_supervised!({FintechDatabase.Service, settings})

    assert ids() == MapSet.new(["a"])
  end

  defp eventually(check, tries \\ 200) do
    cond do
      check.() -> true
      tries == 0 -> false
      true -> Process.sleep(20) && eventually(check, tries - 1)
    end
  end
end
