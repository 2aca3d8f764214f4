"""The command line, `teilhabe`: what a person types, in English for engineers; nothing is decided here."""
