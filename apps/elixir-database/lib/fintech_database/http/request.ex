defmodule FintechDatabase.Http.Request do
  @moduledoc """
  The head of an HTTP request, read by the emulator's own parser and then judged strictly.

  Only what the contract needs is understood: a body has a `Content-Length`, once. A request whose
  length could be read in two ways is refused, because that is how one request is smuggled inside
  another (RFC 9112, section 11.2). What does not live here: bodies and sockets (`Http.Peer`).
  """

  alias FintechDatabase.{Limits, Wire}

  @enforce_keys [:method, :path]
  defstruct method: nil,
            path: nil,
            length: 0,
            json?: false,
            token: nil,
            origin?: false,
            continue?: false,
            keep?: true,
            length_given?: false,
            hosts: 0

  @type t :: %__MODULE__{
          method: binary,
          path: binary,
          length: non_neg_integer,
          json?: boolean,
          token: binary | nil,
          origin?: boolean,
          continue?: boolean,
          keep?: boolean,
          length_given?: boolean,
          hosts: non_neg_integer
        }

  @doc "Parse a head from the bytes read so far; `:more` when it is not complete."
  @spec parse(binary) :: {:ok, t, rest :: binary} | :more | Wire.refusal()
  def parse(bytes) do
    case :erlang.decode_packet(:http_bin, bytes, []) do
      {:ok, {:http_request, method, {:abs_path, path}, version}, rest} ->
        keep? = version >= {1, 1}
        headers(rest, %__MODULE__{method: to_string(method), path: path, keep?: keep?}, bytes)

      # Empty lines before a request are allowed (RFC 9112, section 2.2).
      {:ok, {:http_error, line}, rest} when line in ["\r\n", "\n"] ->
        parse(rest)

      {:more, _} ->
        more(bytes)

      _ ->
        refuse(400, "this is not HTTP")
    end
  end

  defp headers(bytes, request, all) do
    case :erlang.decode_packet(:httph_bin, bytes, []) do
      {:ok, {:http_header, _, name, _, value}, rest} ->
        with %__MODULE__{} = request <- header(name, value, request),
             do: headers(rest, request, all)

      {:ok, :http_eoh, rest} ->
        if byte_size(all) - byte_size(rest) > Limits.head_bytes_max(),
          do: too_long(),
          else: {:ok, request, rest}

      {:more, _} ->
        more(all)

      _ ->
        refuse(400, "a header cannot be read")
    end
  end

  defp header(:"Content-Length", value, request) do
    case {request.length_given?, digits?(value) and byte_size(value) < 20} do
      {false, true} -> %{request | length: String.to_integer(value), length_given?: true}
      _ -> refuse(400, "the content length is given once, as a number")
    end
  end

  defp header(:"Transfer-Encoding", _value, _request),
    do: refuse(411, "a body comes with its content length, not in chunks")

  defp header(:"Content-Type", value, request) do
    [type | _] = String.split(value, ";", parts: 2)
    %{request | json?: type |> String.trim() |> String.downcase(:ascii) == "application/json"}
  end

  defp header(:Authorization, <<"Bearer ", token::binary>>, request), do: %{request | token: token}
  defp header(:Host, _value, request), do: %{request | hosts: request.hosts + 1}

  defp header(:Connection, value, request),
    do: %{request | keep?: request.keep? and String.downcase(value, :ascii) != "close"}

  defp header("Origin", _value, request), do: %{request | origin?: true}

  defp header("Expect", value, request),
    do: %{request | continue?: String.downcase(value, :ascii) == "100-continue"}

  defp header(_name, _value, request), do: request

  defp more(bytes) do
    if byte_size(bytes) > Limits.head_bytes_max(), do: too_long(), else: :more
  end

  defp too_long,
    do: refuse(431, "the request's head is longer than #{Limits.head_bytes_max()} bytes")

  defp digits?(value), do: value != "" and for(<<c <- value>>, c not in ?0..?9, do: c) == []

  defp refuse(status, message), do: {:refused, status, "invalid_request", message}
end
