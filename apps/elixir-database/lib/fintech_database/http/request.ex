defmodule FintechDatabase.Http.Request do
  @moduledoc """
  The head of an HTTP request, read by the emulator's own parser and then judged strictly.

  A body has a `Content-Length`, once, or comes in chunks. A request whose length could be read in
  two ways is refused, because that is how one request is smuggled inside another (RFC 9112,
  section 11.2). What does not live here: bodies (`Http.Body`) and connections (`Http.Peer`).
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
            chunked?: false

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
          chunked?: boolean
        }

  @doc "Parse a head from the bytes read so far; `:more` when it is not complete."
  @spec parse(binary) :: {:ok, t, rest :: binary} | :more | Wire.refusal()
  def parse(bytes) do
    case :erlang.decode_packet(:http_bin, bytes, []) do
      {:ok, {:http_request, method, {:abs_path, path}, version}, rest} ->
        keep? = version >= {1, 1}
        request = %__MODULE__{method: to_string(method), path: decoded(path), keep?: keep?}
        headers(rest, request, bytes)

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
        cond do
          byte_size(all) - byte_size(rest) > Limits.head_bytes_max() -> too_long()
          request.chunked? and request.length_given? -> refuse(400, "the body has two lengths")
          true -> {:ok, request, rest}
        end

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

  defp header(:"Transfer-Encoding", value, request) do
    if not request.chunked? and String.downcase(value, :ascii) == "chunked",
      do: %{request | chunked?: true},
      else: refuse(400, "the only transfer encoding is chunked, once")
  end

  defp header(:"Content-Type", value, request) do
    [type | _] = String.split(value, ";", parts: 2)
    %{request | json?: type |> String.trim() |> String.downcase(:ascii) == "application/json"}
  end

  defp header(:Authorization, <<"Bearer ", token::binary>>, request), do: %{request | token: token}

  defp header(:Connection, value, request),
    do: %{request | keep?: request.keep? and String.downcase(value, :ascii) != "close"}

  defp header("Origin", _value, request), do: %{request | origin?: true}

  defp header("Expect", value, request),
    do: %{request | continue?: String.downcase(value, :ascii) == "100-continue"}

  defp header(_name, _value, request), do: request

  # The path alone, its escapes resolved; what cannot be resolved is a path that does not exist.
  defp decoded(path) do
    [path | _query] = :binary.split(path, "?")
    URI.decode(path)
  rescue
    ArgumentError -> path
  end

  defp more(bytes) do
    if byte_size(bytes) > Limits.head_bytes_max(), do: too_long(), else: :more
  end

  defp too_long,
    do: refuse(431, "the request's head is longer than #{Limits.head_bytes_max()} bytes")

  defp digits?(value), do: value != "" and for(<<c <- value>>, c not in ?0..?9, do: c) == []

  defp refuse(status, message), do: {:refused, status, "invalid_request", message}
end
