def synthetic() -> None:
    pass
