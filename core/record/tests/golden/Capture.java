// Produces the golden records with the Java client. See capture.py, which runs this.

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

class Capture {
    static final long TIMESTAMP_MS = 1_700_000_000_000L;

    public static void main(String[] args) {
        Map<String, Object> config = Map.of(
            "bootstrap.servers", args[0], "compression.type", args[1], "linger.ms", 500);
        byte[] longValue = "a relay station on a post road; ".repeat(40).getBytes();
        List<Header> traces = List.of(
            new RecordHeader("trace", new byte[] {0, 1}), new RecordHeader("trace", new byte[0]));
        List<Header> none = List.of();
        List<Header> nullHeader = List.of(new RecordHeader("null", (byte[]) null));
        var bytes = new ByteArraySerializer();
        try (var producer = new KafkaProducer<>(config, bytes, bytes)) {
            producer.send(record(0, "JFK".getBytes(), longValue, traces));
            producer.send(record(1, null, new byte[0], none));
            producer.send(record(2, new byte[0], null, nullHeader));
        }
    }

    static ProducerRecord<byte[], byte[]> record(
            int index, byte[] key, byte[] value, List<Header> headers) {
        return new ProducerRecord<>("golden", 0, TIMESTAMP_MS + index, key, value, headers);
    }
}
