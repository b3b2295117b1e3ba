# The tests kill processes on purpose: their obituaries would fill the screen.
:logger.set_primary_config(:level, :none)

# A slow read holds up a write when the driver has one thread for both: `bin/test` gives it more.
exclude = if FintechDatabase.Sqlite.slots() < 8, do: [:threads], else: []
ExUnit.start(exclude: exclude)
