"""RabbitMQ: topology as data, publishing with confirms, consuming in batches."""
