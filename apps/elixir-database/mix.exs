defmodule FintechDatabase.MixProject do
  @moduledoc """
  The project. It has no dependencies to fetch: `jiffy` and the SQLite driver come from Debian's
  packages and are found on Erlang's own code path.
  """

  use Mix.Project

  def project do
    [
      app: :fintech_database,
      version: "0.1.0",
      elixir: "~> 1.14",
      elixirc_options: [warnings_as_errors: true],
      elixirc_paths: elixirc_paths(Mix.env()),
      start_permanent: false,
      deps: []
    ]
  end

  def application do
    [mod: {FintechDatabase.Application, []}, extra_applications: [:crypto, :jiffy]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_environment), do: ["lib"]
end
