"""The one door to the operating system: everything that differs between Linux, macOS and Windows."""
