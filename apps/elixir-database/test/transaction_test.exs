defmodule FintechDatabase.TransactionTest do
  @moduledoc "Statements that share a commit: each succeeds or fails by itself."

  use ExUnit.Case

  import FintechDatabase.World

  alias FintechDatabase.Storage

  @insert "INSERT INTO t (id, n) VALUES (?, ?)"

  setup do
    serve()
    run("CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL CHECK (n > 0))")
    :ok
  end

  defp rows do
    {:rows, _, rows} = run("SELECT id, n FROM t ORDER BY id")
    rows
  end

  test "inserts that are sent together fail alone, wherever the bad ones stand" do
    :rand.seed(:exsss, {4, 5, 6})

    for round <- 1..30 do
      run("DELETE FROM t")
      count = :rand.uniform(200)

      # Few keys, so that some occur twice; some rows that no CHECK lets through; one statement text
      # that takes two rows, and some sequences of more than one statement.
      inserts =
        for number <- 1..count do
          key = "k#{:rand.uniform(count * 2)}"

          case :rand.uniform(12) do
            1 ->
              {[key], [statement(@insert, [key, -number])]}

            2 ->
              {[key, key <> "+"], [statement(@insert <> ", (?, ?)", [key, number, key <> "+", 1])]}

            3 ->
              {[key], [statement("SELECT 1 AS x"), statement(@insert, [key, number])]}

            _ ->
              {[key], [statement(@insert, [key, number])]}
          end
        end

      answers = inserts |> Enum.map(&elem(&1, 1)) |> Storage.run()

      applied =
        for {{keys, _}, steps} <- Enum.zip(inserts, answers),
            word(List.last(steps)) == :ok,
            do: keys

      ids = for {id, _} <- rows(), do: id

      assert {round, Enum.sort(List.flatten(applied))} == {round, ids}

      for {{keys, _}, steps} <- Enum.zip(inserts, answers) do
        case List.last(steps) do
          {:count, number} -> assert number == length(keys)
          {:error, :unique_violation, _, "t.id"} -> assert Enum.any?(keys, &(&1 in ids))
          {:error, :check_violation, _, _} -> :ok
        end
      end
    end
  end

  test "one of many inserts of a key wins" do
    sequences = for number <- 1..100, do: [statement(@insert, ["same", number])]
    words = for [outcome] <- Storage.run(sequences), do: word(outcome)

    assert Enum.frequencies(words) == %{ok: 1, unique_violation: 99}
    assert length(rows()) == 1
  end

  test "what cannot be prepared fails with its own word, beside what can" do
    unknown =
      for number <- 1..3, do: [statement("INSERT INTO absent (id) VALUES (?)", ["#{number}"])]

    answers = Storage.run(unknown ++ [[statement(@insert, ["a", 1])]] ++ unknown)

    assert Enum.map(answers, fn [outcome] -> word(outcome) end) ==
             List.duplicate(:unknown_table, 3) ++ [:ok] ++ List.duplicate(:unknown_table, 3)
  end

  test "values are bound as they are, alone and together" do
    run("CREATE TABLE v (id BIGINT NOT NULL PRIMARY KEY, t TEXT, n BIGINT)")

    values =
      for {text, number} <-
            Enum.zip(
              [
                "",
                "'",
                "\"; DROP TABLE v; --",
                "é🏦\u202e",
                "\\",
                "?",
                "0",
                :null,
                "x\n\t\u0001",
                "NULL"
              ],
              [
                0,
                1,
                -1,
                255,
                256,
                9_223_372_036_854_775_807,
                -9_223_372_036_854_775_808,
                :null,
                65_536,
                1
              ]
            ),
          do: {text, number}

    insert = "INSERT INTO v (id, t, n) VALUES (?, ?, ?)"
    numbered = Enum.with_index(values)
    Storage.run(for {{t, n}, id} <- numbered, do: [statement(insert, [id, t, n])])
    for {{t, n}, id} <- numbered, do: {:count, 1} = run(insert, [100 + id, t, n])

    assert {:rows, _, rows} = run("SELECT t, n FROM v ORDER BY id")
    assert rows == values ++ values
    # Nothing but small integers is a special case of the driver.
    assert {:rows, _, [{1, 2, 3}]} = run("SELECT ? AS a, ? AS b, ? AS c", [1, 2, 3])
  end
end
