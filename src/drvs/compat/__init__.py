"""The published interfaces under their own names: programs written for them run on drvs with the import changed."""
