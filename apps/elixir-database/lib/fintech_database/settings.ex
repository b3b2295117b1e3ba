defmodule FintechDatabase.Settings do
  @moduledoc """
  What one running service was told: its file, its address, its token, its limits.

  The token itself is not kept, only its SHA-256: comparing digests takes the same time whatever
  the difference, and no crash report can show it.
  """

  alias FintechDatabase.Limits

  @enforce_keys [:path]
  defstruct path: nil, host: {127, 0, 0, 1}, port: 0, token_digest: nil, limits: %Limits{}

  @type t :: %__MODULE__{
          path: Path.t(),
          host: :inet.ip_address(),
          port: :inet.port_number(),
          token_digest: binary | nil,
          limits: Limits.t()
        }

  @doc "The digest that a token is kept and compared as."
  @spec digest(binary) :: binary
  def digest(token), do: :crypto.hash(:sha256, token)

  @doc "Whether a request's token is the right one, in constant time."
  @spec is_authorized?(t, binary | nil) :: boolean
  def is_authorized?(%__MODULE__{token_digest: nil}, _token), do: true
  def is_authorized?(%__MODULE__{}, nil), do: false

  def is_authorized?(%__MODULE__{token_digest: digest}, token),
    do: :crypto.hash_equals(digest, digest(token))
end
