defmodule FintechDatabase.Transaction do
  @moduledoc """
  How statements run on a connection: reads one by one, writes as one group and one commit.

  Each statement stays atomic by itself inside a group:

  - A constraint that fails undoes its own statement: that is SQLite's ABORT, done by its statement
    journal (https://www.sqlite.org/lang_conflict.html), so the common case needs no savepoint.
  - Any other error while a statement runs might leave part of it behind, or end the transaction.
    The group is then rolled back, of which nobody has been told anything, and run again with a
    savepoint around every statement; a statement that ends the transaction itself keeps its error
    and is left out. Nothing is answered before some round commits.

  A command to the driver costs as much as the statement in it, or more. So inserts of one text that
  stand alone in their sequences are sent together, as one `INSERT` of all their rows. If it fails,
  it has left nothing behind, and its halves are tried: each insert still succeeds or fails by itself.

  What does not live here: who waits (`Lane`) and which process runs this (`Writer`, `Reader`).
  """

  alias FintechDatabase.{Form, Limits, Outcome, Sqlite, Statement}

  @type answers :: [[Outcome.t()]]

  # Another process holds the database (SQLITE_BUSY, SQLITE_LOCKED): nothing was done.
  @busy [5, 6]

  # A statement that ends so has changed nothing (SQLITE_ERROR, TOOBIG, CONSTRAINT, MISMATCH).
  @nothing_done [1, 18, 19, 20]

  # Inserts that are sent together: SQLite's parser is as quick with the rows of one as of many.
  @together_max 128

  @doc "Run sequences that only read."
  @spec read(Sqlite.t(), [Statement.sequence()], Limits.t()) :: answers
  def read(connection, sequences, limits) do
    for sequence <- sequences do
      steps(sequence, fn statement -> one(connection, statement, limits) end)
    end
  end

  @doc "Run sequences in one transaction and commit; the answers hold once this returns."
  @spec write(Sqlite.t(), [Statement.sequence()], Limits.t()) :: answers
  # One statement alone needs no transaction of ours: SQLite makes one and ends it, in one command
  # instead of three.
  def write(connection, [[%Statement{form: %Form{kind: :write}} = statement]], limits) do
    case run(connection, statement, limits) do
      {:driver, code, message} when code in @busy ->
        [Outcome.refused([statement], :overloaded, message)]

      {:driver, code, message} ->
        [[Outcome.explain(code, message)]]

      outcome ->
        [[outcome]]
    end
  end

  def write(connection, sequences, limits) do
    case one_insert(sequences) do
      nil -> attempt(connection, sequences, limits, _guarded = false, _settled = %{})
      insert -> write_one_insert(connection, insert, sequences, limits)
    end
  end

  # Inserts of one text and nothing else are one statement, and that is a transaction by itself. If
  # it fails for a row's sake it has left nothing behind, and they are written like any others.
  defp write_one_insert(connection, {text, params, count}, sequences, limits) do
    case Sqlite.run(connection, text, params) do
      {:error, code, message} when code in @busy ->
        Enum.map(sequences, &Outcome.refused(&1, :overloaded, message))

      {:error, code, message} when code not in @nothing_done ->
        Enum.map(sequences, &Outcome.unknown(&1, :internal, "the commit failed: #{message}"))

      {:error, _code, _message} ->
        attempt(connection, sequences, limits, false, %{})

      _applied ->
        Enum.map(sequences, fn _ -> [{:count, count}] end)
    end
  end

  defp one_insert([[%Statement{form: %Form{values: {_, _}, sql: sql}}], _ | _] = sequences) do
    inserts = for [%Statement{form: %Form{sql: ^sql}} = one] <- sequences, do: one

    if length(inserts) == length(sequences) and length(inserts) <= most_together(hd(inserts)),
      do: together(inserts)
  end

  defp one_insert(_sequences), do: nil

  defp attempt(connection, sequences, limits, guarded, settled) do
    case Sqlite.run(connection, "BEGIN IMMEDIATE", []) do
      :ok ->
        together = if guarded, do: %{}, else: insert_together(connection, sequences)
        run = &guard(connection, &1, &2, limits, guarded, settled)
        commit(connection, numbered(sequences, together, run))

      {:error, _code, message} ->
        Enum.map(sequences, &Outcome.refused(&1, :overloaded, "no transaction: #{message}"))
    end
  catch
    # With savepoints only a statement that ends the transaction gets here, and each is settled:
    # this ends after as many rounds as there are statements, at worst.
    {:transaction_lost, newly_settled} ->
      Sqlite.run(connection, "ROLLBACK", [])
      attempt(connection, sequences, limits, true, Map.merge(settled, newly_settled))
  end

  defp commit(connection, answers) do
    case Sqlite.run(connection, "COMMIT", []) do
      :ok ->
        answers

      {:error, _code, message} ->
        # The log may hold the commit and lack its sync: nobody knows what a restart finds.
        Sqlite.run(connection, "ROLLBACK", [])
        Enum.map(answers, &Outcome.unknown(&1, :internal, "the commit failed: #{message}"))
    end
  end

  # A statement's place in the group is its name from one round to the next.
  defp numbered(sequences, together, run) do
    for {sequence, row} <- Enum.with_index(sequences) do
      case together do
        %{^row => outcome} ->
          [outcome]

        _ ->
          sequence |> Enum.with_index() |> steps(fn {one, column} -> run.({row, column}, one) end)
      end
    end
  end

  # The outcomes, by the row of their sequence, of those inserts that were applied together.
  defp insert_together(connection, sequences) do
    alone =
      for {[%Statement{form: %Form{values: {_, _}}} = one], row} <- Enum.with_index(sequences),
          do: {row, one}

    for {_sql, inserts} <- Enum.group_by(alone, fn {_, one} -> one.form.sql end),
        chunk <- Enum.chunk_every(inserts, inserts |> hd() |> elem(1) |> most_together()),
        reduce: %{} do
      outcomes -> insert_together(connection, chunk, outcomes)
    end
  end

  # As one INSERT: its text, its parameters, and the rows that each of them has.
  defp together([%{form: %{sql: sql, values: {count, rows}}} | others] = inserts) do
    text = IO.iodata_to_binary([sql | Enum.map(others, fn _ -> [", ", rows] end)])
    {text, Enum.flat_map(inserts, & &1.params), count}
  end

  defp most_together(%{form: form}) do
    room = div(Limits.parameters_max(), max(form.placeholders, 1))
    max(1, min(@together_max, room))
  end

  defp insert_together(_connection, [_one], outcomes), do: outcomes

  defp insert_together(connection, inserts, outcomes) do
    {text, params, count} = inserts |> Enum.map(&elem(&1, 1)) |> together()

    case Sqlite.run(connection, text, params) do
      {:error, code, _message} ->
        insert_halves(connection, code, inserts, outcomes)

      _applied ->
        for {row, _} <- inserts, into: outcomes, do: {row, {:count, count}}
    end
  end

  defp insert_halves(connection, code, [{_, first} | _] = inserts, outcomes) do
    cond do
      Outcome.is_constraint?(code) ->
        {one_half, other_half} = Enum.split(inserts, div(length(inserts), 2))
        outcomes = insert_together(connection, one_half, outcomes)
        insert_together(connection, other_half, outcomes)

      # It cannot be prepared: each will say so for itself.
      undone?(connection, code, first) ->
        outcomes

      true ->
        throw({:transaction_lost, %{}})
    end
  end

  defp steps(sequence, run), do: steps(sequence, run, [])

  defp steps([], _run, done), do: Enum.reverse(done)

  defp steps([statement | rest], run, done) do
    case run.(statement) do
      {:error, _, _, _} = failure ->
        Enum.reverse(done, [failure | Enum.map(rest, fn _ -> Outcome.not_executed() end)])

      outcome ->
        steps(rest, run, [outcome | done])
    end
  end

  defp guard(connection, place, statement, limits, guarded, settled) do
    case settled do
      %{^place => outcome} -> outcome
      _ -> guard(connection, place, statement, limits, guarded)
    end
  end

  defp guard(connection, place, %{form: %Form{kind: kind}} = statement, limits, guarded)
       when kind == :schema or (guarded and kind == :write) do
    :ok = control(connection, "SAVEPOINT one")
    outcome = one(connection, statement, limits)

    with {:error, _, _, _} <- outcome,
         {:error, _, _} <- Sqlite.run(connection, "ROLLBACK TO one", []) do
      throw({:transaction_lost, %{place => outcome}})
    end

    :ok = control(connection, "RELEASE one")
    outcome
  end

  defp guard(connection, _place, statement, limits, _guarded) do
    with {:driver, code, message} <- run(connection, statement, limits) do
      if undone?(connection, code, statement),
        do: Outcome.explain(code, message),
        else: throw({:transaction_lost, %{}})
    end
  end

  defp control(connection, sql) do
    with {:error, _, _} <- Sqlite.run(connection, sql, []), do: throw({:transaction_lost, %{}})
  end

  # Whether a failed statement certainly left nothing behind in the open transaction. One that
  # cannot even be prepared never ran.
  defp undone?(connection, code, %{form: form}) do
    Outcome.is_constraint?(code) or
      (form.kind != :read and
         match?({:error, _, _}, Sqlite.run(connection, "EXPLAIN " <> form.sql, []))) or
      (form.kind == :read and code in [1, 18, 20])
  end

  defp one(connection, statement, limits) do
    with {:driver, code, message} <- run(connection, statement, limits),
         do: Outcome.explain(code, message)
  end

  defp run(_connection, %{form: {:error, _, _, _} = failure}, _limits), do: failure

  defp run(connection, %{form: %Form{kind: :read} = form, params: params}, limits) do
    {sql, params} = limited(form, params, limits.result_rows_max + 1)

    case Sqlite.run(connection, sql, params) do
      {:rows, columns, rows} -> checked(columns, rows, limits)
      {:error, code, message} -> {:driver, code, message}
    end
  end

  defp run(connection, %{form: %Form{kind: kind, sql: sql}, params: params}, _limits) do
    case Sqlite.run(connection, sql, params) do
      {:error, code, message} -> {:driver, code, message}
      _done when kind == :schema -> {:count, 0}
      _done -> {:count, Sqlite.changes(connection)}
    end
  end

  # The driver hands over a whole result, so the result must end: the SELECT gets one row more than
  # it may have. A negative limit is none at all for SQLite.
  defp limited(%Form{limit: {:number, number}, sql: sql}, params, most) when number <= most,
    do: {sql, params}

  defp limited(%Form{limit: {:placeholder, index}, sql: sql}, params, most),
    do: {sql, List.update_at(params, index - 1, &smaller(&1, most))}

  defp limited(%Form{limit: :none, sql: sql}, params, most),
    do: {sql <> " LIMIT " <> Integer.to_string(most), params}

  defp limited(%Form{sql: sql}, params, most),
    do: {"SELECT * FROM (" <> sql <> ") LIMIT " <> Integer.to_string(most), params}

  defp smaller(limit, most) when is_integer(limit) and (limit < 0 or limit > most), do: most
  defp smaller(limit, _most), do: limit

  defp checked(_columns, [], _limits), do: {:rows, [], []}

  defp checked(columns, rows, limits) do
    if length(Enum.uniq(columns)) < length(columns),
      do: Outcome.failed(:unsupported, "two columns of the result have one name"),
      else: checked_rows(rows, columns, rows, 0, 0, limits)
  end

  defp checked_rows([], columns, rows, _count, _size, _limits), do: {:rows, columns, rows}

  defp checked_rows(_rest, _columns, _rows, count, size, limits)
       when count >= limits.result_rows_max or size > limits.result_bytes_max,
       do: Outcome.failed(:too_large, "the result is too large: ask for fewer rows")

  defp checked_rows([row | rest], columns, rows, count, size, limits) do
    case size_of(row, tuple_size(row), 0) do
      {:unsupported, what} -> Outcome.failed(:unsupported, "a #{what} in the result")
      more -> checked_rows(rest, columns, rows, count + 1, size + more, limits)
    end
  end

  defp size_of(_row, 0, size), do: size

  defp size_of(row, index, size) do
    case elem(row, index - 1) do
      text when is_binary(text) -> size_of(row, index - 1, size + byte_size(text))
      number when is_integer(number) -> size_of(row, index - 1, size + 8)
      :null -> size_of(row, index - 1, size)
      float when is_float(float) -> {:unsupported, "float"}
      {:blob, _bytes} -> {:unsupported, "blob"}
    end
  end
end
