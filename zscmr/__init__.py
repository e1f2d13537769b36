"""Zero-shot cross-modal sketch retrieval: the library beneath the commands. It parses no flags and imports no command."""
