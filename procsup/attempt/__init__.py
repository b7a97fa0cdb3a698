"""One attempt on one host: its files, environment, start, samples, stop, end and inspection."""
