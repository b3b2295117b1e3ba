defmodule FintechDatabase.Form.Cache do
  @moduledoc """
  Forms of texts seen lately: texts repeat, and reading a long one costs more than running it.

  A public table that every HTTP process reads without asking anybody; the process that lives here
  only owns it. The cache is bounded by bytes and forgets everything at once when it is full,
  since texts with inlined literals never repeat. Refusals are not remembered.
  """

  use GenServer

  alias FintechDatabase.{Form, Outcome}

  @bytes_max 8 * 1024 * 1024

  @doc "Start the owner of the table."
  @spec start_link(term) :: GenServer.on_start()
  def start_link(_argument), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Like `Form.read/1`, from memory where possible."
  @spec read(binary) :: Form.t() | Outcome.failure()
  def read(sql) do
    case :ets.lookup(__MODULE__, sql) do
      [{_, form}] -> form
      [] -> sql |> Form.read() |> remember(sql)
    end
  end

  @impl GenServer
  def init(_argument) do
    :ets.new(__MODULE__, [:named_table, :public, read_concurrency: true])
    {:ok, :counters.new(1, []), {:continue, :share}}
  end

  @impl GenServer
  def handle_continue(:share, bytes) do
    :persistent_term.put(__MODULE__, bytes)
    {:noreply, bytes}
  end

  defp remember(%Form{} = form, sql) do
    bytes = :persistent_term.get(__MODULE__)
    :counters.add(bytes, 1, 2 * byte_size(sql))

    if :counters.get(bytes, 1) > @bytes_max do
      :ets.delete_all_objects(__MODULE__)
      :counters.put(bytes, 1, 2 * byte_size(sql))
    end

    # Copies, so that the table does not keep whole request bodies alive.
    copied = Form.copy(form)
    :ets.insert(__MODULE__, {:binary.copy(sql), copied})
    copied
  end

  defp remember(failure, _sql), do: failure
end
