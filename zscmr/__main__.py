"""`python -m zscmr`: the command `zscmr`."""

from zscmr.commands import main

if __name__ == "__main__":
    main()
