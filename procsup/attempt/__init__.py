"""One attempt on one host: its files, environment, start, observation, stop, end, inspection."""
