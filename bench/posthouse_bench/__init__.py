"""The same work on Posthouse and on Apache Kafka, one after the other, on one machine and disk."""
