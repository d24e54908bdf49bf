"""To the plant: what is recorded, told to brokers and controllers."""
