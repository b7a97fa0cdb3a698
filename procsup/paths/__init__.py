"""Files as procsup believes in them: which ones a declared path stands for, and what they are."""
