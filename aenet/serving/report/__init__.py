"""The report of a job: one HTML file without outside requests."""
