"""`python -m drvs.cli`: the same as `drvs`."""

from drvs.cli.main import main

if __name__ == "__main__":
    main()
