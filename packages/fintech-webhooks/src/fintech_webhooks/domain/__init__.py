"""The domain of webhooks: endpoints as deciders, and how messages reach them."""
