"""`lprnet compare`'s work: schedules against each other, kernel by kernel."""
