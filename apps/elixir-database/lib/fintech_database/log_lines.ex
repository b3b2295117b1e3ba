defmodule FintechDatabase.LogLines do
  @moduledoc """
  Logs of the service: one JSON object a line on stderr.

  Reports of crashes hold the state and the last message of a process, and with them parameters of
  statements. So of a report only names and kinds are told: who failed, and with which error.
  """

  @doc "Send the emulator's log to stderr in this form."
  @spec install() :: :ok
  def install do
    for handler <- :logger.get_handler_ids(), do: :logger.remove_handler(handler)

    :logger.add_handler(:default, :logger_std_h, %{
      config: %{type: :standard_error},
      formatter: {__MODULE__, %{}}
    })
  end

  @doc "One event as one line (the callback of Erlang's logger)."
  @spec format(:logger.log_event(), :logger.formatter_config()) :: :unicode.chardata()
  def format(%{level: level, msg: message, meta: meta}, _configuration) do
    line = [
      {"time", div(Map.get(meta, :time, 0), 1000)},
      {"level", Atom.to_string(level)},
      {"logger", "fintech_database"},
      {"message", message |> text() |> IO.chardata_to_string()}
    ]

    [:jiffy.encode({line}, [:force_utf8]), ?\n]
  end

  defp text({:string, text}), do: text
  defp text({:report, %{label: {:gen_server, :terminate}} = report}), do: ended(report)
  defp text({:report, %{label: {:supervisor, what}, report: report}}), do: supervised(what, report)
  defp text({:report, %{label: {:error_logger, _}, format: format}}), do: event(format)
  defp text({:report, %{label: label}}), do: "report #{inspect(label)}"
  defp text({:report, _report}), do: "a report"
  # A format's arguments may hold anything.
  defp text({format, _arguments}), do: event(format)

  defp event(format) when is_list(format), do: format |> to_string() |> String.replace("~n", "")
  defp event(_format), do: "an event"

  defp ended(report),
    do: "process #{inspect(report[:name])} ended: #{reason(report[:reason])}"

  defp supervised(what, report) do
    "supervisor #{inspect(report[:supervisor])}: #{what}," <>
      " child #{inspect(get_in(report, [:offender, :id]))}, #{reason(report[:reason])}"
  end

  defp reason(reason) when is_atom(reason), do: inspect(reason)
  defp reason({:shutdown, {:unavailable, why}}) when is_binary(why), do: why
  defp reason({kind, _rest}) when is_atom(kind), do: inspect(kind)
  defp reason({kind, _call, _stack}) when is_atom(kind), do: inspect(kind)
  defp reason({%kind{}, _stack}), do: inspect(kind)
  defp reason(_other), do: "an error"
end
