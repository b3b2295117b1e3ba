defmodule FintechDatabase.Statement do
  @moduledoc """
  One SQL statement on its way in: what its text was found to be, and its parameters.

  Where text or parameters are refused, `form` is the failure instead: the statement then fails in
  its turn without reaching the driver, and its neighbours in a batch are not touched.
  """

  alias FintechDatabase.{Form, Outcome}

  @enforce_keys [:form]
  defstruct form: nil, params: []

  @type t :: %__MODULE__{form: Form.t() | Outcome.failure(), params: [Outcome.value()]}

  @typedoc "Statements that run in order and stop at the first failure."
  @type sequence :: [t]

  @doc "Whether a sequence needs the writer."
  @spec writes?(sequence) :: boolean
  def writes?(sequence), do: Enum.any?(sequence, &writes_one?/1)

  defp writes_one?(%__MODULE__{form: %Form{kind: kind}}), do: kind != :read
  defp writes_one?(%__MODULE__{}), do: false
end
