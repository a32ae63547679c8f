"""Values of options, and what ends a command with one line and exit code 2."""


class UsageError(ValueError):
    """Arguments or files that can't be used; the message is one sentence with the way out."""


def choices(text: str, allowed: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The values of an option that takes several, separated by commas."""
    values = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [value for value in values if value not in allowed]
    if unknown or not values:
        raise UsageError(f"{option}: got {text!r}, expected one or more of {','.join(allowed)}")
    return values
