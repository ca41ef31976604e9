"""What was defined, planned, done and by whom; never what runs."""
