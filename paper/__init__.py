"""The paper's tables: what was published, what is to run, and how both are laid out side by side."""
