defmodule FintechDatabase.SettingsTest do
  @moduledoc "What the command's options become, what is refused, and what the log keeps to itself."

  use ExUnit.Case, async: true

  alias FintechDatabase.{CLI, LogLines, Settings}

  defp settings(options, environment \\ %{}), do: CLI.settings(options, &Map.get(environment, &1))

  test "options and the environment become settings" do
    assert {:ok, settings} =
             settings([url: "sqlite:////a/b c.db", port: 0, statement_seconds: 1.5], %{
               "DB_API_TOKEN" => "x"
             })

    assert settings.path == "/a/b c.db"
    assert settings.host == {127, 0, 0, 1}
    assert settings.limits.statement_seconds == 1.5
    assert Settings.is_authorized?(settings, "x")
    refute Settings.is_authorized?(settings, "y")
    refute Settings.is_authorized?(settings, nil)
  end

  test "what cannot be is refused in one line" do
    for options <- [
          [],
          [url: "postgresql://x"],
          [url: "sqlite:///"],
          [url: "sqlite:///:memory:"],
          [url: "sqlite:///a?mode=memory"],
          [url: "sqlite:///a.db", port: 70_000],
          [url: "sqlite:///a.db", host: "example.com"],
          [url: "sqlite:///a.db", host: "0.0.0.0"],
          [url: "sqlite:///a.db", drain_seconds: -1.0]
        ] do
      assert {:error, why} = settings(options)
      refute why =~ "\n"
    end

    assert {:ok, _} = settings([url: "sqlite:///a.db", host: "0.0.0.0"], %{"DB_API_TOKEN" => "x"})
  end

  test "a crash report tells who failed and how, not with what" do
    report = %{
      label: {:gen_server, :terminate},
      name: FintechDatabase.Writer,
      reason: {%RuntimeError{message: "4111111111111111"}, []},
      last_message: {:group, "4111111111111111"},
      state: "4111111111111111"
    }

    for message <- [
          {:report, report},
          {:report, %{label: {:proc_lib, :crash}, report: ["4111111111111111"]}},
          {'~p', ["4111111111111111"]}
        ] do
      line =
        IO.iodata_to_binary(LogLines.format(%{level: :error, msg: message, meta: %{time: 1}}, %{}))

      refute line =~ "4111"
      assert {:jiffy.decode(line, [:return_maps])["level"], String.last(line)} == {"error", "\n"}
    end
  end
end
