"""Pictures, a file a subject; `geoflow.app.plotting` has the public ones."""
