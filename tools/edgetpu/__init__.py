"""A range patch carried to a Coral: ``carry`` patches the CPU file and checks the result, ``compiler`` compiles it."""
