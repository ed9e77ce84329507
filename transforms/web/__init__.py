"""What talks to the web: addresses, robots rules, schedule, client. No Beam."""
