defmodule FintechDatabase.Http.Body do
  @moduledoc """
  The body of a request, read from a socket whole or in chunks (RFC 9112, section 7.1), and never
  more of it than the limit.
  """

  alias FintechDatabase.{Limits, Wire}
  alias FintechDatabase.Http.Request

  # A chunk's size in hexadecimal digits, with extensions that nobody needs.
  @size_line_max 256

  @type reading :: {:ok, body :: binary, rest :: binary} | {:error, :closed} | Wire.refusal()

  @doc "Read a body, given what has been read behind the head, until the deadline."
  @spec read(:gen_tcp.socket(), Request.t(), rest :: binary, deadline :: integer) :: reading
  def read(socket, %Request{chunked?: true}, rest, deadline),
    do: chunks(socket, rest, [], 0, deadline)

  def read(socket, %Request{length: length}, rest, deadline),
    do: take(socket, rest, length, deadline)

  defp chunks(socket, rest, parts, total, deadline) do
    with {:ok, line, rest} <- line(socket, rest, deadline),
         {:ok, size} <- size(line, total) do
      if size == 0,
        do: trailers(socket, rest, parts, deadline),
        else: chunk(socket, rest, size, parts, total, deadline)
    end
  end

  defp chunk(socket, rest, size, parts, total, deadline) do
    case take(socket, rest, size + 2, deadline) do
      {:ok, <<part::binary-size(size), "\r\n">>, rest} ->
        chunks(socket, rest, [parts, part], total + size, deadline)

      {:ok, _part, _rest} ->
        malformed()

      failure ->
        failure
    end
  end

  defp trailers(socket, rest, parts, deadline) do
    case line(socket, rest, deadline) do
      {:ok, "", rest} -> {:ok, IO.iodata_to_binary(parts), rest}
      {:ok, _trailer, rest} -> trailers(socket, rest, parts, deadline)
      failure -> failure
    end
  end

  defp size(line, total) do
    [digits | _extensions] = :binary.split(line, ";")

    case Integer.parse(String.trim_trailing(digits), 16) do
      {size, ""} when size >= 0 and binary_part(digits, 0, 1) not in ["+", "-"] ->
        if total + size > Limits.body_bytes_max(), do: too_large(), else: {:ok, size}

      _ ->
        malformed()
    end
  end

  defp line(socket, rest, deadline) do
    case :binary.split(rest, "\r\n") do
      [line, rest] ->
        {:ok, line, rest}

      [part] when byte_size(part) > @size_line_max ->
        malformed()

      [part] ->
        with {:ok, more} <- receive_some(socket, 0, deadline),
             do: line(socket, part <> more, deadline)
    end
  end

  defp take(_socket, rest, length, _deadline) when byte_size(rest) >= length do
    <<taken::binary-size(length), rest::binary>> = rest
    {:ok, taken, rest}
  end

  defp take(socket, rest, length, deadline) do
    with {:ok, more} <- receive_some(socket, length - byte_size(rest), deadline),
         do: {:ok, rest <> more, ""}
  end

  defp receive_some(socket, length, deadline) do
    case :gen_tcp.recv(socket, length, max(0, deadline - System.monotonic_time(:millisecond))) do
      {:ok, more} -> {:ok, more}
      {:error, :timeout} -> {:refused, 408, "invalid_request", "the request came too slowly"}
      {:error, _closed} -> {:error, :closed}
    end
  end

  @doc "The refusal of a body that is longer than the limit."
  @spec too_large() :: Wire.refusal()
  def too_large,
    do: {:refused, 413, "too_large", "a body holds #{Limits.body_bytes_max()} bytes at most"}

  defp malformed, do: {:refused, 400, "invalid_request", "a chunk of the body cannot be read"}
end
