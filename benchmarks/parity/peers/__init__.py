"""Scripts that run one peer each, inside the environment made for it. They know nothing of QEngine."""
