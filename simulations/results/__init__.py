"""What a run leaves behind: its figures, series and samples as JSON."""
