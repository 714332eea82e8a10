"""What the tests stand on: streams that can fail, peers that can misbehave."""
