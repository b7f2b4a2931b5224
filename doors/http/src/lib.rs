//! The HTTP door: produce, consume, topics, groups, SQL, metrics, health and the OpenAPI document.
