defmodule FintechDatabase.Form.Tokenizer do
  @moduledoc """
  Words, strings and marks: SQL text cut into the tokens in which every engine agrees.

  It is strict on purpose. Whatever one engine reads differently from another (dollar quotes,
  `E''` strings, `[names]`, nested comments, a carriage return that may or may not end a comment)
  is refused rather than understood. What does not live here: what the tokens mean (`Form`).
  """

  alias FintechDatabase.{Limits, Outcome}

  @type group :: :word | :quoted | :string | :number | :placeholder | :mark

  @typedoc "A token: its group, its text, the byte where it starts; a word also in capitals."
  @type token :: {group, text :: binary, start :: non_neg_integer, word :: binary}

  defguardp is_letter(c) when c in ?a..?z or c in ?A..?Z or c == ?_
  defguardp is_digit(c) when c in ?0..?9
  defguardp is_name(c) when is_letter(c) or is_digit(c)
  defguardp is_space(c) when c in [?\s, ?\t, ?\n, ?\r, ?\f]

  @marks ~c"(),.*+/%<>=!|-"

  @doc "Cut a text into tokens, without spaces, comments and the semicolon at the end."
  @spec tokens(binary) :: {:ok, [token]} | Outcome.failure()
  def tokens(sql) do
    {:ok, sql |> scan(sql, 0, 0, []) |> Enum.reverse()}
  catch
    {:refused, code, why} -> Outcome.failed(code, why)
  end

  defp scan(<<>>, _sql, _at, 0, found), do: found

  defp scan(<<>>, _sql, _at, _depth, _found),
    do: refuse(:syntax_error, "a parenthesis is not closed")

  defp scan(<<c, rest::binary>>, sql, at, depth, found) when is_space(c),
    do: scan(rest, sql, at + 1, depth, found)

  defp scan(<<"--", rest::binary>>, sql, at, depth, found) do
    size = line_size(rest, 0, at)
    scan(drop(rest, size), sql, at + 2 + size, depth, found)
  end

  defp scan(<<"/*", rest::binary>>, sql, at, depth, found) do
    size = comment_size(rest, 0, at)
    scan(drop(rest, size), sql, at + 2 + size, depth, found)
  end

  defp scan(<<";", rest::binary>>, sql, at, depth, found) when found != [:ended] do
    case scan(rest, sql, at + 1, depth, [:ended]) do
      [:ended] -> found
      _more -> refuse_second()
    end
  end

  defp scan(<<";", _::binary>>, _sql, _at, _depth, [:ended]), do: refuse_second()

  defp scan(<<"'", rest::binary>>, sql, at, depth, found) do
    check_prefix(sql, at)
    size = quoted_size(rest, ?', 1, "a string is not closed")
    scan(drop(rest, size - 1), sql, at + size, depth, [token(:string, sql, at, size) | found])
  end

  defp scan(<<"\"", rest::binary>>, sql, at, depth, found) do
    size = quoted_size(rest, ?", 1, "a quoted name is not closed")
    scan(drop(rest, size - 1), sql, at + size, depth, [token(:quoted, sql, at, size) | found])
  end

  defp scan(<<"?", rest::binary>>, sql, at, depth, found) do
    case rest do
      <<c, _::binary>> when is_digit(c) -> unreadable("'?'", at)
      _ -> scan(rest, sql, at + 1, depth, [token(:placeholder, sql, at, 1) | found])
    end
  end

  defp scan(<<c, _::binary>> = text, sql, at, depth, found) when is_letter(c) do
    size = name_size(text, 0, at)
    scan(drop(text, size), sql, at + size, depth, [token(:word, sql, at, size) | found])
  end

  defp scan(<<c, _::binary>> = text, sql, at, depth, found) when is_digit(c) do
    size = number_size(text)

    case drop(text, size) do
      <<next, _::binary>> when is_name(next) or next in [?., ?$] -> unreadable("this number", at)
      rest -> scan(rest, sql, at + size, depth, [token(:number, sql, at, size) | found])
    end
  end

  defp scan(<<c, rest::binary>>, sql, at, depth, found) when c in @marks do
    depth = depth + depth_change(c)
    check_depth(depth)
    scan(rest, sql, at + 1, depth, [token(:mark, sql, at, 1) | found])
  end

  defp scan(<<0, _::binary>>, _sql, _at, _depth, _found),
    do: refuse(:syntax_error, "the statement holds a NUL character")

  defp scan(<<c::utf8, _::binary>>, _sql, at, _depth, _found),
    do: unreadable("'" <> <<c::utf8>> <> "'", at)

  defp token(:word, sql, at, size) do
    text = binary_part(sql, at, size)
    {:word, text, at, String.upcase(text, :ascii)}
  end

  defp token(group, sql, at, size), do: {group, binary_part(sql, at, size), at, ""}

  # A line comment ends with a line feed or the text. A carriage return ends it for one engine only.
  defp line_size(<<"\n", _::binary>>, size, _at), do: size
  defp line_size(<<>>, size, _at), do: size
  defp line_size(<<"\r", _::binary>>, _size, at), do: unreadable("this comment", at)
  defp line_size(<<_, rest::binary>>, size, at), do: line_size(rest, size + 1, at)

  defp comment_size(<<"*/", _::binary>>, size, _at), do: size + 2
  defp comment_size(<<"/*", _::binary>>, _size, at), do: unreadable("this comment", at)
  defp comment_size(<<>>, _size, at), do: unreadable("this comment", at)
  defp comment_size(<<_, rest::binary>>, size, at), do: comment_size(rest, size + 1, at)

  defp quoted_size(<<c, c, rest::binary>>, c, size, why), do: quoted_size(rest, c, size + 2, why)
  defp quoted_size(<<c, _::binary>>, c, size, _why), do: size + 1

  defp quoted_size(<<0, _::binary>>, _c, _size, _why),
    do: refuse(:syntax_error, "the statement holds a NUL character")

  defp quoted_size(<<_, rest::binary>>, c, size, why), do: quoted_size(rest, c, size + 1, why)
  defp quoted_size(<<>>, _c, _size, why), do: refuse(:syntax_error, why)

  defp name_size(<<c, rest::binary>>, size, at) when is_name(c), do: name_size(rest, size + 1, at)

  defp name_size(<<c, _::binary>>, _size, at) when c == ?$ or c >= 0x80,
    do: unreadable("this name", at)

  defp name_size(_rest, size, _at), do: size

  defp number_size(text) do
    whole = digits_size(text, 0)

    with_fraction =
      case drop(text, whole) do
        <<".", rest::binary>> -> whole + 1 + digits_size(rest, 0)
        _ -> whole
      end

    case drop(text, with_fraction) do
      <<e, sign, d, rest::binary>> when e in ~c"eE" and sign in ~c"+-" and is_digit(d) ->
        with_fraction + 3 + digits_size(rest, 0)

      <<e, d, rest::binary>> when e in ~c"eE" and is_digit(d) ->
        with_fraction + 2 + digits_size(rest, 0)

      _ ->
        with_fraction
    end
  end

  defp digits_size(<<c, rest::binary>>, size) when is_digit(c), do: digits_size(rest, size + 1)
  defp digits_size(_rest, size), do: size

  defp depth_change(?(), do: 1
  defp depth_change(?)), do: -1
  defp depth_change(_mark), do: 0

  defp check_depth(depth) when depth < 0,
    do: refuse(:syntax_error, "a parenthesis is closed that was not opened")

  defp check_depth(depth) do
    if depth > Limits.nesting_max(),
      do: refuse(:too_large, "parentheses nest deeper than #{Limits.nesting_max()}")
  end

  # E'..', X'..', B'..', N'..': a word glued to a string changes what the string is.
  defp check_prefix(_sql, 0), do: :ok

  defp check_prefix(sql, at) do
    if is_name(:binary.at(sql, at - 1)),
      do: refuse(:unsupported, "strings are written '...', without a letter before them")
  end

  defp drop(text, size), do: binary_part(text, size, byte_size(text) - size)

  defp unreadable(what, at),
    do: refuse(:unsupported, "#{what} at byte #{at + 1} does not mean the same on every engine")

  defp refuse_second,
    do: refuse(:unsupported, "one statement per text: something follows the ';'")

  @spec refuse(Outcome.code(), String.t()) :: no_return
  defp refuse(code, why), do: throw({:refused, code, why})
end
