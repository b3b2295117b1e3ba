defmodule FintechDatabase.Wire do
  @moduledoc """
  JSON of the contract: strict on the way in, exact on the way out.

  A request that is not of the contract's shape is refused whole (`:refused`). A value that no
  column can hold refuses its own statement only, because a batch carries statements of many
  callers. What does not live here: HTTP (`Http.Peer`, `Router`) and SQL text (`Form`).
  """

  alias FintechDatabase.{Form, Limits, Outcome, Statement}

  @typedoc "A refusal of a whole request: HTTP status, error word, message."
  @type refusal :: {:refused, 400..599, word :: String.t(), message :: String.t()}

  @integer_max 0x7FFF_FFFF_FFFF_FFFF
  @integer_min -0x8000_0000_0000_0000
  # Digits of a number that is worth reading: -9223372036854775808 has nineteen.
  @digits_max 400
  # Brackets inside brackets: the contract's own shapes need five.
  @depth_max 1024

  @doc "Decode the body of `/execute`."
  @spec decode_execute(binary) :: {:ok, Statement.t()} | refusal
  def decode_execute(body) do
    {:ok, body |> load() |> statement()}
  catch
    {:refused, _, _, _} = refusal -> refusal
  end

  @doc "Decode the body of `/batch`."
  @spec decode_batch(binary) :: {:ok, [Statement.sequence()]} | refusal
  def decode_batch(body) do
    sequences = body |> load() |> members("sequences", []) |> Map.fetch!("sequences")
    unless is_list(sequences) and Enum.all?(sequences, &is_list/1), do: invalid_sequences()

    if sequences |> Enum.map(&length/1) |> Enum.sum() > Limits.batch_statements_max(),
      do:
        refuse(
          413,
          "too_large",
          "a batch holds #{Limits.batch_statements_max()} statements at most"
        )

    {:ok, Enum.map(sequences, fn sequence -> Enum.map(sequence, &statement/1) end)}
  catch
    {:refused, _, _, _} = refusal -> refusal
  end

  @doc "The contract's result object for one statement."
  @spec encode_outcome(Outcome.t()) :: iodata
  def encode_outcome({:error, code, message, constraint}),
    do: encode_error(Atom.to_string(code), message, constraint)

  def encode_outcome({:count, count}), do: encode_count(count)
  def encode_outcome({:rows, _columns, []}), do: encode_count(0)

  def encode_outcome({:rows, columns, rows}) do
    data = for row <- rows, do: {Enum.zip(columns, Tuple.to_list(row))}

    [
      ~s({"success":true,"data":),
      :jiffy.encode(data),
      ~s(,"rows_affected":),
      Integer.to_string(length(rows)),
      ~s(,"error":null})
    ]
  catch
    # CAST and SUBSTR can make text of any bytes.
    :throw, {:error, _} -> encode_outcome(not_utf8())
    :error, _ -> encode_outcome(not_utf8())
  end

  @doc "The answer to `/batch`."
  @spec encode_batch([[Outcome.t()]]) :: iodata
  def encode_batch(results) do
    sequences =
      for outcomes <- results,
          do: [?[, outcomes |> Enum.map(&encode_outcome/1) |> Enum.intersperse(?,), ?]]

    [~s({"results":[), Enum.intersperse(sequences, ?,), "]}"]
  end

  @doc "The contract's error body, for a statement and for a whole request alike."
  @spec encode_error(String.t(), String.t(), String.t() | nil) :: iodata
  def encode_error(code, message, constraint \\ nil) do
    # A message of SQLite may quote what a parameter held, and cut it in the middle of a character.
    error = [{"code", code}, {"message", message}, {"constraint", constraint || :null}]

    [
      ~s({"success":false,"data":null,"rows_affected":0,"error":),
      :jiffy.encode({error}, [:force_utf8]),
      ?}
    ]
  end

  @doc "The answer to `/health`."
  @spec encode_health(engine :: String.t()) :: iodata
  def encode_health(engine) do
    :jiffy.encode(
      {[
         {"status", "ok"},
         {"contract", "1"},
         {"engine", engine},
         {"capabilities", ["params", "batch"]},
         {"max_batch", Limits.batch_statements_max()}
       ]}
    )
  end

  defp encode_count(count) do
    [~s({"success":true,"data":[],"rows_affected":), Integer.to_string(count), ~s(,"error":null})]
  end

  defp not_utf8, do: Outcome.failed(:unsupported, "a text in the result is not UTF-8")

  defp load(body) do
    check_bytes(body, 0, 0)
    :jiffy.decode(body)
  catch
    :throw, {:refused, _, _, _} = refusal -> throw(refusal)
    _kind, _what -> invalid("the body is not JSON")
  end

  # What the parser would let through or choke on: control characters in strings (RFC 8259, section
  # 7), a million brackets, numbers of a million digits.
  defp check_bytes(<<?", rest::binary>>, depth, _digits), do: check_string(rest, depth)

  defp check_bytes(<<c, rest::binary>>, depth, digits) when c in ?0..?9 do
    if digits >= @digits_max, do: invalid("a number has more than #{@digits_max} digits")
    check_bytes(rest, depth, digits + 1)
  end

  defp check_bytes(<<c, rest::binary>>, depth, _digits) when c in [?[, ?{] do
    if depth >= @depth_max, do: invalid("the body nests deeper than #{@depth_max}")
    check_bytes(rest, depth + 1, 0)
  end

  defp check_bytes(<<c, rest::binary>>, depth, _digits) when c in [?], ?}],
    do: check_bytes(rest, depth - 1, 0)

  defp check_bytes(<<_, rest::binary>>, depth, _digits), do: check_bytes(rest, depth, 0)
  defp check_bytes(<<>>, _depth, _digits), do: :ok

  defp check_string(<<?", rest::binary>>, depth), do: check_bytes(rest, depth, 0)
  defp check_string(<<?\\, _, rest::binary>>, depth), do: check_string(rest, depth)

  defp check_string(<<c, _::binary>>, _depth) when c < 0x20,
    do: invalid("a string holds a control character that is not escaped")

  defp check_string(<<_, rest::binary>>, depth), do: check_string(rest, depth)
  defp check_string(<<>>, _depth), do: invalid("a string is not closed")

  defp statement(document) do
    members = members(document, "sql", ["params"])
    sql = members["sql"]
    unless is_binary(sql), do: invalid("sql is a string")
    params = params(Map.get(members, "params", :null))

    with %Form{} = form <- Form.Cache.read(sql),
         :ok <- check_params(params, form) do
      %Statement{form: form, params: params}
    else
      failure -> %Statement{form: failure}
    end
  end

  defp params(:null), do: []
  defp params(params) when is_list(params), do: params
  defp params(_other), do: invalid("params is a list")

  # The members of an object that has the required one, no unknown one, and none twice.
  defp members({members}, required, optional) do
    known = [required | optional]
    map = Map.new(members)

    cond do
      not Map.has_key?(map, required) ->
        invalid("#{required} is missing")

      map_size(map) < length(members) ->
        invalid("a key occurs twice in one object")

      Enum.any?(map, fn {key, _} -> key not in known end) ->
        invalid("unknown fields: #{known(known)}")

      true ->
        map
    end
  end

  defp members(_document, required, _optional), do: invalid("expected an object with #{required}")

  defp known(known), do: "the known ones are " <> Enum.join(known, ", ")

  # The driver stores what does not fit wrongly and shifts what follows: nothing of that reaches it.
  defp check_params(params, form) do
    count = length(params)

    cond do
      count > Limits.parameters_max() ->
        Outcome.failed(
          :too_large,
          "a statement takes #{Limits.parameters_max()} parameters at most"
        )

      count != form.placeholders ->
        Outcome.failed(:syntax_error, "#{form.placeholders} placeholders and #{count} parameters")

      true ->
        check_values(params, 1)
    end
  end

  defp check_values([], _number), do: :ok

  defp check_values([text | rest], number) when is_binary(text) do
    if :binary.match(text, <<0>>) == :nomatch,
      do: check_values(rest, number + 1),
      else: Outcome.failed(:unsupported, "parameter #{number} holds a NUL character")
  end

  defp check_values([value | rest], number)
       when value in @integer_min..@integer_max or value == :null,
       do: check_values(rest, number + 1)

  defp check_values([value | _rest], number) when is_integer(value),
    do: Outcome.failed(:unsupported, "parameter #{number} is beyond 64 bits")

  defp check_values(_params, number) do
    Outcome.failed(
      :unsupported,
      "parameter #{number} is neither a string, nor an integer of 64 bits, nor null"
    )
  end

  defp invalid_sequences, do: invalid("sequences is a list of lists of statements")

  @spec invalid(String.t()) :: no_return
  defp invalid(message), do: refuse(400, "invalid_request", message)

  @spec refuse(400..599, String.t(), String.t()) :: no_return
  defp refuse(status, word, message), do: throw({:refused, status, word, message})
end
