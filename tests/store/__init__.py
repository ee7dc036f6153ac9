"""What every store must do: one file per noun, every test over every store."""
