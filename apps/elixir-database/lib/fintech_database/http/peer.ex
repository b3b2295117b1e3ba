defmodule FintechDatabase.Http.Peer do
  @moduledoc """
  One HTTP connection: a process that reads requests one after another and answers them.

  Between two requests it listens to the socket and to its supervisor at once, so a stopping
  service lets idle connections go and finishes busy ones. A connection that sends too slowly, too
  much or nonsense is answered with the contract's own error body and closed.
  """

  alias FintechDatabase.{Admission, Limits, Router, Settings}
  alias FintechDatabase.Http.{Body, Request}

  @reasons %{
    200 => "OK",
    400 => "Bad Request",
    401 => "Unauthorized",
    403 => "Forbidden",
    404 => "Not Found",
    405 => "Method Not Allowed",
    408 => "Request Timeout",
    413 => "Content Too Large",
    415 => "Unsupported Media Type",
    431 => "Request Header Fields Too Large",
    500 => "Internal Server Error",
    503 => "Service Unavailable"
  }

  # What a refused client may still send before its connection is cut: it reads the answer only
  # after it has sent its body, and a cut too early would take the answer away from it.
  @lingering_bytes_max 64 * 1024 * 1024
  @lingering_milliseconds 2_000

  @doc "Serve a socket that `Http.Acceptor` gives away with the message `:yours`."
  @spec serve(:gen_tcp.socket(), Settings.t()) :: :ok
  def serve(socket, settings) do
    Process.flag(:trap_exit, true)

    receive do
      :yours -> wait(socket, settings, "")
    after
      5_000 -> :ok
    end
  end

  @doc "Answer that there are too many connections, and close."
  @spec turn_away(:gen_tcp.socket()) :: :ok
  def turn_away(socket) do
    refusal = {:refused, 503, "overloaded", "too many connections; nothing was run"}
    send_reply(socket, 503, Router.refusal_body(refusal), false)
    :gen_tcp.close(socket)
  end

  # Between two requests.
  defp wait(socket, settings, bytes) do
    case bytes == "" and idle(socket, settings) do
      :stop -> :gen_tcp.close(socket)
      {:data, data} -> head(socket, settings, data, deadline(settings))
      false -> head(socket, settings, bytes, deadline(settings))
    end
  end

  defp idle(socket, settings) do
    case :inet.setopts(socket, active: :once) do
      :ok -> next(socket, Limits.milliseconds(settings.limits.idle_seconds))
      {:error, _closed} -> :stop
    end
  end

  defp next(socket, patience) do
    receive do
      {:tcp, ^socket, data} -> {:data, data}
      {:tcp_closed, ^socket} -> :stop
      {:tcp_error, ^socket, _reason} -> :stop
      {:EXIT, _supervisor, _reason} -> :stop
      # An answer that came after its statement was given up.
      _late -> next(socket, patience)
    after
      patience -> :stop
    end
  end

  defp head(socket, settings, bytes, deadline) do
    case Request.parse(bytes) do
      {:ok, request, rest} ->
        admit(socket, settings, request, rest, deadline)

      :more ->
        case :gen_tcp.recv(socket, 0, left(deadline)) do
          {:ok, more} -> head(socket, settings, bytes <> more, deadline)
          {:error, :timeout} -> refuse(socket, too_slow(), 0)
          {:error, _closed} -> :gen_tcp.close(socket)
        end

      refusal ->
        refuse(socket, refusal, @lingering_bytes_max)
    end
  end

  defp admit(socket, settings, request, rest, deadline) do
    with :ok <- Router.admit(request, settings),
         :ok <- hold(held(request)) do
      if request.continue? and rest == "",
        do: :gen_tcp.send(socket, "HTTP/1.1 100 Continue\r\n\r\n")

      body(socket, settings, request, rest, deadline)
    else
      refusal -> refuse_unread(socket, settings, refusal, request, rest)
    end
  end

  # A body in chunks may become as long as any.
  defp held(%{chunked?: true}), do: Limits.body_bytes_max()
  defp held(request), do: request.length

  defp hold(bytes) do
    case Admission.hold(bytes) do
      :ok -> :ok
      :full -> {:refused, 503, "overloaded", "too many bytes wait; nothing was run"}
    end
  end

  defp body(socket, settings, request, rest, deadline) do
    case Body.read(socket, request, rest, deadline) do
      {:ok, body, rest} -> answer(socket, settings, request, body, rest)
      {:error, :closed} -> :gen_tcp.close(socket)
      refusal -> refuse(socket, refusal, @lingering_bytes_max)
    end
  end

  defp answer(socket, settings, request, body, rest) do
    {status, reply} = reply(request.path, body)
    size = IO.iodata_length(reply)
    Admission.count(size)
    keep? = request.keep? and not stopping?()
    sent = send_reply(socket, status, reply, keep?, size)
    Admission.release(max(size, held(request)))

    if keep? and sent == :ok,
      do: wait(socket, settings, rest),
      else: :gen_tcp.close(socket)
  end

  defp reply(path, body) do
    case Router.answer(path, body) do
      {:ok, reply} -> {200, reply}
      {:refused, status, _, _} = refusal -> {status, Router.refusal_body(refusal)}
    end
  rescue
    # The outermost handler. The error's kind alone is told: its message may quote parameters.
    error ->
      :logger.error("a request failed: #{inspect(error.__struct__)}")
      {500, Router.refusal_body(Router.failure())}
  end

  # A refusal before the body was read. A short body is read over, and the connection stays.
  defp refuse_unread(socket, settings, refusal, request, rest) do
    {:refused, status, _, _} = refusal
    missing = request.length - byte_size(rest)

    if missing <= 0 and request.keep? and not request.chunked? do
      <<_body::binary-size(request.length), rest::binary>> = rest

      case send_reply(socket, status, Router.refusal_body(refusal), true) do
        :ok -> wait(socket, settings, rest)
        {:error, _closed} -> :gen_tcp.close(socket)
      end
    else
      refuse(socket, refusal, @lingering_bytes_max)
    end
  end

  defp refuse(socket, {:refused, status, _, _} = refusal, lingering) do
    send_reply(socket, status, Router.refusal_body(refusal), false)
    :gen_tcp.shutdown(socket, :write)
    linger(socket, lingering, System.monotonic_time(:millisecond) + @lingering_milliseconds)
    :gen_tcp.close(socket)
  end

  defp linger(socket, bytes, deadline) when bytes > 0 do
    case :gen_tcp.recv(socket, 0, left(deadline)) do
      {:ok, data} -> linger(socket, bytes - byte_size(data), deadline)
      {:error, _closed_or_late} -> :ok
    end
  end

  defp linger(_socket, _bytes, _deadline), do: :ok

  defp send_reply(socket, status, reply, keep?),
    do: send_reply(socket, status, reply, keep?, IO.iodata_length(reply))

  defp send_reply(socket, status, reply, keep?, size) do
    :gen_tcp.send(socket, [
      ["HTTP/1.1 ", Integer.to_string(status), ?\s, Map.fetch!(@reasons, status)],
      ["\r\ncontent-type: application/json\r\ncontent-length: ", Integer.to_string(size)],
      if(status == 503, do: "\r\nretry-after: 1", else: ""),
      if(keep?, do: "", else: "\r\nconnection: close"),
      "\r\n\r\n",
      reply
    ])
  end

  defp stopping? do
    receive do
      {:EXIT, _supervisor, _reason} -> true
    after
      0 -> false
    end
  end

  defp too_slow, do: {:refused, 408, "invalid_request", "the request came too slowly"}

  defp deadline(settings),
    do: System.monotonic_time(:millisecond) + Limits.milliseconds(settings.limits.body_seconds)

  defp left(deadline), do: max(0, deadline - System.monotonic_time(:millisecond))
end
