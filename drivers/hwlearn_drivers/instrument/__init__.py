"""What every instrument driver shares: messages, error queues, output state, discovery."""
