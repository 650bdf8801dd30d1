"""What is published about nodes, and how names and tags become keys."""
