"""The one door to the operating system: all that differs between Linux, macOS and Windows."""
