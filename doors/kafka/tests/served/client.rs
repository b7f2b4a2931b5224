//! A served door, and a client that speaks any version of any request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use posthouse_broker::{Broker, BrokerConfig, CreateTopic};
use posthouse_kafka::{KafkaConfig, serve};
use posthouse_listener::Listener;
use posthouse_log::{Engine, MemoryConfig, MemoryEngine};
use posthouse_record::{BatchBuilder, Compression};
use posthouse_types::{Principal, SystemClock, Timestamp, TopicName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longer than anything here takes, so that a test that waits for ever fails instead.
const PATIENCE: Duration = Duration::from_secs(20);

/// A door with its broker.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) broker: Arc<Broker>,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

impl Door {
    pub(crate) async fn open() -> Door {
        let config =
            BrokerConfig { initial_rebalance_delay: Duration::ZERO, ..BrokerConfig::default() };
        Door::open_with(config, KafkaConfig::default()).await
    }

    pub(crate) async fn open_with(broker: BrokerConfig, config: KafkaConfig) -> Door {
        let engine = MemoryEngine::new(MemoryConfig::default(), Arc::new(SystemClock));
        Door::open_over(engine, broker, config).await
    }

    pub(crate) async fn open_over(
        engine: Arc<dyn Engine>,
        broker: BrokerConfig,
        config: KafkaConfig,
    ) -> Door {
        let broker = Broker::open(engine, broker, Arc::new(SystemClock)).await.unwrap();
        let listener = Listener::bind("kafka", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_address();
        let shutdown = CancellationToken::new();
        let served =
            tokio::spawn(serve(listener, Arc::clone(&broker), None, config, shutdown.clone()));
        Door { address, broker, shutdown, served }
    }

    pub(crate) async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Client { stream, correlation_id: 0 }
    }

    pub(crate) async fn create(&self, name: &str, partitions: u32) -> Uuid {
        let create = CreateTopic {
            name: TopicName::new(name).unwrap(),
            partitions: Some(partitions),
            overrides: Vec::new(),
            schema: None,
            validate_only: false,
        };
        self.broker.create_topic(&Principal::anonymous(), create).await.unwrap().id.0
    }

    /// Drains the door and waits until it is closed.
    pub(crate) async fn close(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.served).await.expect("the door drains").unwrap();
        self.broker.shutdown().await.unwrap();
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// Sends a request and reads its response, all of it.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.send(version, request).await;
        let (correlation_id, response) = self.receive::<R>(version).await;
        assert_eq!(correlation_id, sent);
        response
    }

    /// Sends a request; gives its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.correlation_id += 1;
        let frame = frame(version, self.correlation_id, request);
        self.send_bytes(&frame).await;
        self.correlation_id
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut frame = self.receive_frame().await.expect("a response");
        let header =
            ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        let response = R::Response::decode(&mut frame, version).unwrap();
        assert!(frame.is_empty(), "{} bytes follow the response", frame.len());
        (header.correlation_id, response)
    }

    /// The next response's bytes; `None` when the door closed the connection.
    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let mut prefix = [0; 4];
        let read = timeout(PATIENCE, self.stream.read_exact(&mut prefix)).await;
        if read.expect("a response or a close").is_err() {
            return None;
        }
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(prefix)).unwrap()];
        self.stream.read_exact(&mut frame).await.unwrap();
        Some(Bytes::from(frame))
    }

    pub(crate) async fn is_closed(&mut self) -> bool {
        self.receive_frame().await.is_none()
    }

    /// Closes the sending side only.
    pub(crate) async fn finish_sending(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

/// A request with its header and length.
pub(crate) fn frame<R: Request>(version: i16, correlation_id: i32, request: &R) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(text("test")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(body.len()).unwrap());
    frame.put(body);
    frame.freeze()
}

pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_string())
}

/// A batch of one record without a key.
pub(crate) fn batch(value: &str) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(Timestamp::from_ms(1_700_000_000_000), None, Some(value.as_bytes()), &[]);
    bytes_of(batch)
}

/// A batch as a producer sends it: base offset 0.
pub(crate) fn bytes_of(batch: BatchBuilder) -> Bytes {
    let batch = batch.build().unwrap().place(posthouse_types::Offset::ZERO, Default::default());
    let mut bytes = BytesMut::from(&batch.bytes()[..]);
    // A producer does not know the leader epoch.
    bytes[12..16].copy_from_slice(&(-1i32).to_be_bytes());
    bytes.freeze()
}

/// A produce request with one batch for one partition.
pub(crate) fn produce(
    version: i16,
    topic: &str,
    id: Uuid,
    acks: i16,
    records: Bytes,
) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(records));
    let data = TopicProduceData::default().with_partition_data(vec![partition]);
    let data = match version {
        13.. => data.with_topic_id(id),
        _ => data.with_name(text(topic).into()),
    };
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1000).with_topic_data(vec![data])
}

/// Takes a 32-bit number off the front.
pub(crate) fn take_i32(bytes: &mut Bytes) -> i32 {
    bytes.get_i32()
}
