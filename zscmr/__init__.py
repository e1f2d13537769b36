"""Zero-shot cross-modal sketch retrieval: the library beneath the commands."""
