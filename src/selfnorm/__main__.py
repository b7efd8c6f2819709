"""`python -m selfnorm` is the command `selfnorm`."""

from selfnorm.cli import main

if __name__ == "__main__":
    main()
