"""QEngine beside other backtesters: the same data and the same rule, each in fresh processes, in turn."""
