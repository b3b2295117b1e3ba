defmodule FintechDatabase.Router do
  @moduledoc """
  The contract's three paths: which request may pass, and what answers it.

  What does not live here: bytes and sockets (`Http`), JSON (`Wire`), SQL (`Form`, `Storage`).
  """

  alias FintechDatabase.{Lane, Limits, Outcome, Settings, Storage, Wire, Worker}
  alias FintechDatabase.Http.{Body, Request}

  @doc "Whether a request may send its body, judged by its head alone."
  @spec admit(Request.t(), Settings.t()) :: :ok | Wire.refusal()
  def admit(request, settings) do
    with :ok <- check_path(request.path, request.method),
         do: check_head(request.path, request, settings)
  end

  @doc "Answer a request that was admitted."
  @spec answer(path :: binary, body :: binary) :: {:ok, iodata} | Wire.refusal()
  def answer("/execute", body) do
    with {:ok, statement} <- Wire.decode_execute(body),
         {:ok, [[outcome]]} <- run([[statement]]),
         do: {:ok, Wire.encode_outcome(outcome)}
  end

  def answer("/batch", body) do
    with {:ok, sequences} <- Wire.decode_batch(body),
         {:ok, results} <- run(sequences),
         do: {:ok, Wire.encode_batch(results)}
  end

  def answer("/health", _body) do
    if Lane.is_staffed?(Lane.Write) and Lane.is_staffed?(Lane.Read),
      do: {:ok, Wire.encode_health(Worker.engine())},
      else: {:refused, 503, "overloaded", "the service is starting"}
  end

  defp check_path(path, "POST") when path in ["/execute", "/batch"], do: :ok
  defp check_path("/health", "GET"), do: :ok

  defp check_path(path, _method) when path in ["/execute", "/batch", "/health"],
    do: {:refused, 405, "method_not_allowed", "#{path} takes another method"}

  defp check_path(_path, _method),
    do: {:refused, 404, "not_found", "the paths are /execute, /batch and /health"}

  # No token is needed for /health, and nothing about the data is told there.
  defp check_head("/health", %{length: 0, chunked?: false}, _settings), do: :ok

  # A page in a browser can post to a loopback address, but neither as JSON nor without `Origin`
  # unless the service agrees, and it never does.
  defp check_head(_path, request, settings) do
    cond do
      request.origin? ->
        {:refused, 403, "invalid_request", "this service is not for browsers"}

      not Settings.is_authorized?(settings, request.token) ->
        {:refused, 401, "unauthorized", "a valid bearer token is needed"}

      not request.json? ->
        {:refused, 415, "invalid_request", "the content type is application/json"}

      request.length > Limits.body_bytes_max() ->
        Body.too_large()

      true ->
        :ok
    end
  end

  # A request of which nothing was run is a 503, which says so for all of it at once.
  defp run(sequences) do
    results = Storage.run(sequences)
    started = for [first | _] <- results, do: first

    case Enum.all?(started, &match?({:error, :overloaded, _, _}, &1)) and started do
      [{:error, :overloaded, message, _} | _] -> {:refused, 503, "overloaded", message}
      _ -> {:ok, results}
    end
  end

  @doc "The body of a refusal, as the contract has it."
  @spec refusal_body(Wire.refusal()) :: iodata
  def refusal_body({:refused, _status, word, message}), do: Wire.encode_error(word, message)

  @doc "The answer where the service itself failed: nobody knows what was run."
  @spec failure() :: Wire.refusal()
  def failure do
    {:error, code, message, nil} = Outcome.failed(:internal, "the service failed; see its log")
    {:refused, 500, Atom.to_string(code), message}
  end
end
