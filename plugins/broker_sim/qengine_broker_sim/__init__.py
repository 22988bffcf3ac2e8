"""qengine_broker_sim."""
