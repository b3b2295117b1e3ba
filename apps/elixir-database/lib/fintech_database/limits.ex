defmodule FintechDatabase.Limits do
  @moduledoc """
  Welcome: every limit of the service stands here, by name and with its reason.

  The numbers are those of the Python service of the same contract. What does not live here:
  checking them. `Wire` and `Form` check what comes in, `Transaction` what goes out, `Lane` and
  `Admission` how much may wait.
  """

  # 512 statements commit in some twenty milliseconds.
  @batch_statements_max 512
  # 512 statements of 8 kB.
  @body_bytes_max 4 * 1024 * 1024
  # One statement, in characters: a multi-row insert of 1,000 rows with literals still fits.
  @sql_length_max 256 * 1024
  # SQLite takes 32,766 and PostgreSQL's protocol 32,767.
  @parameters_max 32_000
  # Parentheses inside parentheses: no statement of ours needs ten, and parsers have stacks.
  @nesting_max 64
  # Request line and headers together: a client of the contract sends some 300 bytes.
  @head_bytes_max 16 * 1024

  defstruct statement_seconds: 5.0,
            waiting_statements_max: 4096,
            waiting_bytes_max: 64 * 1024 * 1024,
            result_rows_max: 50_000,
            result_bytes_max: 16 * 1024 * 1024,
            group_statements_max: 1024,
            readers: 4,
            connections_max: 1024,
            body_seconds: 30.0,
            idle_seconds: 75.0,
            drain_seconds: 30.0

  @typedoc """
  What an operator may choose; most have an option of `serve`.

  - `statement_seconds`: after this a statement is answered `timeout`, and what has waited as long
    without being run is answered `overloaded`.
  - `waiting_statements_max`: statements accepted and not answered, for writes and reads each.
  - `waiting_bytes_max`: bytes of large requests and answers held at once.
  - `result_rows_max`, `result_bytes_max`: of one answer; more is `too_large`.
  - `group_statements_max`: statements of one commit: it bounds how long the first of them waits.
  - `readers`: reading processes, each with its own connection.
  - `connections_max`: open HTTP connections; a further one is answered 503.
  - `body_seconds`: how long a client may take to send one request.
  - `idle_seconds`: how long a connection may stay open between two requests.
  - `drain_seconds`: how long a stopping service answers what it accepted.
  """
  @type t :: %__MODULE__{
          statement_seconds: float,
          waiting_statements_max: pos_integer,
          waiting_bytes_max: pos_integer,
          result_rows_max: pos_integer,
          result_bytes_max: pos_integer,
          group_statements_max: pos_integer,
          readers: pos_integer,
          connections_max: pos_integer,
          body_seconds: float,
          idle_seconds: float,
          drain_seconds: float
        }

  @doc "Statements in one `/batch`."
  @spec batch_statements_max() :: pos_integer
  def batch_statements_max, do: @batch_statements_max

  @doc "Bytes of one request body."
  @spec body_bytes_max() :: pos_integer
  def body_bytes_max, do: @body_bytes_max

  @doc "Characters of one statement."
  @spec sql_length_max() :: pos_integer
  def sql_length_max, do: @sql_length_max

  @doc "Parameters of one statement."
  @spec parameters_max() :: pos_integer
  def parameters_max, do: @parameters_max

  @doc "Depth of parentheses in one statement."
  @spec nesting_max() :: pos_integer
  def nesting_max, do: @nesting_max

  @doc "Bytes of a request's first line and headers."
  @spec head_bytes_max() :: pos_integer
  def head_bytes_max, do: @head_bytes_max

  @doc "Seconds as the whole milliseconds that timers take."
  @spec milliseconds(number) :: non_neg_integer
  def milliseconds(seconds), do: round(seconds * 1000)
end
