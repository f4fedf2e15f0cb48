"""`python -m lprnet.commands VERB`: the command, where its script is not on the PATH."""

from lprnet.commands import main

if __name__ == "__main__":
    main()
