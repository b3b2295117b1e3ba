defmodule FintechDatabase.CLI do
  @moduledoc """
  The command `fintech-elixir-database`.

  Options become settings, errors become one line on stderr and exit code 1. What does not live
  here: what is served (`Service`).
  """

  alias FintechDatabase.{Application, Limits, LogLines, Settings}
  alias FintechDatabase.Http.Listener

  @usage """
  usage: fintech-elixir-database serve --url sqlite:///FILE [options]

  --url URL                    sqlite:///relative.db or sqlite:////absolute/path.db
  --host ADDRESS               address to listen on (127.0.0.1)
  --port NUMBER                port to listen on, 0 takes a free one (8800)
  --token-env NAME             environment variable that holds the bearer token (DB_API_TOKEN)
  --statement-seconds SECONDS  a statement is given up after this (5)
  --waiting-statements-max N   more waiting statements are answered 503 (4096)
  --waiting-bytes-max N        more waiting bytes are answered 503 (67108864)
  --result-rows-max N          more rows of one result are refused (50000)
  --drain-seconds SECONDS      time to answer what was accepted when stopping (30)
  """

  @options [
    url: :string,
    host: :string,
    port: :integer,
    token_env: :string,
    statement_seconds: :float,
    waiting_statements_max: :integer,
    waiting_bytes_max: :integer,
    result_rows_max: :integer,
    drain_seconds: :float,
    help: :boolean
  ]

  @doc "Run the command line; does not return."
  @spec main([String.t()]) :: no_return
  def main(["serve" | arguments]) do
    case OptionParser.parse(arguments, strict: @options) do
      {options, [], []} -> if options[:help], do: usage(), else: serve(options)
      {_, [stray | _], []} -> fail("#{stray} is not an option; see --help")
      {_, _, [{option, nil} | _]} -> fail("#{option} is not an option, or lacks its value")
      {_, _, [{option, value} | _]} -> fail("#{option} does not take #{value}")
    end
  end

  def main(_arguments), do: usage()

  @doc "What the options say, or why they cannot be."
  @spec settings(keyword, (String.t() -> String.t() | nil)) ::
          {:ok, Settings.t()} | {:error, String.t()}
  def settings(options, environment) do
    variable = options[:token_env] || "DB_API_TOKEN"
    token = presence(environment.(variable))

    with {:ok, path} <- path(options[:url] || environment.("FINTECH_DATABASE_URL")),
         {:ok, host} <- host(options[:host] || "127.0.0.1"),
         {:ok, port} <- port(options[:port] || 8800),
         {:ok, limits} <- limits(options),
         :ok <- check_exposure(host, token, variable) do
      digest = token && Settings.digest(token)
      {:ok, %Settings{path: path, host: host, port: port, token_digest: digest, limits: limits}}
    end
  end

  defp serve(options) do
    with {:ok, settings} <- settings(options, &System.get_env/1),
         :ok <- start(settings) do
      LogLines.install()
      IO.puts("listening on http://#{address(settings.host)}:#{Listener.port()}")
      Process.sleep(:infinity)
    else
      {:error, why} -> fail(why)
    end
  end

  # Until the service runs, the one line that says why it does not is enough.
  defp start(settings) do
    :logger.set_primary_config(:level, :none)
    Application.configure(settings)

    case :application.ensure_all_started(:fintech_database) do
      {:ok, _started} -> :logger.set_primary_config(:level, :info)
      {:error, {application, reason}} -> {:error, explain(application, reason)}
    end
  end

  defp explain(:fintech_database, reason), do: why(reason) || "it cannot be started"
  defp explain(application, _reason), do: "Debian's package for #{application} is not installed"

  # Supervisors wrap the reason of the child that failed, each in its own way.
  defp why({:unavailable, message}), do: message
  defp why(message) when is_binary(message), do: message
  defp why(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> Enum.find_value(&inner/1)
  defp why(_other), do: nil

  defp inner(part) when is_tuple(part), do: why(part)
  defp inner(_part), do: nil

  defp path("sqlite:///" <> path) do
    if path in ["", ":memory:"] or String.contains?(path, ["?", <<0>>]),
      do: path(nil),
      else: {:ok, Path.expand(path)}
  end

  defp path(_url) do
    {:error, "--url names a file: sqlite:///relative.db or sqlite:////absolute/path.db"}
  end

  defp host("localhost"), do: {:ok, {127, 0, 0, 1}}

  defp host(text) do
    with {:error, _} <- :inet.parse_address(String.to_charlist(text)),
         do: {:error, "--host takes an address such as 127.0.0.1 or ::1, not #{text}"}
  end

  defp port(port) when port in 0..65_535, do: {:ok, port}
  defp port(port), do: {:error, "--port is between 0 and 65535, not #{port}"}

  defp limits(options) do
    chosen = Keyword.take(options, Map.keys(%Limits{}))

    case Enum.find(chosen, fn {_, value} -> value <= 0 end) do
      nil -> {:ok, struct!(Limits, chosen)}
      {name, _} -> {:error, "--#{String.replace(to_string(name), "_", "-")} is more than zero"}
    end
  end

  defp check_exposure(host, token, variable) do
    if token != nil or loopback?(host),
      do: :ok,
      else:
        {:error,
         "#{:inet.ntoa(host)} is reachable from other machines: set a token in #{variable}," <>
           " or use 127.0.0.1"}
  end

  defp loopback?({127, _, _, _}), do: true
  defp loopback?({0, 0, 0, 0, 0, 0, 0, 1}), do: true
  defp loopback?(_host), do: false

  defp presence(""), do: nil
  defp presence(text), do: text

  defp address(host) when tuple_size(host) == 8, do: "[#{:inet.ntoa(host)}]"
  defp address(host), do: to_string(:inet.ntoa(host))

  @spec usage() :: no_return
  defp usage do
    IO.write(@usage)
    System.halt(0)
  end

  @spec fail(String.t()) :: no_return
  defp fail(why) do
    IO.puts(:stderr, "fintech-elixir-database: #{why}")
    System.halt(1)
  end
end
