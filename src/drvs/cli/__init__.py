"""The command `drvs`: one module for each group of commands.

A command module imports typer and nothing slow at its top; what a command needs it imports when it runs, so that
`drvs --help` and completion feel instant (a test holds them to it).
"""
