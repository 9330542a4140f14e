"""What a run leaves on disk: its record, its scores, its log, and the folder of a sweep."""
