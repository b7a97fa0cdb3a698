"""What starts, stops and waits for attempts: the seam behind which work could run elsewhere."""
