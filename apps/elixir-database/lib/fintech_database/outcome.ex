defmodule FintechDatabase.Outcome do
  @moduledoc """
  What a statement came to: rows, a count, or one of the contract's error words.

  Here SQLite's result codes (https://www.sqlite.org/rescode.html) become those words. The driver
  tells primary codes only, so which constraint failed is read from SQLite's message, whose
  wording is fixed by its own test suite. What does not live here: JSON (`Wire`).
  """

  @type value :: binary | integer | :null
  @type code ::
          :unique_violation
          | :not_null_violation
          | :check_violation
          | :unknown_table
          | :syntax_error
          | :unsupported
          | :too_large
          | :overloaded
          | :timeout
          | :internal
          | :not_executed

  @typedoc "An error: its word, a message for the service's log, and the constraint it names."
  @type failure :: {:error, code, String.t(), String.t() | nil}

  @type t :: {:rows, [String.t()], [tuple]} | {:count, non_neg_integer} | failure

  @constraint 19
  @unknown_codes %{
    9 => :timeout,
    18 => :too_large,
    20 => :unsupported,
    23 => :unsupported,
    25 => :syntax_error
  }

  @doc "An error with its word."
  @spec failed(code, String.t()) :: failure
  def failed(code, message), do: {:error, code, message, nil}

  @doc "The answer to every statement behind the one that failed."
  @spec not_executed() :: failure
  def not_executed, do: failed(:not_executed, "an earlier statement of this sequence failed")

  @doc "The answers to a sequence that was refused as a whole: its first error, then silence."
  @spec refused([term], code, String.t()) :: [t]
  def refused([], _code, _message), do: []

  def refused([_ | rest], code, message),
    do: [failed(code, message) | Enum.map(rest, fn _ -> not_executed() end)]

  @doc "The answers to a sequence of which nobody knows how far it got."
  @spec unknown([term], code, String.t()) :: [t]
  def unknown(sequence, code, message), do: Enum.map(sequence, fn _ -> failed(code, message) end)

  @doc "Whether a result code of SQLite is that of a constraint, which undoes its own statement."
  @spec is_constraint?(integer) :: boolean
  def is_constraint?(code), do: code == @constraint

  @doc "The contract's word for a result code of SQLite and its message."
  @spec explain(integer, String.t()) :: failure
  def explain(@constraint, message) do
    case String.split(message, " constraint failed: ", parts: 2) do
      ["UNIQUE", what] -> {:error, :unique_violation, message, what}
      ["PRIMARY KEY", what] -> {:error, :unique_violation, message, what}
      ["NOT NULL", what] -> {:error, :not_null_violation, message, what}
      [_kind, what] -> {:error, :check_violation, message, what}
      [_message] -> {:error, :check_violation, message, nil}
    end
  end

  def explain(1, "no such table" <> _ = message), do: failed(:unknown_table, message)
  def explain(1, "integer overflow" = message), do: failed(:too_large, message)
  def explain(1, message), do: failed(:syntax_error, message)
  def explain(code, message), do: failed(Map.get(@unknown_codes, code, :internal), message)
end
