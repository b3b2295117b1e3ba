defmodule FintechDatabase.Form do
  @moduledoc """
  Which SQL is let through, judged from the text alone.

  The rules are those of the Python service of the same contract, word for word: differences are
  bugs. The driver has no authorizer, so this door is the only one and opens by an allow list:
  first words, functions and names that are known, and nothing else.

  Two things are rewritten on the way, because this driver leaves no other choice. A `"name"`
  becomes a backtick name, which SQLite never reads as a string when no such column exists
  (https://www.sqlite.org/quirks.html, number 8). And a `SELECT` is given a limit, because the
  driver hands over a result only when it has all of it.
  """

  alias FintechDatabase.{Limits, Outcome}
  alias FintechDatabase.Form.Tokenizer

  @enforce_keys [:kind, :sql, :placeholders]
  defstruct [:kind, :sql, :placeholders, limit: :none, values: nil]

  @typedoc """
  What a text was found to be. `limit` says how a `SELECT` limits its rows: not at all, by a number
  or by a placeholder (counted from 1) that stands in the text, or by something else. `values` is
  set for an `INSERT` of nothing but rows: how many they are, and the text that lists them.
  """
  @type t :: %__MODULE__{
          kind: :read | :write | :schema,
          sql: binary,
          placeholders: non_neg_integer,
          limit: :none | {:number, non_neg_integer} | {:placeholder, pos_integer} | :expression,
          values: nil | {rows :: pos_integer, binary}
        }

  # Functions that every engine has with one meaning. None reads files, sleeps or reaches out.
  @callable MapSet.new(~w(
    ABS CAST COALESCE COUNT LENGTH LOWER LTRIM MAX MIN NULLIF REPLACE RTRIM SUBSTR SUM TRIM UPPER
  ))

  # Words that stand before a parenthesis without being called.
  @before_parenthesis MapSet.new(~w(
    ALL AND AS BETWEEN BY CASE CHECK CONFLICT DEFAULT DISTINCT ELSE EXISTS FROM HAVING IN JOIN KEY
    LIKE LIMIT NOT OFFSET ON OR SELECT SET THEN UNION UNIQUE USING VALUES WHEN WHERE
  ))

  # First words of statements that an engine has and the contract has not.
  @statements MapSet.new(~w(
    ABORT ALTER ANALYZE ATTACH BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE
    DEALLOCATE DECLARE DELETE DETACH DISCARD DO DROP END EXECUTE EXPLAIN FETCH GRANT IMPORT INSERT
    LISTEN LOAD LOCK MERGE MOVE NOTIFY PRAGMA PREPARE REASSIGN REFRESH REINDEX RELEASE REPLACE RESET
    REVOKE ROLLBACK SAVEPOINT SECURITY SET SHOW START TABLE TRUNCATE UNLISTEN UPDATE VACUUM VALUES
    WITH
  ))

  @refused_words %{
    "WITH" => "common table expressions are outside the contract",
    "RETURNING" => "read the row back by its key instead",
    "TRIGGER" => "triggers are outside the contract",
    "REFERENCES" => "foreign keys are outside the contract: SQLite would not enforce them",
    "FOREIGN" => "foreign keys are outside the contract: SQLite would not enforce them",
    "CONCURRENTLY" => "an index is built within its statement",
    "RECURSIVE" => "common table expressions are outside the contract"
  }

  # Beginnings of names that belong to an engine; catalogs are not for clients.
  @private ~w(pg_ sqlite_ information_schema lo_ dblink crdb_)

  @doc "Find out what a statement is, or refuse it."
  @spec read(binary) :: t | Outcome.failure()
  def read(sql) do
    with :ok <- check_length(sql),
         {:ok, tokens} <- Tokenizer.tokens(sql),
         {:ok, kind} <- kind(tokens),
         :ok <- check_words(tokens, kind),
         :ok <- check_calls(tokens, kind) do
      text = rewrite(sql, tokens)

      %__MODULE__{
        kind: kind,
        sql: text,
        placeholders: Enum.count(tokens, &match?({:placeholder, _, _, _}, &1)),
        limit: limit(tokens),
        values: values(tokens, text)
      }
    end
  end

  @doc "The same form, in memory of its own."
  @spec copy(t) :: t
  def copy(%__MODULE__{values: {rows, text}} = form),
    do: %{form | sql: :binary.copy(form.sql), values: {rows, :binary.copy(text)}}

  def copy(form), do: %{form | sql: :binary.copy(form.sql)}

  defp check_length(sql) do
    longest = Limits.sql_length_max()

    if byte_size(sql) > longest and length(String.to_charlist(sql)) > longest,
      do: Outcome.failed(:too_large, "the statement is longer than #{longest} characters"),
      else: :ok
  end

  defp kind([]), do: Outcome.failed(:syntax_error, "the statement is empty")

  defp kind(tokens) do
    words = for {_, _, _, word} <- Enum.take(tokens, 4), do: word

    case words ++ ["", "", ""] do
      ["SELECT" | _] -> {:ok, :read}
      ["INSERT", "INTO" | _] -> {:ok, :write}
      ["DELETE", "FROM" | _] -> {:ok, :write}
      ["UPDATE", second | _] when second != "OR" -> {:ok, :write}
      ["CREATE", second | _] when second in ["TABLE", "INDEX"] -> {:ok, :schema}
      ["CREATE", "UNIQUE", "INDEX" | _] -> {:ok, :schema}
      ["DROP", "TABLE" | _] -> {:ok, :schema}
      ["ALTER", "TABLE", _name, "ADD" | _] -> {:ok, :schema}
      [first | _] -> refuse_first(first)
    end
  end

  defp refuse_first(first) do
    code = if MapSet.member?(@statements, first), do: :unsupported, else: :syntax_error

    Outcome.failed(
      code,
      "a statement is SELECT, INSERT INTO, UPDATE, DELETE FROM, CREATE TABLE," <>
        " CREATE [UNIQUE] INDEX, ALTER TABLE .. ADD or DROP TABLE"
    )
  end

  # Words that change what a statement is, and names that belong to an engine.
  defp check_words([{_, _, _, first} | rest] = tokens, kind) do
    with :ok <- check_each(tokens, &check_word(&1, kind)),
         :ok <- check_each(rest, &check_drop(&1, kind)) do
      intos = Enum.count(tokens, &match?({_, _, _, "INTO"}, &1))
      allowed = if first == "INSERT", do: 1, else: 0

      if intos > allowed,
        do: Outcome.failed(:unsupported, "SELECT INTO is outside the contract"),
        else: :ok
    end
  end

  defp check_each(tokens, check) do
    Enum.find_value(tokens, :ok, fn token ->
      case check.(token) do
        :ok -> nil
        failure -> failure
      end
    end)
  end

  defp check_word({_, _, _, "CONFLICT"}, :schema),
    do: Outcome.failed(:unsupported, "ON CONFLICT in a table makes inserts half applied")

  defp check_word({group, text, _, word}, _kind) when group in [:word, :quoted] do
    case @refused_words do
      %{^word => why} -> Outcome.failed(:unsupported, "#{word}: #{why}")
      _ -> check_name(text)
    end
  end

  defp check_word(_token, _kind), do: :ok

  defp check_name(text) do
    name = text |> String.downcase() |> String.trim_leading("\"")

    if String.starts_with?(name, @private),
      do: Outcome.failed(:unsupported, "#{text}: this name belongs to the engine"),
      else: :ok
  end

  defp check_drop({_, _, _, "DROP"}, :schema),
    do: Outcome.failed(:unsupported, "ALTER TABLE adds columns and does nothing else")

  defp check_drop(_token, _kind), do: :ok

  # Every function that is not known to be harmless and alike on every engine is refused.
  defp check_calls([{_, _, _, first} | _] = tokens, kind),
    do: check_calls(tokens, {"", first, kind}, "")

  defp check_calls([{group, text, _, word} | [{:mark, "(", _, _} | _] = rest], context, before)
       when group in [:word, :quoted] do
    if callable?(text, word, context, before),
      do: check_calls(rest, context, word),
      else: Outcome.failed(:unsupported, "#{text}(): this function is outside the contract")
  end

  defp check_calls([{_, _, _, word} | rest], context, _before), do: check_calls(rest, context, word)
  defp check_calls([], _context, _before), do: :ok

  defp callable?(text, word, {_, first, kind}, before) do
    MapSet.member?(@before_parenthesis, word) or
      MapSet.member?(@callable, String.upcase(text, :ascii)) or
      (before == "INTO" and first == "INSERT") or
      (kind == :schema and before in ["TABLE", "EXISTS", "ON"])
  end

  # The text from its start to its last token, quoted names in backticks.
  defp rewrite(sql, tokens) do
    {_, last, start, _} = List.last(tokens)
    text = binary_part(sql, 0, start + byte_size(last))

    if Enum.any?(tokens, &match?({:quoted, _, _, _}, &1)),
      do: tokens |> backticks(text, 0, []) |> IO.iodata_to_binary(),
      else: text
  end

  defp backticks([{:quoted, quoted, start, _} | rest], text, at, done) do
    before = binary_part(text, at, start - at)

    name =
      quoted
      |> binary_part(1, byte_size(quoted) - 2)
      |> String.replace("\"\"", "\"")
      |> String.replace("`", "``")

    backticks(rest, text, start + byte_size(quoted), [done, before, ?`, name, ?`])
  end

  defp backticks([_ | rest], text, at, done), do: backticks(rest, text, at, done)
  defp backticks([], text, at, done), do: [done, binary_part(text, at, byte_size(text) - at)]

  # The rows of INSERT INTO .. VALUES (..), (..) with nothing behind them. Names within them might
  # have been rewritten to another length: then they are not looked for.
  defp values([{_, _, _, "INSERT"} | _] = tokens, text) do
    with [{_, _, start, _} | rows] <- Enum.drop_while(tokens, &(elem(&1, 3) != "VALUES")),
         false <-
           Enum.any?(rows, fn {group, _, _, word} -> group == :quoted or word == "SELECT" end),
         count when count > 0 <- count_rows(rows, 0, 0) do
      {_, last, last_start, _} = List.last(rows)
      size = last_start + byte_size(last) - start - byte_size("VALUES")
      {count, binary_part(text, byte_size(text), -size)}
    else
      _ -> nil
    end
  end

  defp values(_tokens, _text), do: nil

  defp count_rows([{:mark, "(", _, _} | rest], depth, count), do: count_rows(rest, depth + 1, count)

  defp count_rows([{:mark, ")", _, _} | rest], 1, count), do: count_next(rest, count + 1)

  defp count_rows([{:mark, ")", _, _} | rest], depth, count) when depth > 1,
    do: count_rows(rest, depth - 1, count)

  defp count_rows([_ | rest], depth, count) when depth > 0, do: count_rows(rest, depth, count)
  defp count_rows(_tokens, _depth, _count), do: 0

  defp count_next([], count), do: count
  defp count_next([{:mark, ",", _, _} | rest], count), do: count_rows(rest, 0, count)
  defp count_next(_tokens, _count), do: 0

  # How the outermost SELECT limits its rows.
  defp limit(tokens), do: limit(tokens, 0, 0)

  defp limit([{:mark, "(", _, _} | rest], depth, count), do: limit(rest, depth + 1, count)
  defp limit([{:mark, ")", _, _} | rest], depth, count), do: limit(rest, depth - 1, count)
  defp limit([{:placeholder, _, _, _} | rest], depth, count), do: limit(rest, depth, count + 1)
  defp limit([{:word, _, _, "LIMIT"} | rest], 0, count), do: limited_by(rest, count)
  defp limit([_ | rest], depth, count), do: limit(rest, depth, count)
  defp limit([], _depth, _count), do: :none

  defp limited_by([{:placeholder, _, _, _} | rest], count),
    do: ends(rest, {:placeholder, count + 1})

  defp limited_by([{:number, number, _, _} | rest], _count) do
    case Integer.parse(number) do
      {value, ""} -> ends(rest, {:number, value})
      _ -> :expression
    end
  end

  defp limited_by(_tokens, _count), do: :expression

  defp ends([], limit), do: limit
  defp ends([{:word, _, _, "OFFSET"} | _], limit), do: limit
  defp ends(_tokens, _limit), do: :expression
end
