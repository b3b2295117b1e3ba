defmodule FintechDatabase do
  @moduledoc """
  SQL over HTTP on the BEAM: the database contract of this project, kept by SQLite.

  Start reading at `FintechDatabase.Service`, the supervision tree:

      Service (rest_for_one)
      ├── Storage (rest_for_one)
      │   ├── Ports                  the harbour of connections
      │   ├── write (rest_for_one)   Lane.Write, then Writer
      │   └── read (rest_for_one)    Lane.Read, then Reader1 .. Reader4 (one_for_one)
      └── Http (rest_for_one)
          ├── Form.Cache, Admission
          ├── Http.Peers             one process per connection
          └── Http.Listener, then the acceptors (one_for_one)

  A request travels `Http.Peer` -> `Router` -> `Wire` and `Form` -> `Storage` -> `Lane` -> `Worker`
  -> `Transaction` -> `Sqlite`, and its answer goes straight back from the worker to the peer.
  """
end
